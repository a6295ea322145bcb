"""Serialization of a network to bytes, for Keras and for ONNX Runtime.

Keras reads and writes paths only: a private folder serves, gone when the function returns.
"""

import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np

from pm_app.errors import BadVersion

# Importing `building` registers the layers, so that a stored network finds them.
from pm_app.learning.network.building import Network, whole_network


def save_network(network: Network) -> bytes:
    """The .keras file of a network."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Keras reads weights with an `__array__` that numpy 2 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        path = Path(folder) / "network.keras"
        network.save(path)
        return path.read_bytes()


def load_network(content: bytes) -> Network:
    """The network of a .keras file. Only layers registered here load; nothing is unpickled.

    Raises BadVersion.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        path.write_bytes(content)
        try:
            return keras.saving.load_model(path, compile=False, safe_mode=True)
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise BadVersion(f"stored network cannot be read: {error}") from error


def export_onnx(network: Network) -> bytes:
    """The ONNX graph of a network: input (n, n_features) float32, output (n, outputs).

    One that tells modes apart has a second output, the share of each in what happens in a span,
    (n, outputs, modes). A gated network has a last one, each sensor's share of attention,
    (n, n_sensors), in the order of its allocation's sensors.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # tf2onnx still spells np.object.
        warnings.simplefilter("ignore", FutureWarning)
        path = Path(folder) / "network.onnx"
        whole = whole_network(network)
        # Keras exports only what was called once.
        whole(np.zeros((1, network.input_shape[-1]), dtype=np.float32))
        whole.export(path, format="onnx", verbose=False)
        return path.read_bytes()

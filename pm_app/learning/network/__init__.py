"""The network: built from an allocation, fitted in epochs, stored, exported.

The only package that imports TensorFlow, and so only a training process imports this one.
"""

from pm_app.learning.network.building import Outputs, build_network
from pm_app.learning.network.fitting import Fitting, Schedule, answers, mode_shares
from pm_app.learning.network.net2net import transfer_weights
from pm_app.learning.network.scaling import set_scaling, widen_bounds
from pm_app.learning.network.serialization import export_onnx, load_network, save_network

__all__ = [
    "Fitting",
    "Outputs",
    "Schedule",
    "answers",
    "mode_shares",
    "build_network",
    "transfer_weights",
    "export_onnx",
    "load_network",
    "save_network",
    "set_scaling",
    "widen_bounds",
]

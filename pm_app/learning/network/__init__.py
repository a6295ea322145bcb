"""The network: built from an allocation, fitted in epochs, stored, exported.

The only package that imports TensorFlow, and so only a training process imports this one.
"""

from pm_app.learning.network.building import Outputs, build_network, set_scaling
from pm_app.learning.network.fitting import Fitting, Schedule, answers
from pm_app.learning.network.reshaping import carry_over
from pm_app.learning.network.storing import export_onnx, load_network, save_network

__all__ = [
    "Fitting",
    "Outputs",
    "Schedule",
    "answers",
    "build_network",
    "carry_over",
    "export_onnx",
    "load_network",
    "save_network",
    "set_scaling",
]

"""Predictive maintenance: which asset fails next, why, and how long it has left."""

import os

__version__ = "0.1.0"

# onnxruntime 1.29 and later sends usage data by default, and writes an id below the home folder
# as soon as it is imported. Nothing of this package can be imported before this line.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

"""What can be learned from: labels, failures, splits that do not leak."""

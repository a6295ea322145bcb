"""Recorders: values of brokers and servers into files of readings."""

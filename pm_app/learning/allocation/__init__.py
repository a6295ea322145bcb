"""Allocation: which share of the network each sensor gets."""

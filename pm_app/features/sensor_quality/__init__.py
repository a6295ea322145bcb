"""Sensor quality: stuck, dropped, noisy, out of limits, shifted at once, clock off."""

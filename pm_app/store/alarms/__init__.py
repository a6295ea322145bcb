"""Alarms: raised and cleared with the predictions, and what people do about them."""

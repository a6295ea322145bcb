"""From readings to features: panes, windows, events. Pure."""

"""Panes: readings folded into fixed intervals, and panes put together."""

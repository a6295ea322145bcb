"""Readings and events in: files to panes, late ones included, and what the disk keeps of them."""

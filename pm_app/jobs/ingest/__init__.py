"""Ingestion of readings and events: files to panes, late ones too, and what the disk keeps."""

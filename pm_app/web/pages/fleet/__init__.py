"""Fleet page."""

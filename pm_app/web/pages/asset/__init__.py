"""Asset page."""

"""Web pages of a plant, and its API."""

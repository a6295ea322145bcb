"""Page of the API."""

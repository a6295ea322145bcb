"""plant.toml: read once, checked whole, refused with the nearest name that exists."""

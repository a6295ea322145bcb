"""From features to predictions, with a version that is already trained. Pure."""

"""The page that operators live on: what the store says, read in a browser."""

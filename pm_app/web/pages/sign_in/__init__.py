"""The page on which people sign in."""

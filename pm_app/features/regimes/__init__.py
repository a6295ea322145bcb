"""Operating regimes: found in panes of the past, and sensors normalised within them."""

"""Commands that work: a plant laid out, its jobs once or for good, its pages."""

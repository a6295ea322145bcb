"""Commands that look: what there is, what was said, and why."""

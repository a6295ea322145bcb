"""Frozen nouns that every layer may speak of. One file a subject."""

"""Importance: which sensors announce failures, and whether that ranking still holds."""

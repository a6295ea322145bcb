"""Who gets in: signing in, what each role may see, what every answer carries."""

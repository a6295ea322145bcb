"""Help: the documentation that ships with the program."""

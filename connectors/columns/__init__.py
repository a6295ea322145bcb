"""Columns of tables, whatever file they came in: names, times and numbers, and rows refused."""

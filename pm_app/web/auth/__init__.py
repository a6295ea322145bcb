"""Admission of requests, and security headers of answers."""

"""API for programs: JSON under /api/v1, and Prometheus metrics."""

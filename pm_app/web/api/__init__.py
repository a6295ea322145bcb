"""The same plant for programs: JSON under /api/v1, and figures for Prometheus."""

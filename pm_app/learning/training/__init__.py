"""Training: candidate networks fitted, compared, revised and checked."""

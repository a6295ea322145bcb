"""What rows of work orders and other events mean, in any file of a maintenance system."""

"""The daemon: when each job runs, who watches it, and how it is."""

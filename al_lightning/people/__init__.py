"""What people answered, in one SQLite database that outlives every configuration. Needs no PyTorch."""

"""What is wrong on purpose, and the suite tried on it."""

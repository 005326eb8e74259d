"""What speed is claimed, measured as ratios."""

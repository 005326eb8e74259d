"""Finite samples: explicit data, its exact law without data, runs and long-run averages."""

"""Symbolic against empirical rates."""

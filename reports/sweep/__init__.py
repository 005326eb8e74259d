"""Sweeps over many settings, and their figures."""

"""Finite samples."""

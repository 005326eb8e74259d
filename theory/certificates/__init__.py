"""Certificates: what the word calculus proved, written for Coq and compiled by it."""

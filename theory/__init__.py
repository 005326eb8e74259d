"""What should be true: updates derived as matrix words, structure, linearisations, rates, moments, and the catalogue of
claims.
"""

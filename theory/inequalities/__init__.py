"""A calculus of inequalities: proofs of theorems about every step, which a small core checks again."""

"""A study of any learner's spec."""

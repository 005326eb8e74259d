"""Other learners than the paper's, and wider ones."""

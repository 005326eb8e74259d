"""Work on several cores."""

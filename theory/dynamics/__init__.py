"""What follows from the learners' definition: derived updates, structure, linearisations, rates, moments."""

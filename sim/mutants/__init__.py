"""What is wrong on purpose: implementations and samplers, each the right one with one thing wrong."""

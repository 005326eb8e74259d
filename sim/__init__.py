"""What happens: learners, problems, hand-written update maps, trajectories, measurements. NumPy only, no theory."""

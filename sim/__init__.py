"""What happens: learners, problems, hand-written update maps, trajectories, measurements. NumPy only; knows no theory."""

"""Where the theory stops."""

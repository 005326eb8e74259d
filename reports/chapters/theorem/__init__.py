"""The theorem, proved: its statements, its proof, and how far the proved region reaches."""

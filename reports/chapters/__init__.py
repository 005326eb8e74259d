"""The report's chapters, one module or folder each."""

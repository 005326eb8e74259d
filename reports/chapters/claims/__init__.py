"""The catalogue: tables, dependencies, the graph."""

"""The word calculus: polynomials in matrix symbols with a normal form, traces, expectations, proofs."""

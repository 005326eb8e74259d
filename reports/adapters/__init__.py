"""Adapters that ship: each is a target of ``metarep check``, and an example to write your own after."""

"""Somebody else's update maps: adapters loaded here or in a process of their own, and wrapped so that the claims can be
run against them. Imports nothing: the process that an adapter runs in begins here, and starts fast.
"""

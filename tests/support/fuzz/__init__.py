"""Hostile bytes against every parser: ``./dev fuzz NAME --runs N``, and a small run in the test suite."""

"""Module orders."""

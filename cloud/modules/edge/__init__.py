"""Module edge."""

"""Module catalog."""

"""Module specimens."""

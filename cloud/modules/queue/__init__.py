"""Module queue."""

"""Module bench."""

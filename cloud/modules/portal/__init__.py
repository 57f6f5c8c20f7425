"""Module portal."""

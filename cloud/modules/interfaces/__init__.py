"""Module interfaces."""

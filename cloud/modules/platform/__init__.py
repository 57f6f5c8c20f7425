"""Module platform."""

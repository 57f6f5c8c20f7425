"""Module reports."""

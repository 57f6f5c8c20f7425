"""Module qc."""

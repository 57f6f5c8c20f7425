"""Transports: bytes in and out of the machine. None knows what the bytes mean."""

"""What analyzers say, read into one shape: driver descriptions (data), one generic reader, orders."""

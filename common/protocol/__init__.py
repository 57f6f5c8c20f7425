"""Sans-IO protocol cores: bytes in, values out."""

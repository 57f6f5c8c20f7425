"""One-way column, ticket and block formats: bytes to named pieces, nothing interpreted."""

"""One-way column, ticket and block formats."""

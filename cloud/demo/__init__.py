"""The product on one machine with embedded parts and invented people: `jianlian demo`."""

"""The tests; mirrors the tree of the product."""

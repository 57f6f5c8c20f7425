"""What the agent and the cloud must agree on: pure code without I/O, clock, randomness or log."""

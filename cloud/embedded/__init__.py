"""Embedded parts for one machine: PostgreSQL, MQTT broker and CA. For the demo and the tests, never for production."""

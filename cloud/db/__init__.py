"""One PostgreSQL, one transaction, one tenant: base tables, sessions, row security, audit, outbox."""

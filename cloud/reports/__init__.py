"""What the laboratory prints: reports, tube labels, queue tickets, lists. Documents in, bytes out; no database, no clock."""

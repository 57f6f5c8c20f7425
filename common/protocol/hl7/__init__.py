"""HL7 v2 as analyzers speak it."""

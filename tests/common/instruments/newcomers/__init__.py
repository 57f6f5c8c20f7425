"""Kinds of messages from analyzers without a driver, or met in odd states, each with a reading written by hand."""

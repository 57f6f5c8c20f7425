"""Channels: the shells around the protocol cores. One channel is one physical link while it is up."""

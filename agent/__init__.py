"""The edge: programs beside analyzers and kiosks (links, journal, uplink)."""

"""Prometheus: the protocol and the client. Only the client knows the library."""

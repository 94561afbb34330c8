"""The cluster: the protocol, the client, and what is read out of raw objects. Only the client knows the library."""

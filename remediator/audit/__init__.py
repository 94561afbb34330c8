"""Records as they are kept: canonical bytes that never change. Imports nothing of the service."""

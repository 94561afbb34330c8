"""Fixtures of the crash tests."""

from tests.crash.stores import kept, kept_in

__all__ = ["kept", "kept_in"]

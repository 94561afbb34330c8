"""Fixtures of the crash tests."""

from tests.crash.stores import kept

__all__ = ["kept"]

"""Alertmanager as a source of truth: whether an alert is still there, and whether a person asked for quiet."""

"""Tests against a real control plane, Alertmanager and Prometheus on loopback."""

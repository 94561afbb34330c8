"""remediator: alert-driven auto-remediation for Kubernetes. Read `pipeline.py` first."""

"""The embedded cluster and the embedded Prometheus, on loopback: what `remediator demo` and fast tests run against.

Nothing of the service imports this package but the commands that start it. The embedded cluster passes the same
contract suite as a real kube-apiserver (`tests/contract/test_kube.py`), so that the demo cannot lie.
"""

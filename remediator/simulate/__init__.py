"""The embedded cluster and the embedded Prometheus: what `remediator demo`, `test rules` and fast tests run on.

Nothing of the service imports this package but the commands that start it. The embedded cluster passes the same
contract suite as a real kube-apiserver (`tests/contract/test_kube_*.py`), over loopback and within the process, so that
neither the demo nor a story can lie.
"""

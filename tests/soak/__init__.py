"""The long run: the real service under random faults, and what must hold whatever happens.

`python -m tests.soak --minutes 20 --seed 1`. `run.py` conducts; `town.py` breaks workloads and mends what nobody else
does, `courier.py` is the Alertmanager, `gate.py` the network before the API server, `child.py` and `service.py` are the
service as a process of its own, `faults.py` says what goes wrong when, `invariants.py` what must hold all the same.
"""

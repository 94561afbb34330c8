"""Alertmanager's contract, trap by trap, against the real one. `traps.py` says where each trap is tested."""

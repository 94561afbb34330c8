"""What `check` says of files that can be used and are probably not what was meant, and of what they need around them.

Everything here is decided on values that were read before: rule tables, settings, manifests, Alertmanager's and
Prometheus' files. Nothing is written, and only `cli/check.py` calls it.
"""

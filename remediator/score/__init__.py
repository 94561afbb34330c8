"""The scorecard: what happened after each recommendation without us, whether it would have been right, and what a rule
has earned by it.

Beside the way of an alert. `app.py` runs the observer; the HTTP API reads what it judged from the store.
"""

"""The deployment watch: rollouts are seen, kept, watched for two hours, and stable after a day without an incident.

Beside the way of an alert. `app.py` runs it; rules, preconditions and people read what it found from the store.
"""

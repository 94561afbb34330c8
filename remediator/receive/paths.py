"""Where alerts are received: the paths of `server.py`, and what `check alertmanager` compares a webhook's address with."""

PATHS = ("/api/v1/alerts", "/api/v1/alertmanager", "/webhook")

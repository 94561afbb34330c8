"""The paths at which alerts are received: `server.py` serves them, `check alertmanager` looks for them."""

PATHS = ("/api/v1/alerts", "/api/v1/alertmanager", "/webhook")

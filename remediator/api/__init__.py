"""Reading and operating over HTTP: incidents, health, readiness, reload, metrics, the kill switch."""

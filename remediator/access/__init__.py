"""Who may come in and what for: credentials, the web configuration file, and the one question asked of a request."""

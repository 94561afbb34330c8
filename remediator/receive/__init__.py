"""Step 1 of an alert: the webhook, from bytes to stored alerts."""

"""Step 3 of an alert: labels to the one object it is about, or a refusal."""

"""What leaves the service after an incident: its story for people, and the proof that it is the whole story."""

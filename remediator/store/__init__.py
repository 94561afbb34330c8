"""The memory of the service: alerts, remediations, records, in one database."""

"""What users would write by hand around a rule table, made from the table itself so that the two cannot drift apart.

Values in, text out: `cli/generate.py` reads the rules and prints. What comes of the shipped rules is committed under
`deploy/` and compared by a test.
"""

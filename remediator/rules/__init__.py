"""Steps 2 and 5 of an alert: the rule table, how it is loaded, what matches, which row answers."""

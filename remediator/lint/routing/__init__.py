"""Alertmanager's configuration, Prometheus' alerting rules and our rule table read together: does it all reach us?

`config.py` and `alerts.py` read the files of others, `reach.py` walks the routes, `review.py`, `watchdog.py` and
`webhooks.py` say what is wrong. Called by `check alertmanager`.
"""

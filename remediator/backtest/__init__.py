"""What a rule table would have done in the past: Prometheus' alerts played through the service's own code.

**The service's own code, called and not copied:** the loading of rules; `rules.match.match`; `target.resolve` with the
owner walk; the collectors `containers` and `rollout`; `rules.plan.evidence_of`; the conditions of rows by
`rules.when.first_row`; the severity policy and `parts.view_of`; each guard that is asked, as the object in
`guards.GUARDS` and in that order, by `guards.check.check`, and the gates before people are called; the store's
SQL, in memory: intake and what is a repeat, the queue, incidents, the ledger of budgets and what is under way,
cooldowns, storms, shared causes, flapping. Only its queue of calls and its log are left out (`store/direct.py`), and
questions whose answer is known before (`past_store.py`); a test holds both against the whole.

**Of this package:** what was (`fetch.py`, `recording.py`, `episodes.py`); the cluster as kube-state-metrics told it
(`known.py`, `facts.py`, `cluster.py`, `rollouts.py`, `scene.py`); which rows are possible where a condition rests on
something untold (`rows.py`); the order of the steps and what becomes of each answer (`decide.py`, after `pipeline.py`
and `journal.py`); the plan that the guards see, which has no requests, since the objects that an action would change
are not told; and when something that is held is asked again, where nothing can have changed before.

**Assumed**, and printed with every result (`report.ASSUMED`): every rule that is not off is active; alerts reach the
service when they begin to fire; history would have gone on as it did; an action helped, and was under way until the
alert had ended; what could have been done counts in budgets as done.

**Not guessed:** a condition that rests on what history does not tell makes its row possible and not certain, and the
decision names what it needs. `asked.NOT_ASKED` has the guards that cannot be asked, with what they would need.
"""

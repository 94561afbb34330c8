"""`remediator doctor`: every integration tried, read-only, and what to do about what does not work.

The drawer of examinations, in the order of importance: what nothing works without comes first.
"""

from __future__ import annotations

from remediator.doctor.access import ACCESS
from remediator.doctor.alertmanager import ALERTMANAGER
from remediator.doctor.audit import AUDIT
from remediator.doctor.base import Examination
from remediator.doctor.kubernetes import KUBERNETES
from remediator.doctor.prometheus import PROMETHEUS
from remediator.doctor.service import SERVICE
from remediator.doctor.store import STORE
from remediator.doctor.webhook import WEBHOOK

EXAMINATIONS: tuple[Examination, ...] = (
    STORE,
    AUDIT,
    KUBERNETES,
    PROMETHEUS,
    ALERTMANAGER,
    WEBHOOK,
    ACCESS,
    SERVICE,
)

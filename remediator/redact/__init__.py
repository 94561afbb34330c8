"""Takes secrets out of text and objects before anything is stored, printed or sent. Pure.

Whatever comes from outside passes here: logs and event messages (`diagnose/`), the texts of API errors
(`kube/replies.py`, `prometheus/replies.py`), alerts (`receive/payload.py`), what people say (`api/asking.py`), pod
templates on their way into records (`course.py`). Secrets are never read at all. What is found is replaced by
`[redacted]`; the name in front of it stays, so that people still see which setting was printed.

`text.py` is the order: `blocks.py` (what spans lines), `settings.py` (what follows the name of a secret), `forms.py`
(what tells itself by its shape). `objects.py` walks Kubernetes objects.

Every repetition is bounded or ends at the first foreign character, and no text is entered twice, so that the time grows
with the length of the text only: a log is written by whoever can crash a container.

What cannot be found: a secret without a name, a known shape or a known place; the further words of an unquoted
passphrase in the middle of a line.
"""

from __future__ import annotations

from remediator.redact.forms import MASK
from remediator.redact.objects import Redactor, Remembering, redact_object, redact_pair, redact_values
from remediator.redact.text import only_secrets, redact

__all__ = [
    "MASK",
    "Redactor",
    "Remembering",
    "only_secrets",
    "redact",
    "redact_object",
    "redact_pair",
    "redact_values",
]

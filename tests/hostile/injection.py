"""Values that want to be more than values stay values: in PromQL, in the log, on the terminal, in pages, in advice.

10,000 of them, the same each run (`corpora.py`), go through what the service itself uses, and what comes out is read by
readers of the tests (`readers.py`), most of it beside the same made of harmless values. All of them go through a rule's
queries, the log, the command line, the pages and the advice. What is slow gets a sample: each kind of the service's own
expressions, and backquotes, a quarter; Alertmanager's filters, over HTTP, and a running service four hundred each. For
each there is a control: with what makes values harmless taken out, the same reader finds the injection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

FEW = 5
"""Of what was found so much is shown: two thousand findings say no more, and take minutes to compare."""


def unchanged(text: object, **_: Any) -> str:
    """What an escaper is when it is taken out."""
    return str(text)


def turned(values: Sequence[str], count: int) -> Iterator[list[str]]:
    """The values, so many at a time; the last of them with the first again."""
    for first in range(0, len(values), count):
        chunk = list(values[first : first + count])
        yield chunk + list(values[: count - len(chunk)])

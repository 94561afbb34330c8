"""`remediator check rules`: are the rule files right? Reads files only.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 good, 1 errors
found.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

GOOD, FAILED = 0, 1


def rules(paths: Sequence[Path], output: str, *, as_table: bool = False) -> int:
    """Print every error of the rule files together, or one line for each good file. No paths: the shipped rules.

    `as_table`: print the rules as a Markdown table instead.
    """
    from remediator.rules.load import load_rules
    from remediator.rules.report import RulesError
    from remediator.rules.shipped import shipped_rules

    try:
        table = load_rules(*(paths or [shipped_rules()]))
    except RulesError as error:
        problems = [asdict(problem) for problem in error.problems]
        print(json.dumps({"ok": False, "errors": problems}, indent=2) if output == "json" else error)
        return FAILED
    if as_table:
        from remediator.rules.overview import markdown

        print(markdown(table))
        return GOOD
    files = Counter(table.places[rule.name][()].file for rule in table.rules)
    if output == "json":
        print(json.dumps({"ok": True, "errors": [], "files": files, "digest": table.digest}, indent=2))
    else:
        for file, count in files.items():
            print(f"{file}: {count} rule{'' if count == 1 else 's'}, ok")
    return GOOD

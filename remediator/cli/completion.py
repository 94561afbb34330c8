"""`remediator completion SHELL`: prints the script by which a shell asks us what comes next. Edits no file.

typer answers the shell's question itself (`_REMEDIATOR_COMPLETE`); this prints what typer's own
`--show-completion` would, for a shell that is named and not guessed from the parent process.
"""

from __future__ import annotations

import json

from typer.completion import get_completion_script  # type: ignore[attr-defined]  # it is where typer takes it from

from remediator.cli.output import Output

PROGRAM = "remediator"


def script(shell: str, output: Output) -> int:
    """Print it. Returns the exit code."""
    text = get_completion_script(prog_name=PROGRAM, complete_var=f"_{PROGRAM.upper()}_COMPLETE", shell=shell)
    print(json.dumps({"shell": shell, "script": text}, indent=2) if output is Output.JSON else text)
    return 0

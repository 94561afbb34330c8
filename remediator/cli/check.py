"""`remediator check ...`: are the files right, do alerts reach us, and which permissions are needed? Changes nothing.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 good, 1 errors found,
2 misuse, 3 warnings with --lint-fatal.
"""

from __future__ import annotations

import glob
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from remediator.cli.findings import FAILED, GOOD, LINT, MISUSE, Found, tell
from remediator.cli.output import Report, Rights
from remediator.errors import ConfigError, RemediatorError, cut

TIMEOUT_SECONDS = 10.0
MAX_BYTES = 16 * 1024 * 1024


def rules(paths: Sequence[Path], output: str, *, as_table: bool = False, is_fatal: bool = False) -> int:
    """Every mistake of the rule files together, or one line for each good file. No paths: the shipped rules.

    `as_table`: print the rules as a Markdown table instead.
    """
    from remediator.lint.rules import review
    from remediator.rules.load import load_rules
    from remediator.rules.report import RulesError
    from remediator.rules.shipped import shipped_rules

    report = Report(output)
    try:
        table = load_rules(*(paths or [shipped_rules()]))
    except RulesError as error:
        if report is Report.SIMPLE:
            print(error)
            return FAILED
        return tell(Found("check rules", error.problems, ()), report, is_fatal=is_fatal)
    if as_table:
        from remediator.rules.overview import markdown

        print(markdown(table))
        return GOOD
    files = Counter(table.places[rule.name][()].file for rule in table.rules)
    says = [f"{file}: {count} rule{'' if count == 1 else 's'}, ok" for file, count in files.items()]
    more = {"files": files, "digest": table.digest}
    return tell(Found("check rules", review(table), list(files), says, more), report, is_fatal=is_fatal)


def config(files: Sequence[Path], output: str, *, kind: str | None, is_fatal: bool) -> int:
    """Settings, credentials and web configuration files, told apart by their fields."""
    from remediator.lint.settings import check_file

    checked = [(file, check_file(file, kind)) for file in files]
    problems = list(dict.fromkeys(problem for _, one in checked for problem in one.problems))
    says = [f"{file}: {one.kind}, ok" for file, one in checked]
    more = {"files": {str(file): one.kind for file, one in checked}}
    found = Found("check config", problems, [str(file) for file in files], says, more)
    return tell(found, Report(output), is_fatal=is_fatal)


def alertmanager(
    file: Path | None,
    output: str,
    *,
    url: str | None,
    rule_paths: Sequence[Path],
    prometheus_rules: Sequence[str],
    receiver: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    settings_file: Path | None,
    is_fatal: bool,
) -> int:
    """Alertmanager's configuration, from a file or as it runs, with our rules and Prometheus'. The settings say which
    alert is the watchdog."""
    from remediator.lint.routing.alerts import read_alerts
    from remediator.lint.routing.config import read_config
    from remediator.lint.routing.review import review_routing
    from remediator.rules.load import load_rules
    from remediator.rules.report import FileError
    from remediator.rules.shipped import shipped_rules
    from remediator.settings import Settings
    from remediator.watchdog import awaited

    report = Report(output)
    try:
        watchdog = awaited(Settings.load(settings_file, {}))
        name, raw = (str(file), _bytes(file)) if file is not None else _running(url or "", token_file, ca_file)
        table = load_rules(*(rule_paths or [shipped_rules()]))
        raised = read_alerts(_expanded(prometheus_rules))
        problems = review_routing(read_config(name, raw), table, raised, receiver=receiver, watchdog=watchdog)
    except FileError as error:
        if report is Report.SIMPLE:
            print(error)
            return FAILED
        return tell(Found("check alertmanager", error.problems, ()), report, is_fatal=is_fatal)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISUSE
    except RemediatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    known = f"{len(raised)} alerts of Prometheus" if raised else "no Prometheus rules given"
    says = [f"{name}: alerts of {len(table.rules)} rules reach remediator, ok ({known})"]
    more = {"files": [name], "rules": len(table.rules), "alerts": len(raised)}
    return tell(Found("check alertmanager", problems, [name], says, more), report, is_fatal=is_fatal)


def rbac(
    rule_paths: Sequence[Path],
    output: str,
    *,
    mode: str,
    proves: bool,
    settings_file: Path | None,
    has_events: bool,
    manifests: Sequence[Path],
    account: str | None,
    also: Sequence[str],
    is_fatal: bool,
) -> int:
    """Each permission that the rules need, as a table or as roles; or what manifests lack, and grant beyond it."""
    from remediator.cli.rights import comparison, comparison_json, needs_json, needs_lines, roles
    from remediator.lint.manifests import accounts, compare, granted, read
    from remediator.lint.rights import Around, needed
    from remediator.model import Mode
    from remediator.rules.load import load_rules
    from remediator.rules.shipped import shipped_rules
    from remediator.settings import Settings

    form = Rights(output)
    try:
        around = Around() if settings_file is None else Around.of(Settings.load(settings_file, {}))
        table = load_rules(*(rule_paths or [shipped_rules()]))
        objects = read(manifests)
        if account is None and manifests:
            account = _only(accounts(objects))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return MISUSE
    around = replace(around, has_events=around.has_events and has_events)
    needs = needed(table, Mode(mode), around=around, proves=proves)
    if not manifests:
        match form:
            case Rights.JSON:
                print(json.dumps(needs_json(needs), indent=2))
            case Rights.YAML:
                print(roles(needs, mode, account))
            case _:
                print("\n".join(needs_lines(needs)))
        return GOOD
    difference = compare(needs, list(granted(objects, account or "", also=also)))
    if form is Rights.JSON:
        print(json.dumps(comparison_json(difference, account or ""), indent=2))
    else:
        print("\n".join(comparison(difference, account or "")))
    if difference.missing:
        return FAILED
    return LINT if difference.unused and is_fatal else GOOD


def _only(found: Sequence[str]) -> str:
    if len(found) != 1:
        listed = f"several accounts: {', '.join(found)}" if found else "no account: nothing is bound to one"
        raise ConfigError(f"error: the manifests have {listed}; name it with --account NAMESPACE/NAME")
    return found[0]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error


def _expanded(patterns: Sequence[str]) -> list[Path]:
    """Files that no shell expanded are expanded here; a folder stands for its `*.yaml` and `*.yml`."""
    found: list[Path] = []
    for pattern in patterns:
        names = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else [pattern]
        if not names:
            raise ConfigError(f"no file is called {pattern}")
        for name in map(Path, names):
            found += sorted([*name.glob("*.yaml"), *name.glob("*.yml")]) if name.is_dir() else [name]
    return list(dict.fromkeys(found))


def _running(url: str, token_file: Path | None, ca_file: Path | None) -> tuple[str, bytes]:
    """The configuration that an Alertmanager has loaded, by GET /api/v2/status. Raises RemediatorError."""
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    from remediator.alertmanager.trust import trusting
    from remediator.cli.reading import opener, redirection
    from remediator.errors import TransientError

    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url!r} is not the address of an Alertmanager: expected http://host:port")
    address = f"{url.rstrip('/')}/api/v2/status"
    headers = {} if token_file is None else {"Authorization": f"Bearer {_bytes(token_file).decode('ascii').strip()}"}
    asking = opener(trusting(ca_file))
    try:
        with asking.open(urllib.request.Request(address, headers=headers), timeout=TIMEOUT_SECONDS) as answer:
            return address, str(json.loads(answer.read(MAX_BYTES))["config"]["original"]).encode()
    except urllib.error.HTTPError as error:
        if (elsewhere := redirection(error)) is not None:
            raise TransientError(f"{address} {elsewhere} --url") from error
        raise TransientError(f"{address} answered {error.code}") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        why = cut(str(reason))
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise TransientError(f"the certificate of {url} is not trusted, see --ca-file: {why}") from error
        raise TransientError(f"no Alertmanager answers at {url}: {why}") from error
    except (ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        raise TransientError(f"{url} does not answer as an Alertmanager does") from error

"""The configurations that our lint is tested with are ones that the real Alertmanager loads, good and bad alike."""

import subprocess
from pathlib import Path

from typer.testing import CliRunner

from remediator.cli.main import app
from tests.cluster.binaries import Binaries
from tests.cluster.conftest import StartAlertmanager
from tests.unit.lint.alertmanagers import BAD, GOOD


def checked(binaries: Binaries, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [str(binaries["amtool"]), "check-config", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_amtool_accepts_every_configuration(binaries: Binaries) -> None:
    """Else the lint would be proved on files that nobody can run."""
    done = checked(binaries, *GOOD, *BAD)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(GOOD) + len(BAD) >= 30


def test_amtool_refuses_what_is_wrong_for_it(binaries: Binaries, tmp_path: Path) -> None:
    """The negative control: it does look."""
    file = tmp_path / "am.yml"
    file.write_text(GOOD[0].read_text(encoding="utf-8").replace("receiver: humans", "receiver: nobody", 1))
    assert checked(binaries, file).returncode != 0


def test_a_running_alertmanager_is_linted_as_its_file_is(start_alertmanager: StartAlertmanager) -> None:
    """Its API gives the configuration with all defaults written out and every secret masked."""
    good, bad = (file for file in (*GOOD, *BAD) if file.stem in ("plain", "severity"))
    for file, code, said in (
        (good, 0, "rules reach remediator, ok"),
        (bad, 1, 'only severity="critical" is sent to us'),
    ):
        url = start_alertmanager(file.read_text(encoding="utf-8")).url
        done = CliRunner().invoke(app, ["check", "alertmanager", "--url", url])
        assert (done.exit_code, said in done.output) == (code, True), done.output

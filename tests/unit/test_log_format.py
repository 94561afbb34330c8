"""The form of the log: what is cut, what is escaped, and what is not said at all."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from remediator.log_format import configure_logging
from remediator.model import Mode
from remediator.telemetry import Telemetry


@pytest.fixture
def log() -> io.StringIO:
    """A stream to log to."""
    return io.StringIO()


@pytest.mark.parametrize("log_format", ["logfmt", "json", "console"])
def test_foreign_text_cannot_forge_a_line(log: io.StringIO, log_format: str) -> None:
    configure_logging("info", log_format=log_format, stream=log)  # type: ignore[arg-type]
    structlog.get_logger().info("alert received", name="x\nlevel=error event=forged \x1b[2J\u2028\x85")
    logging.getLogger("library").warning("said %s", "y\r\nforged")
    text = log.getvalue()
    assert len(text.splitlines()) == 2
    assert "\x1b[2J" not in text


def test_json_lines_carry_level_time_and_trace(log: io.StringIO) -> None:
    configure_logging("info", log_format="json", stream=log)
    telemetry = Telemetry.create(version="1.2.3", mode=Mode.SILENT)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with telemetry.span("step", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}):
        structlog.get_logger().warning("held", reason="cooldown")
    told = json.loads(log.getvalue())
    assert (told["event"], told["level"], told["reason"], told["trace_id"]) == ("held", "warning", "cooldown", trace)
    assert told["ts"].endswith("Z")


def test_long_values_are_cut(log: io.StringIO) -> None:
    configure_logging("info", log_format="json", stream=log)
    structlog.get_logger().info("alert", description="x" * 100_000)
    assert len(json.loads(log.getvalue())["description"]) == 1024


def test_a_traceback_is_kept_whole(log: io.StringIO) -> None:
    configure_logging("info", log_format="json", stream=log)
    try:
        raise ValueError("x" * 3000)
    except ValueError:
        structlog.get_logger().exception("failed")
    assert json.loads(log.getvalue())["exception"].endswith("x" * 3000)


def test_what_is_below_the_level_is_not_printed(log: io.StringIO) -> None:
    configure_logging("warning", log_format="logfmt", stream=log)
    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")
    assert log.getvalue() == ""


def test_the_client_of_kubernetes_never_logs_bodies(log: io.StringIO) -> None:
    """At debug it prints whole responses, Secrets among them."""
    configure_logging("debug", log_format="logfmt", stream=log)
    logging.getLogger("kubernetes_asyncio.client.rest").debug("response body: hunter2")
    assert "hunter2" not in log.getvalue()

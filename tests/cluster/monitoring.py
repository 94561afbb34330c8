"""A real Alertmanager and a real Prometheus on loopback, with an exporter and a receiver that the test holds.

The way of one alert: `Exporter.set` -> scraped by `Prometheus` -> its rule fires -> `Alertmanager` groups it
-> the webhook of the service, or a `Receiver`.
"""

import json
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.cluster.binaries import Binaries
from tests.cluster.processes import Process, free_ports, plain_environment, wait_until_up

Object = dict[str, Any]

# Prometheus tells Alertmanager that an alert holds for four times this long: at 1s, a pause of 4 s on a busy
# machine would look like `resolved`. It delays neither the first notification of an alert nor its resolution.
RESEND_DELAY = "3s"


def alertmanager_config(webhook_url: str, *, bearer_token: str | None = None) -> Object:
    """One route to one webhook, as fast as Alertmanager goes; change what a test needs otherwise."""
    webhook: Object = {"url": webhook_url, "send_resolved": True}
    if bearer_token is not None:
        webhook["http_config"] = {"authorization": {"type": "Bearer", "credentials": bearer_token}}
    return {
        "route": {
            "receiver": "webhook",
            "group_by": ["alertname", "namespace"],
            "group_wait": "1s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "webhook", "webhook_configs": [webhook]}],
    }


def prometheus_config(
    *, targets: Sequence[str] = (), rule_files: Sequence[Path] = (), alertmanagers: Sequence[str] = ()
) -> Object:
    """Scrape and evaluate every second; targets and alertmanagers are HOST:PORT.

    honor_labels keeps the labels that the exporter's samples carry, as with kube-state-metrics.
    """
    scrape = {"job_name": "rig", "honor_labels": True, "static_configs": [{"targets": list(targets)}]}
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(file) for file in rule_files],
        "scrape_configs": [scrape],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
    }


class _Program:
    """What Alertmanager and Prometheus have in common; started by `with`, or by `start` and `stop`."""

    name: str

    def __init__(self, binaries: Binaries, folder: Path, config: str | Object):
        self._binary: str | Path = binaries[self.name]
        self._folder = folder
        self._process: Process | None = None
        self._port = free_ports(1)[0]
        self._config_file = folder / f"{self.name}.yaml"
        self.log_file = folder / f"{self.name}.log"
        folder.mkdir(parents=True, exist_ok=True)
        self._write_config(config)

    @property
    def target(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"http://{self.target}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until ready. After `stop` it starts again on the same port and storage."""
        files = [f"--config.file={self._config_file}", f"--web.listen-address={self.target}"]
        self._process = Process(
            self.name, [self._binary, *files, *self._flags()], self.log_file, plain_environment(self._folder)
        )
        wait_until_up(self._process, self._is_ready)

    def stop(self) -> None:
        """End the program; its storage and its log stay."""
        if self._process is not None:
            self._process.stop()

    def reload(self, config: str | Object | None = None) -> None:
        """Read the configuration again, a new one if given. Raises HTTPError if the program refuses it."""
        if config is not None:
            self._write_config(config)
        self._call("POST", "/-/reload")

    def log_tails(self, lines: int = 15) -> str:
        """The end of the log, for the report of a failed test."""
        tail = self._process.tail(lines) if self._process else ""
        return f"--- {self.name}, whole log: {self.log_file}\n{tail}"

    def _flags(self) -> list[str]:
        raise NotImplementedError

    def _write_config(self, config: str | Object) -> None:
        self._config_file.write_text(config if isinstance(config, str) else yaml.safe_dump(config))

    def _is_ready(self) -> bool:
        try:
            self._call("GET", "/-/ready")
        except OSError:
            return False
        return True

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as response:
            content = response.read()
            is_json = "json" in response.headers.get("Content-Type", "")
        return json.loads(content) if content and is_json else content.decode()


class Alertmanager(_Program):
    """A running Alertmanager."""

    name = "alertmanager"

    def alerts(self) -> list[Object]:
        """Active alerts (API v2)."""
        return list(self._call("GET", "/api/v2/alerts"))

    def silence(self, labels: Mapping[str, str], *, minutes: int = 10) -> str:
        """Mute what has these labels; the id of the silence."""
        now = time.time()
        times = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (now, now + 60 * minutes)]
        matchers = [{"name": k, "value": v, "isRegex": False, "isEqual": True} for k, v in labels.items()]
        body = {"matchers": matchers, "startsAt": times[0], "endsAt": times[1], "createdBy": "test", "comment": "test"}
        return str(self._call("POST", "/api/v2/silences", body)["silenceID"])

    def expire(self, silence: str) -> None:
        self._call("DELETE", f"/api/v2/silence/{silence}")

    def post_alerts(self, alerts: Sequence[Object]) -> None:
        """Send alerts as a client of API v2: labels, annotations, startsAt, endsAt."""
        self._call("POST", "/api/v2/alerts", list(alerts))

    def _flags(self) -> list[str]:
        return [f"--storage.path={self._folder / 'alertmanager-data'}", "--cluster.listen-address="]


class Prometheus(_Program):
    """A running Prometheus."""

    name = "prometheus"

    def query(self, expression: str) -> list[Object]:
        """The result of an instant query: a list of {metric, value}."""
        arguments = urllib.parse.urlencode({"query": expression})
        return list(self._call("GET", f"/api/v1/query?{arguments}")["data"]["result"])

    def alerts(self) -> list[Object]:
        """Pending and firing alerts."""
        return list(self._call("GET", "/api/v1/alerts")["data"]["alerts"])

    def _is_ready(self) -> bool:
        """Ready, and it knows its targets and Alertmanagers, which takes 5 s from its start.

        Alerts that fire before that are lost until they are sent again.
        """
        if not super()._is_ready():
            return False
        config = yaml.safe_load(self._config_file.read_text()) or {}
        known = self._call("GET", "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
        if len(known) < _targets(config.get("alerting", {}).get("alertmanagers")):
            return False
        scraped = self._call("GET", "/api/v1/targets")["data"]["activeTargets"]
        return len(scraped) >= _targets(config.get("scrape_configs"))

    def _flags(self) -> list[str]:
        return [
            f"--storage.tsdb.path={self._folder / 'prometheus-data'}",
            "--web.enable-lifecycle",
            f"--rules.alert.resend-delay={RESEND_DELAY}",
        ]


class _LoopbackServer:
    """An HTTP server of the test itself, in a thread."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def target(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.target}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Exporter(_LoopbackServer):
    """A scrape target whose samples the test sets: it plays kube-state-metrics, or the application."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._lock = threading.Lock()
        exporter = self

        class Handler(_QuietHandler):
            def do_GET(self) -> None:
                self.answer(200, exporter.exposition().encode(), "text/plain; version=0.0.4; charset=utf-8")

        super().__init__(Handler)

    def set(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """From the next scrape on, this sample has this value."""
        with self._lock:
            self._samples[name, tuple(sorted(labels.items()))] = value

    def remove(self, name: str, labels: Mapping[str, str]) -> None:
        """From the next scrape on, this sample is gone, and stale at once."""
        with self._lock:
            self._samples.pop((name, tuple(sorted(labels.items()))), None)

    def clear(self) -> None:
        """Remove all samples."""
        with self._lock:
            self._samples.clear()

    def exposition(self) -> str:
        """The samples in the text format, those of one name together."""
        with self._lock:
            samples = sorted(self._samples.items())
        return "".join(f"{name}{_braced(labels)} {value!r}\n" for (name, labels), value in samples)


class Receiver(_LoopbackServer):
    """A webhook that keeps what it was sent; plays our service or a chat."""

    def __init__(self) -> None:
        self.payloads: list[Object] = []
        self.requests: list[Object] = []
        self.status = 200
        """What it answers; set it to 500 for a receiver that is ill."""
        receiver = self

        class Handler(_QuietHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                payload = json.loads(body)
                receiver.requests.append(
                    {"path": self.path, "headers": dict(self.headers), "payload": payload, "at": time.time()}
                )
                receiver.payloads.append(payload)
                self.answer(receiver.status, b"{}", "application/json")

        super().__init__(Handler)

    def alerts(self, status: str) -> list[Object]:
        """All alerts received so far with that status, `firing` or `resolved`, in order of arrival."""
        alerts = (alert for payload in list(self.payloads) for alert in payload["alerts"])
        return [alert for alert in alerts if alert["status"] == status]


class _QuietHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: pytest would show it as output of whichever test runs."""


def _targets(sections: Sequence[Object] | None) -> int:
    """How many static targets these sections of a Prometheus configuration name."""
    groups = [group for section in sections or () for group in section.get("static_configs", ())]
    return sum(len(group["targets"]) for group in groups)


def _braced(labels: Sequence[tuple[str, str]]) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels)
    return "{" + ",".join(pairs) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

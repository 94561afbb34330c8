"""What KWOK, the kubelet of the rig, is given: its stages, and the logs of the pods.

What a pod does is chosen by one word in the image of any of its containers:

    crash       CrashLoopBackOff, exit code 1; logs of a Java program if the image says `java`, else Python
    oom         CrashLoopBackOff, last terminated OOMKilled, exit code 137
    imagepull   ImagePullBackOff, Pending
    noconfig    CreateContainerConfigError, Pending
    neverready  running, never ready
    (else)      ready

The annotation FAILURE_ANNOTATION with one of these words (or `ready`) overrides that for the first container,
also on a pod that runs already, until it is taken off; the pod that replaces it does not inherit it.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

STAGES = Path(__file__).parent / "stages"
FAILURE_ANNOTATION = "remediator.test/failure"
READY_AFTER_ANNOTATION = "remediator.test/ready-after"
NODE_DOWN_ANNOTATION = "remediator.test/node-down"

WORDS = "crash|oom|imagepull|noconfig|neverready"
# One expression for all stages, so that exactly one of them claims a pod.
FAILURE = (
    f'(.metadata.annotations["{FAILURE_ANNOTATION}"] //'
    f' ([.spec.containers[].image] | join(" ") | [match("{WORDS}").string][0])) // "ready"'
)

# KWOK reads Logs objects through the API server; the schema is left open, for nobody else writes them.
LOGS_RESOURCE: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "logs.kwok.x-k8s.io"},
    "spec": {
        "group": "kwok.x-k8s.io",
        "names": {"kind": "Logs", "listKind": "LogsList", "plural": "logs", "singular": "logs"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}

HEALTHY_LOG = """\
INFO starting app
INFO connected to database
INFO listening on 0.0.0.0:8080
INFO GET /healthz 200
"""

PYTHON_CRASH_LOG = """\
INFO starting app
Traceback (most recent call last):
  File "/app/main.py", line 42, in <module>
    main()
  File "/app/main.py", line 31, in main
    settings = load_settings(os.environ)
  File "/app/settings.py", line 17, in load_settings
    database_url=environ["DATABASE_URL"],
  File "<frozen os>", line 716, in __getitem__
KeyError: 'DATABASE_URL'
"""

JAVA_CRASH_LOG = """\
INFO  main - Starting Application v2.4.0 using Java 21.0.4
ERROR main - Application run failed
org.springframework.beans.factory.BeanCreationException: Error creating bean with name 'dataSource'
\tat org.springframework.beans.factory.support.ConstructorResolver.instantiate(ConstructorResolver.java:645)
\tat org.springframework.boot.SpringApplication.run(SpringApplication.java:1361)
\tat com.example.app.Application.main(Application.java:12)
Caused by: java.lang.IllegalStateException: Required property 'DATABASE_URL' is not set
\tat com.example.app.Settings.require(Settings.java:57)
\tat com.example.app.Settings.<init>(Settings.java:23)
\t... 18 common frames omitted
"""

# The kernel gives a container no time for a last word.
OOM_LOG = """\
INFO starting app
INFO loading catalogue into memory
INFO loaded 1000000 of 4800000 rows
INFO loaded 2000000 of 4800000 rows
"""

# Tells the previous container's log from the current one's.
PREVIOUS_LINE = "INFO this is the container before the last restart\n"

# Name of a file -> its lines as the program wrote them; pod-crash.yaml says which pod gets which.
POD_LOGS = {
    "healthy.log": HEALTHY_LOG,
    "crash-python.log": PYTHON_CRASH_LOG,
    "crash-python-previous.log": PREVIOUS_LINE + PYTHON_CRASH_LOG,
    "crash-java.log": JAVA_CRASH_LOG,
    "crash-java-previous.log": PREVIOUS_LINE + JAVA_CRASH_LOG,
    "oom.log": OOM_LOG,
}


def cri_format(text: str, ends_at: datetime) -> str:
    """The lines of `text` as the container runtime would have written them, the last one at `ends_at`."""
    lines = text.splitlines()
    first_at = ends_at - timedelta(milliseconds=10 * len(lines))
    return "".join(
        f"{first_at + timedelta(milliseconds=10 * number):%Y-%m-%dT%H:%M:%S.%f}000Z stdout F {line}\n"
        for number, line in enumerate(lines, start=1)
    )


def write_pod_logs(folder: Path) -> None:
    """Write the logs anew with the times of now, so that sinceSeconds finds them also late in a long run."""
    folder.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    for name, text in POD_LOGS.items():
        replace_file(folder / name, cri_format(text, now))


def replace_file(file: Path, text: str) -> None:
    """Write a file at once: a reader sees the old text or the new one."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text(text)
    temporary.replace(file)


def kwok_config(pod_logs: Path) -> str:
    """All stages with their parts filled in, and the log of every pod that no stage gives another."""
    documents = [
        f"""\
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterLogs
metadata: {{name: healthy}}
spec:
  logs:
  - logsFile: "{pod_logs}/healthy.log"
"""
    ]
    for file in sorted(STAGES.glob("*.yaml")):
        text = _with_includes(file.read_text())
        text = text.replace("@FAILURE@", FAILURE).replace("@WORDS@", WORDS).replace("@LOGS@", str(pod_logs))
        documents.append(text)
    return "---\n".join(documents)


def _with_includes(text: str) -> str:
    """Replace each line `@include NAME` by that part, indented alike: KWOK's templates can share nothing."""

    def part(match: re.Match[str]) -> str:
        included = _with_includes((STAGES / "include" / f"{match['name']}.tpl").read_text())
        return "\n".join(match["indent"] + line for line in included.splitlines())

    return re.sub(r"^(?P<indent> *)@include (?P<name>[a-z-]+)$", part, text, flags=re.MULTILINE)

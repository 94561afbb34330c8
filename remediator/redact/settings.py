"""Secrets that tell themselves by the name in front of them: `password=...`, `"api_key": "..."`, `--token ...`.

Called by `redact()`. One search finds the name with what joins it to its value (`_JOINT`); then the value is read as
the notation around it would read it: quoted on any level, a YAML block, the rest of a header, or up to a delimiter.
"""

from __future__ import annotations

import re

from remediator.redact.forms import MASK

_WORD = r"""(?:
    passw(?:or)?d | passphrase | passcode | (?<=[_-])pass(?![a-z]) | (?<!\w)pass(?=["']?=) | (?<=[_-])pw(?![a-z])
  | pwd | storepass | keypass | requirepass | masterauth
  | secret(?!s(?![a-z])) | token(?!s|i[sz]) | credentials? | signature | (?<![a-z])(?:sig|jwt|otp)(?![a-z])
  | (?:api|access|private)[ _-]?key
  | (?:account|admin|auth|client|consumer|decrypt(?:ion)?|deploy|encrypt(?:ion)?|hmac|jwt|license|master|secret|service
     |session|shared|sign(?:ing)?|ssh|ssl|storage|tls)[_-]?key
  | conn(?:ection)?[_-]?str(?:ing)? | sess(?:ion)?[_.-]?(?:id|cookie) | (?:csrf|xsrf)[_-]? | docker(?:configjson|cfg)
  | (?<![a-z])_auth(?=["']?\s{0,3}[=:]) | (?<=["'])auth(?=\\*["']\s{0,3}:\s{0,3}\\*["'])
)"""
"""What the name of a secret contains. What stands before it does not matter; what stands after it may."""

_LINE = r"(?:(?:proxy-)?authorization|(?:set-)?cookie)"
"""Headers: the value is the rest of the line (RFC 9110 11.6, RFC 6265)."""

_CLOSE = r"""(?:\\*["'`]{1,2}|%2[27]|&quot;|&\#(?:3[49]|x2[27]);|&apos;|\\+[ux](?:00)?2[27]|%5D|\])"""
_EQUALS = r"(?:=>|->|:=|={1,2}|:(?!:|//|=)|%3[ad]|\\+[ux](?:00)?3[ad]|&\#(?:61|58);)"

_NAME = rf"(?: (?P<line>(?<![\w-]){_LINE}) | (?P<word>{_WORD})(?P<rest>[\w.-]{{0,40}}) )"

_JOINT = re.compile(
    rf"""(?ix) {_NAME}
    (?: {_CLOSE}?[ \t]{{0,40}}(?P<equals>{_EQUALS})(?P<sep>[ \t]{{0,40}})
      | (?P<pair>{_CLOSE}?[\s,;]{{1,60}}(?:type=\S{{1,20}}\s{{1,10}})?
          {_CLOSE}?value{_CLOSE}?[ \t]{{0,10}}{_EQUALS}[ \t]{{0,40}})
      | (?P<says>[ ](?:is|was|for[ ]\S{{1,60}}[ ]is)[ ]{{1,3}})
      | (?P<part>["'][ ]*(?:;[^\n]{{0,100}})?\n(?:[\w-]{{1,40}}:[^\n]{{0,100}}\n){{0,4}}[ ]*\n)
      | (?P<gap>{_CLOSE}?(?:[ \t]*,\s{{0,40}}|\s{{0,10}}\n[ \t]{{0,40}}-[ \t]{{1,10}}|[ \t]{{1,40}}))
    )"""
)

_TAG = re.compile(r"(?:<|&lt;)[\w:.-]{0,60}(?:\s[^<>]{0,60}[\"'][\w.:-]{0,40})?\Z")
_ELEMENT = re.compile(rf"(?ix) {_NAME} (?:[ \t][^<>\n]{{0,200}}(?<!/)|[\"'])? (?:>(?:<!\[CDATA\[)?|&gt;)")
_ELEMENT_END = {False: re.compile(r"\]\]>|<|\Z"), True: re.compile(r"&lt;/|\Z")}
"""XML: the name is the element's or stands in an attribute (`<entry key="db.password">`), the value is its content."""

_BEGINNING = re.compile(
    r"p(?:ass|w|rivate)|s(?:ecret|ig|ess|ervice|h|s[hl]|torage|torepass|et-)|to(?:ken)|cre?(?:dential)|[jo](?:wt"
    r"|tp)|a(?:pi|ccess|ccount|dmin|uth)"
    r"|c(?:lient|onsumer|onn|srf|ookie)|d(?:ecrypt|eploy|ocker)|encrypt|hmac|keypass|license|master|requirepass"
    r"|proxy-|tls|xsrf|_auth"
)
"""How each alternative of `_JOINT` begins, in lower case: a fast search for where it may be worth trying."""

_NO_SECRET_REST = re.compile(
    r"""(?ix)(?: [._-]? (?:
        age | attempts? | audience | budget | bucket | bytes | class | count(?:er)? | dir(?:ectory)? | enabled
      | endpoint | expir\w* | expires\w* | fields? | files? | format | header | hosts? | index | interval | issuer
      | kind | len(?:gth)? | lifetime | limit | max | min | mode | mount\w* | names? | path | per\w* | polic(?:y|ies)
      | position | prefix | provider | ref | required | rotation | scope | seconds | size | source | stdin | status
      | store
      | timeout | ttl | type | ur[il] | usage | user | version
      | client | config | controller | error | exception | factory | filter | handler | interceptor | manager
      | reconciler | repository | request | response | review | service | validator
      | \.(?:c|cc|cpp|cs|ex|go|java|js|kt|php|py|rb|rs|scala|ts|conf|crt|json|key|pem|txt|ya?ml)
    ))$"""
)
"""Names that say where a secret is, how long it lives or who handles it; and source files and loggers."""

_PLACEHOLDER = re.compile(
    r"""(?ix)(?:
        null | nil | none | true | false | yes | no | undefined | unset | empty | redacted | masked | hidden | filtered
      | [*•]{3,} | x{3,} | \.{3} | …
      | <(?:nil|none|null|unset|empty|redacted|masked|hidden|omitted|not\ set|no\ value
         |set\ to\ the\ key\ '[^'\n]{1,253}'\ (?:in|of)\ (?:secret|config\ map)\ '[^'\n]{1,253}')>
      | \[(?:redacted|masked|hidden|filtered)\]
      | \$\{[a-z_]\w*\} | \$\([a-z_]\w*\) | (?-i:\$[A-Z_][A-Z0-9_]*) | \{\{[^{}\n]*\}\} | %[svdq]
    )(?=[\s,;&)}\]"'`<\\]|\Z)"""
)
"""What says that there is no value, that somebody masked it already, or where it comes from."""

_PROSE = re.compile(
    r"""(?ix)(?:
        a|access|already|also|an|and|at|auth[a-z]*|bad|can(?:not|'t)?|certificate|client|configmap|connection|
        context|could|couldn't|crypto|decoding|delete|denied|dial|did|do|does|doesn't|empty|encoding|eof|error|
        exceeds?|expect[a-z]*|expir[a-z]*|failed|failing|fails|failure|field|for|forbidden|from|get|has|have|
        http|https?|if|illegal|in|incorrect|invalid|io|is|isn't|it|json|jwt|key|length|lookup|malformed|
        mal[a-z]*|may|maximum|minimum|missing|must|name|namespace|need[a-z]*|no|not|oauth2|of|on|only|open|or|
        parse|parsing|password|patch|permission|please|post|put|read|rejected|request|require[ds]?|requires|
        resource|rpc|secrets?|server|service|set|shall|should|signature|stat|system|that|the|this|timeout|tls|
        to|token|too|un[a-z]+|use|user|valid|value|verif[a-z]*|was|we|were|with|without|would|wrong|x509|yaml|
        you|your
    )(?=[.,:;)!"'\]]{0,3}(?:\s|\Z))"""
)
"""How a sentence goes on after "token:". A value that reads so and nothing else is not believed to be one."""

_PATH = re.compile(
    r"/(?:app|config|data|etc|home|mnt|opt|root|run|secrets?|srv|tmp|usr|var|vault)/[\w./-]{1,200}"
    r"(?=[\s\"',;)\]}]|\Z)"
)
_FILE = re.compile(
    r"(?:file:/{0,3})?[\w./\\:-]{1,200}\.(?:pem|key|crt|p12|jks|json|ya?ml|txt)(?=[\s\"',;)\]}]|\Z)", re.IGNORECASE
)

_OPEN = re.compile(
    r"""(?ix)(?-i:[bru]{0,2})(?P<slashes>\\{0,31})
    (?P<mark>\"\"\"|\'\'\'|\"\"(?=[^\s,;)}\]\"\'`\\])|["'`]|%2[27]|&quot;|&\#(?:3[49]|x2[27]);|&apos;|(?<=\\)[ux](?:00)?2[27])"""
)
"""A quote on any level: escaped, doubled as in CSV, tripled as in Python, percent-encoded, as an entity."""

_BARE = re.compile(
    r"""(?x)(?: [^\s,;&"'`)}\]<\\]
      | [,;](?!\s|\Z|\\*["']|[\w.\[\]%-]{1,60}["']?[ \t]{0,3}[=:])
      | &(?!\s|\Z|amp;|quot;|\#|[\w.\[\]%-]{1,60}=)
      | ["'`)}\]](?![\s,;:.)}\]"'`&\\]|</|\Z)
      | \\(?!\\*["'`]|u002[27]|x2[27])
      | <(?!/|!|[a-z]{1,10}[ />])
    )++"""
)
"""A value without quotes. A delimiter inside it ends it only where what follows can be the next thing."""

_MORE_ON_LINE = re.compile(r"[^\n]*?[\s,;&|](?:[a-z][a-z0-9_.-]{1,40}|[A-Z][A-Z0-9_]{1,40}|[A-Z][a-z]{1,20}"
r"(?: [A-Z][a-z]{1,20})?)=")
_FLOW = re.compile(r"[^\n{}]{1,200}?(?=, ?[\w.\"'-]{1,60} ?[=:]|\}|[)\]](?:[\s,;]|\Z))")
_IN_FLOW = re.compile(r"[{\[(,] ?[\w.-]{0,60}\Z")
_NEXT = re.compile(r"[A-Za-z_][\w.-]{0,60}=(?!=|\s|\Z)")
_YAML_BLOCK = re.compile(r"[|>][0-9+-]{0,2}[ \t]*(?:\#[^\n]*)?\n")
_LINE_START = re.compile(
    r"(?:^|\n)(?:\d{4}-\d\d-\d\dT[\d:.]{8,18}Z )?([ \t]{0,60})(?:-[ \t]{1,4}|export[ ]"
    r"|declare -x )?[\"']?[\w.-]{0,60}\Z"
)
_BRACED = re.compile(r"\{(?![\"'}])((?:[^}\n]|\}\})*)\}")
_LISTED = re.compile(r"\[((?:[^\[\]\n]|\[redacted\])*)\]")
_DELIMITER = re.compile(r"[ \t]*(?:[,;:)}\]\\|\n]|\Z)|[ \t]+\w")
_SHELL_QUOTE = "'\"'\"'"
"""How a shell writes a single quote inside a string in single quotes."""

_MAX_LINES_QUOTED = 1_500
"""Characters of the longest quoted value over several lines that is believed."""


def mask_settings(text: str) -> str:
    """`text` with the value of every named secret masked."""
    done, pieces, position = 0, [], 0
    lower = _lower(text)
    while (beginning := _BEGINNING.search(lower, position)) is not None:
        start = beginning.start()
        if _TAG.search(text, max(0, start - 160), start) and (joint := _ELEMENT.match(text, start)) is not None:
            span = _content(text, joint)
        elif (joint := _JOINT.match(text, start)) is not None:
            span = _value_of(text, joint)
        else:
            position = start + 1
            continue
        if span is None or span[0] == span[1]:
            position = joint.end("line" if joint["line"] else "rest")
            continue
        start, end = span
        if text[start:end] != MASK:
            pieces += [text[done:start], MASK]
            done = end
        position = end
    return "".join((*pieces, text[done:]))


def is_secret_name(name: str) -> bool:
    """Whether what has that name (a key, a variable, a header) is to be masked whatever it is."""
    joints = _JOINT.finditer(f"{name}=")
    return any(not (joint["word"] and _NO_SECRET_REST.search(joint["rest"])) for joint in joints)


def _lower(text: str) -> str:
    """`text` in lower case, each character still in its place."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower() if c.isascii() else c for c in text)


def _value_of(text: str, joint: re.Match[str]) -> tuple[int, int] | None:
    """Where the secret begins and ends, without its quotes. None: there is none."""
    start = joint.end()
    if text.startswith(MASK, start):
        return start, start + len(MASK)
    if joint["word"] and _NO_SECRET_REST.search(joint["rest"]):
        return None
    if joint["says"] is not None and joint["rest"]:
        return None
    if joint["gap"] is not None and not _is_argument(text, joint):
        return None
    if joint["word"] and joint["word"].lower() == "pwd" and not joint["rest"] and text.startswith("/", start):
        return None
    if (opened := _OPEN.match(text, start)) is not None and not (joint["part"] and opened["mark"]):
        return _quoted(text, opened)
    if _PLACEHOLDER.match(text, start) or _FILE.match(text, start):
        return None
    if joint["line"]:
        return _rest_of_header(text, joint)
    if joint["part"]:
        return start, _line_end(text, start)
    return _unquoted(text, joint, start)


def _unquoted(text: str, joint: re.Match[str], start: int) -> tuple[int, int] | None:
    is_loose = joint["gap"] is not None or joint["says"] is not None or bool(joint["sep"])
    if is_loose and _PROSE.match(text, start):
        return None
    if joint["sep"] and joint["equals"] == "=" and _NEXT.match(text, start):
        return None  # there is no value
    if (block := _YAML_BLOCK.match(text, start)) is not None:
        return _indented(text, joint, block.end())
    if text.startswith("{", start):
        braced = _BRACED.match(text, start) if joint["equals"] == "=" else None  # ODBC; else an object of its own
        return braced.span(1) if braced else None
    if (listed := _LISTED.match(text, start)) is not None:
        return listed.span(1)
    end = _line_end(text, start)
    if "\n" in joint.group() or (
        _line_start(text, joint) is not None and not joint["gap"] and not _MORE_ON_LINE.match(text, start, end)
    ):
        return start, start + len(text[start:end].rstrip())
    if (joint["equals"] == "=" or joint["sep"]) and _IN_FLOW.search(text, max(0, joint.start() - 62), joint.start()):
        flow = _FLOW.match(text, start)
        if flow is not None:
            return flow.span()
    bare = _BARE.match(text, start)
    return bare.span() if bare is not None else None


def _is_argument(text: str, joint: re.Match[str]) -> bool:
    """Whether the name is a flag, or the first of a pair of strings: what follows it after a gap is its value."""
    start, before = joint.end(), text[max(0, joint.start() - 60) : joint.start()]
    if re.search(r"(?<![\w-])--?[\w.-]{0,50}\Z", before):
        return not text.startswith("-", start) and not _PATH.match(text, start)
    opened = _OPEN.match(text, start)
    is_first = re.search(r"\(\s{0,3}b?[\"'][\w.-]{0,50}\Z", before) is not None
    return is_first and "," in joint["gap"] and opened is not None


def _quoted(text: str, opened: re.Match[str]) -> tuple[int, int]:
    """The inside of a string, up to the quote of the same level; to the end of the line where there is none."""
    start, mark, level = opened.end(), opened["mark"], len(opened["slashes"])
    end = _closing(text, start, mark, level)
    if text[end : end + 1] in ("", "\n") and level == 0:
        later = re.compile(rf"(?<!\\){mark}(?=[ \t]*(?:[\n,;)}}\]]|\Z))").search(text, end, end + _MAX_LINES_QUOTED)
        return start, later.start() if later else end
    after = end + level + len(mark)
    is_joined = level == 0 and end > start and text.startswith(mark, end) and text[after : after + 1].isalnum()
    if is_joined and (more := _BARE.match(text, after)) is not None:
        return start, more.end()  # a shell joins the pieces
    return start, end


def _closing(text: str, start: int, mark: str, level: int) -> int:
    """Where the string ends. `level` is how many backslashes stand before its quotes: 1 in JSON in JSON, then 3, 7.

    A quote after backslashes that would be the end is one only where a delimiter follows: Python writes JSON's `\\"`
    with two. Doubled quotes are none (YAML, SQL), nor are those that a shell puts together.
    """
    escape = "%5C" if mark.startswith("%") else "\\"
    place = start
    for found in re.compile(rf"((?:{re.escape(escape)})*){re.escape(mark)}|\n", re.IGNORECASE).finditer(text, start):
        if found.start() < place:
            continue
        if found.group() == "\n":
            if len(mark) == 3:
                continue
            return found.start()
        slashes, end = len(found[1]) // len(escape), found.end() - len(mark) - level
        if slashes < level:
            return found.start()
        if (slashes - level) // (level + 1) % 2 or (slashes > level and not _DELIMITER.match(text, found.end())):
            continue
        if slashes == 0 and mark in "'\"" and end > start and text.startswith(mark, found.end()):
            place = found.end() + 1
        elif mark == "'" and text.startswith(_SHELL_QUOTE, end):
            place = end + len(_SHELL_QUOTE)
        else:
            return end
    return len(text)


def _content(text: str, joint: re.Match[str]) -> tuple[int, int] | None:
    start = joint.end()
    if _PLACEHOLDER.match(text, start) or (joint["word"] and _NO_SECRET_REST.search(joint["rest"])):
        return None
    is_escaped = joint.group().endswith("&gt;")
    end = _ELEMENT_END[is_escaped].search(text, start)
    return (start, end.start()) if end is not None else (start, _line_end(text, start))


def _rest_of_header(text: str, joint: re.Match[str]) -> tuple[int, int] | None:
    start = joint.end()
    if joint["gap"] is not None or _PROSE.match(text, start):
        return None
    if (listed := _LISTED.match(text, start)) is not None:
        return listed.span(1)
    line = text[max(0, text.rfind("\n", 0, joint.start()) + 1, joint.start() - 1000) : joint.start()]
    end = _line_end(text, start)
    mark = next((mark for mark in "'\"" if line.endswith(mark)), '"' if line.count('"') % 2 else "")
    if mark == "'":
        end = min(end, _closing(text, start, mark, 0))
    elif mark and (closing := re.compile(r"\\*\"|\\+[nr]").search(text, start, end)) is not None:
        end = closing.start()
    return start, start + len(text[start:end].rstrip())


def _indented(text: str, joint: re.Match[str], start: int) -> tuple[int, int] | None:
    """The lines below that stand further to the right than the name's."""
    head = _line_start(text, joint)
    if head is None:
        return None
    own, end = len(head[1]), start
    for line in re.compile(r"([ \t]*)([^\n]*)(?:\n|\Z)").finditer(text, start):
        if not line.group() or (line[2] and len(line[1]) <= own):
            break
        end = line.end(2)
    inside = len(text[start:end]) - len(text[start:end].lstrip())
    return start + inside, end


def _line_start(text: str, joint: re.Match[str]) -> re.Match[str] | None:
    """The line before the name, if there is nothing on it but the name's own beginning."""
    begin = max(0, joint.start() - 150)
    return (
        _LINE_START.search(text[begin : joint.start()]) if begin == 0 or "\n" in text[begin : joint.start()] else None
    )


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end

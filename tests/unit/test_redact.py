"""Redaction: what is taken out, what stays whole, and that time grows with the length of the text only."""

from __future__ import annotations

import time

import pytest

from remediator.redact import MASK, redact

S = "hunter2-Zq81kLmN"
"""The secret of every line below: nothing of it may be left."""

B64 = "MIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx{B64}.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"

SECRETS: list[tuple[str, str, str]] = [
    # form, line, what must be gone
    ("key=value", f"password={S}", S),
    ("key=value", f"DB_PASSWORD={S} retrying", S),
    ("key=value", f"connecting with passwd = {S}", S),
    ("key=value", f"spring.datasource.password={S}", S),
    ("key=value", f"AWS_SECRET_ACCESS_KEY={S}", S),
    ("key: value", f"api_key: {S}", S),
    ("key: value", f"  clientSecret: {S}", S),
    ("key: value", f"x-vault-token:{S}", S),
    ("key: value", f"PGPASSWORD: '{S} with spaces'", "with spaces"),
    ("quoted value", f'password="{S} \\" and more"', "and more"),
    ("quoted value", f"secret='{S}'", S),
    ("JSON", f'{{"user":"a","password":"{S}"}}', S),
    ("JSON", f'{{"apiKey" : "{S}", "x": 1}}', S),
    ("JSON", f'{{"token": {S}}}', S),
    ("JSON in JSON", f'"body":"{{\\"password\\":\\"{S}\\"}}"', S),
    ("Python repr", f"{{'access_token': '{S}'}}", S),
    ("flag", f"exec /bin/app --db-password {S} --port 80", S),
    ("flag", f"/bin/app --api-token={S}", S),
    ("flag", f"mysql -password {S}", S),
    ("prose", f"the password is {S}", S),
    ("prose", f"token for svc-a is {S}", S),
    ("header", f"Authorization: Bearer {S}", S),
    ("header", f"> authorization: Basic {B64}", B64),
    ("header", f'"Authorization": "token {S}"', S),
    ("header", f"Cookie: session={S}; theme=dark", S),
    ("header", f"X-Api-Key: {S}", S),
    ("bearer without header", f"curl failed with bearer {B64}", B64),
    ("JWT", f"claims of {JWT} expired", JWT[:40]),
    ("JWT", f"cut off: {JWT[:50]}", JWT[:50]),
    ("URL userinfo", f"dial postgres://app:{S}@db.shop:5432/orders", S),
    ("URL userinfo", f"https://{S}@git.example/repo.git", S),
    ("URL userinfo", f"amqp+ssl://:{S}@mq", S),
    ("URL query", f"GET /v1/items?id=3&access_token={S}&page=2", S),
    ("signed URL", f"https://s3.example/o?X-Amz-Signature={S}", S),
    ("AWS key id", "using AKIAIOSFODNN7EXAMPLE now", "AKIAIOSFODNN7EXAMPLE"),
    ("GitHub", "remote: ghp_16C7e42F292c6912E7710c838347Ae178B4a", "16C7e42F29"),
    ("GitLab", "glpat-abcdefghij0123456789", "abcdefghij"),
    ("Slack", "post with xoxb-2444333222-abcdefghij", "2444333222"),
    ("Slack", "https://hooks.slack.com/services/T000/B000/XXXXYYYYZZZZ", "XXXXYYYY"),
    ("Stripe", "charge with sk_live_4eC39HqLyjWDarjtT1", "4eC39Hq"),
    ("Google", "key AIzaSyA1234567890abcdefghijklmnopqrstuv", "AIzaSyA"),
    ("OpenAI", "using sk-proj-abcdefghijklmnopqrstuvwx", "abcdefghij"),
    ("Vault", "login hvs.CAESIJabcdefghijklmnopqrst", "CAESIJabc"),
    ("connection string", f"ConnectionString=Server=db;Password={S};", S),
    ("PEM", f"-----BEGIN RSA PRIVATE KEY-----\n{B64}\n{B64}\n-----END RSA PRIVATE KEY-----", B64),
    ("PEM", f"-----BEGIN PRIVATE KEY-----\nDEK-Info: AES-256\n{B64}\n-----END PRIVATE KEY-----", B64),
    ("PEM", f"cut: -----BEGIN OPENSSH PRIVATE KEY-----\n{B64}", B64),
    ("key=value", f"client_secret={S}&grant_type=x", S),
    ("key=value", f"private_key={S}", S),
    ("header", f"Set-Cookie: sid={S}; HttpOnly", S),
    ("header", f"authorization=Basic {S}==", S),
    ("bearer without header", f"got header Bearer {S} from peer", S),
    ("URL userinfo", f"redis://:{S}@cache:6379/0", S),
    ("flag", f"-token {S}", S),
    ("prose", f"secret was {S}", S),
    ("hidden by colours", f"pass\x1b[31mword\x1b[0m={S}", S),
]


@pytest.mark.parametrize(("form", "line", "secret"), SECRETS, ids=[f"{f}-{n}" for n, (f, *_) in enumerate(SECRETS)])
def test_a_secret_does_not_stay(form: str, line: str, secret: str) -> None:
    told = redact(line)

    assert secret not in told
    assert MASK in told


def test_the_table_is_as_broad_as_it_claims() -> None:
    assert len(SECRETS) >= 30
    assert len({form for form, *_ in SECRETS}) >= 15


HARMLESS = [
    "connection refused: dial tcp 10.0.0.7:5432",
    'MountVolume.SetUp failed for volume "api-token" : secret "api-token" not found',
    'configmap "app-config" not found',
    "couldn't find key PASSWORD in Secret shop/db",
    "KeyError: 'EUR'",
    'Back-off pulling image "registry.example:5000/shop/checkout:1.5": ErrImagePull: not found',
    "PWD=/app",
    "max_tokens=4096 temperature=0.2",
    "token is expired, renewing",
    "the password is wrong",
    "GET https://shop.example/items?page=2 200 12ms",
    "at com.example.auth.TokenFilter.doFilter(TokenFilter.java:88)",
    "mail to ops@example.com was sent",
    "level=info msg=\"starting\" version=1.5 commit=9f8e7d6c5b4a39281706",
    "pod checkout-7d4b9c8f6d-x2x9z: exit 137 OOMKilled",
    "Traceback (most recent call last):\n\tFile \"/app/main.py\", line 41",
    "-----BEGIN TEST-----",
    "basic checks passed",
    "listening on 0.0.0.0:8080",
    "TypeError: Router.__init__() missing 1 required positional argument: 'timeout'",
    "GET http://db.shop.svc:8080/healthz 503",
    "2026-11-23T12:00:00Z INFO took 12ms",
]


@pytest.mark.parametrize("line", HARMLESS)
def test_a_harmless_line_stays_whole(line: str) -> None:
    assert redact(line) == line


def test_the_name_of_what_was_printed_stays() -> None:
    assert redact(f"DB_PASSWORD={S}, retry") == f"DB_PASSWORD={MASK}, retry"


def test_terminal_escapes_and_control_characters_go() -> None:
    assert redact("\x1b[1;31mred\x1b[0m\x07 a\tb\nc\r") == "red  a\tb\nc "


def test_redacting_twice_changes_nothing_more() -> None:
    for _, line, _ in SECRETS:
        assert redact(redact(line)) == redact(line)


SIZE = 100 * 1024
ADVERSARIAL = [
    "a",
    "a.",
    "a-",
    "-",
    "--a",
    "password",
    "password ",
    "password=",
    'password="',
    "password'",
    'password\\"',
    'token="\\',
    "token for ",
    "token is ",
    "x://",
    "://a",
    "a+",
    "eyJ",
    "eyJabcdef.",
    "-eyJ",
    "AKIA",
    "ghp_",
    "xoxb-",
    "sk-",
    "SG.aaaaaaaaaaaaaaaaaa",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "PRIVATE KEY",
    "authorization",
    "authorization: ",
    "bearer ",
    "basic a",
    "\x1b[",
    "\x1b[0;",
    " ",
    "=",
]


@pytest.mark.parametrize("unit", ADVERSARIAL)
def test_time_grows_with_the_length_only(unit: str) -> None:
    """100 KiB of it: milliseconds where time is linear, a minute and more where it is quadratic."""
    long = unit * (SIZE // len(unit))
    for text in (long, f"-----BEGIN {long}", f"'{long}"):
        started = time.process_time()
        redact(text)
        assert time.process_time() - started < 1.5

"""The table of secrets that tell themselves by their shape: a prefix, a place in a URL or in a command line.

Tried by `text.py` after the blocks and the named values. Sources name who defines the shape; most are also in the rule
sets of Yelp/detect-secrets, gitleaks and trufflehog.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

MASK = "[redacted]"


@dataclass(frozen=True, slots=True)
class Form:
    """One shape. `replacement` is what `re.sub` takes; it keeps what is not secret of the match.

    `words`: where none of them is in the text in lower case, the pattern need not be tried.
    """

    name: str
    source: str
    words: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]

    def mask(self, text: str, lower: str) -> str:
        """`text` with each match replaced; `lower` is `text` in lower case."""
        for word in self.words:
            if word in lower:
                return self.pattern.sub(self.replacement, text)
        return text


def _form(name: str, source: str, words: tuple[str, ...], pattern: str, replacement: str = MASK) -> Form:
    return Form(name, source, words, re.compile(pattern), replacement)


_TOKEN = r"[^\s\"'`<>\\]"
_NO_WORD = r"(?![A-Z]?[a-z]+(?:-[a-z]+)?(?![\w.~+/=-]))"
"""Not a word of a sentence: "basic authentication failed"."""

FORMS: tuple[Form, ...] = (
    # what stands in headers and URLs
    _form(
        "scheme and credentials",
        "RFC 9110 11.4; RFC 6750, RFC 7617",
        ("bearer", "basic", "negotiate", "aws4"),
        rf"(?i)\b(bearer|basic|negotiate|aws4-hmac-sha256)((?:\s|%20|\+){{1,5}}){_NO_WORD}"
        rf"(?!realm=)[A-Za-z0-9._~+/%=-]{{8,}}",
        rf"\1\2{MASK}",
    ),
    _form("JWT", 'RFC 7519: base64url of {"', ("eyj",), r"(?<![\w-])eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){0,4}"),
    _form(
        "URL userinfo with a password",
        "RFC 3986 3.2.1; as people write it, with / and @ in the password",
        ("://",),
        r"(://[^\s/:@\"'`<>\[\]]{0,100}:)(?!\d{1,5}(?:[/?#\s]|\Z))(?:[^\s/\"'`<>]{1,500}@|[^\s@\"'`<>]{1,500}@)",
        rf"\1{MASK}@",
    ),
    _form(
        "URL userinfo",
        "RFC 3986 3.2.1",
        ("://",),
        r"(://)(?![^\s/:@]{0,100}:\[redacted\]@)[^\s/@?#\"'`<>]{1,500}@",
        rf"\1{MASK}@",
    ),
    _form(
        "URL userinfo, encoded",
        "RFC 3986 2.1",
        ("%3a%2f%2f",),
        r"(?i)(%3a%2f%2f(?:(?!%40|%2f)[^\s&\"'<>@]){0,100}?(?:%3a|:))(?:(?!%40|%2f)[^\s&\"'<>@]){1,500}(?=%40|@)",
        rf"\1{MASK}",
    ),
    _form(
        "DSN without a scheme",
        "go-sql-driver/mysql README (DSN); user:password@host:port",
        ("@",),
        r"(?<![\w@/:.-])([\w.-]{1,60}:)(?!//)[^\s\"'`<>@]{1,200}@(?=(?:tcp|unix|cloudsql\S{0,10})\(|"
        r"(?!sha\d)[\w.-]{1,120}:\d{2,5}\b)",
        rf"\1{MASK}@",
    ),
    _form(
        "Oracle logon",
        "Oracle JDBC: jdbc:oracle:thin:user/password@",
        ("oracle", "sqlplus"),
        r"(?i)((?:jdbc:oracle:\w{2,10}:|\bsqlplus\s+(?:-\w+\s+)?)[^\s/@]{1,60}/)[^\s@]{1,200}(?=@)",
        rf"\1{MASK}",
    ),
    _form(
        "URL query",
        "RFC 6749 4.1.2 (code); Azure SAS (sig); Google (key)",
        ("key=", "sig=", "code=", "auth=", "hmac=", "sas=", "assertion=", "%3d"),
        r"(?i)((?:[?&;]|&amp;|%3f|%26)(?:key|sig|code|auth|hmac|sas|assertion)(?:=|%3d))"
        r"(?!\[redacted\])[^\s&\"'`<>;,)]{6,}",
        rf"\1{MASK}",
    ),
    _form(
        "webhook URL",
        "Slack, Discord, Microsoft Teams, Google Chat, Mattermost: incoming webhooks",
        ("hooks.slack.com", "/api/webhooks", "webhook.office", "logic.azure"),
        r"(https://(?:hooks\.slack\.com/(?:services|workflows|triggers)|(?:\w{1,10}\.)?discord"
        r"(?:app)?\.com/api/webhooks"
        r"|[\w.-]{1,60}\.(?:webhook\.office|logic\.azure)\.com)/)[^\s\"'<>]{10,}",
        rf"\1{MASK}",
    ),
    # command lines and protocols
    _form(
        "user:password of curl",
        "curl(1): -u, --user, --proxy-user, -U",
        ("-u", "--user", "--proxy-user"),
        r"((?<![\w-])(?:-u|-U|--user|--proxy-user)(?:(?:\\*[\"'])?,\s*|\s+|=)?"
        r"(?:(?P<q>\\*[\"'])[\w.@\\+-]{1,100}:(?=((?:'\"'\"'|(?!(?P=q))[^\n])+))|[\w.@\\+-]{1,100}:(?!\d+\b)"
        r"(?=([^\s\"']\S*))))(?:\3|\4)",
        rf"\1{MASK}",
    ),
    _form(
        "-p of a client",
        "mysql(1), mongosh(1), sshpass(1), docker-login(1), smbclient(1)",
        ("mysql", "mariadb", "mongo", "sshpass", " login"),
        r"((?:\bmysql\w{0,8}|\bmariadb[\w-]{0,8}|\bmongo\w{0,8}|\bsshpass|\b(?:docker|podman|registry"
        r"|helm) login)\b[^\n|;]{0,200}?"
        r"\s-p[ =]?)(?!\s|\[redacted\]|-|e\b)(?:\\*'[^'\n]*'|\\*\"[^\"\n]*\"|[^\s\"']+)",
        rf"\1{MASK}",
    ),
    _form(
        "-a and -w of a client",
        "redis-cli(1), ldapsearch(1)",
        ("redis-cli", "valkey-cli", "ldap"),
        r"(\b(?:redis-cli|valkey-cli|ldap(?:search|modify|add|whoami))\b[^\n|;]{0,200}?\s-[aw] ?)(?!\s"
        r"|\[redacted\]|-)\S+",
        rf"\1{MASK}",
    ),
    _form(
        "AUTH",
        "Redis AUTH, CONFIG SET requirepass; SMTP and SASL are base64",
        ("auth", "requirepass"),
        r"(?i)((?<![\w-])(?:\"?auth\"? +\"|requirepass[\"']? +[\"']?|masterauth[\"']? +[\"']?|AUTH (?:PLAIN|LOGIN) ))"
        r"(?!\[redacted\])(?:default\"? +\"?)?[^\s\"'`]{4,}",
        rf"\1{MASK}",
    ),
    _form(
        "pass: of openssl",
        "openssl-passphrase-options(1)",
        ("pass:",),
        r"(-pass(?:in|out)?\s+[\"']?pass:|\bpass:(?=\S{8}))(?!\[redacted\])[^\s\"']+",
        rf"\1{MASK}",
    ),
    _form(
        "user%password",
        "smbclient(1)",
        ("smbclient",),
        r"(\bsmbclient\b[^\n|;]{0,200}?\s-U ?[\"']?[\w.\\@-]{1,60}%)(?!\[redacted\])[^\s\"']+",
        rf"\1{MASK}",
    ),
    _form(
        "SQL",
        "CREATE USER of PostgreSQL, MySQL, Oracle, SQL Server",
        ("password", "identified"),
        r"(?i)(\b(?:password|identified\s+(?:with\s+\S{1,40}\s+)?by(?:\s+values)?)\s{1,5}(?P<q>'|\"))"
        r"(?!\[redacted\])(?!yes\b|no\b)"
        r"(?:[^'\"\n\\]|\\.|''|(?!(?P=q))['\"])++",
        rf"\1{MASK}",
    ),
    _form(
        ".netrc",
        "GNU inetutils .netrc",
        ("login",),
        r"(?i)(\blogin\s+\S{1,100}\s+password\s+)(?!\[redacted\])\S+",
        rf"\1{MASK}",
    ),
    _form(
        "password hash",
        "crypt(5); PHC string format; Django; PostgreSQL SCRAM",
        ("$", "scram-sha", "{sha", "{ssha"),
        r"\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2\w{1,2}|scrypt|pbkdf2[\w-]{0,10})\$[\w./$=,+-]{20,}"
        r"|\bpbkdf2_sha\d{1,3}\$[\w./$=+-]{20,}|SCRAM-SHA-256\$[\w./$=:+-]{20,}|\{S?SHA\d{0,3}\}[\w./+=]{20,}",
    ),
    _form(
        "printed password",
        "first starts of databases and dashboards (MySQL, Elasticsearch, Argo CD)",
        (" for ",),
        r"(?i)(\b(?:password|passphrase|token|secret)[^\n:.=]{0,20} for [^\n:=]{1,60}:\s{1,5})"
        r"(?!\[redacted\])(?=[^\s]*\d|\S*[^\w\s.,])(?=\S{8})\S+",
        rf"\1{MASK}",
    ),
    _form(
        "password in a sentence",
        "seen in application logs",
        ("password ", "passphrase ", "token ", "secret ", "api key "),
        r"(?i)(\b(?:with|using|new|default|temporary|generated|initial|admin)\s(?:password|passphrase|token"
        r"|secret|api key)\s{1,3}[\"'(]?)"
        r"(?=[^\s\"']{0,60}\d)(?=[^\s\"']{0,60}[a-z])[^\s\"']{8,}",
        rf"\1{MASK}",
    ),
    # tokens with a prefix
    _form(
        "AWS key id",
        "IAM identifiers: prefixes of unique ids",
        ("akia", "asia", "agpa", "aida", "aroa", "abia", "acca", "anpa", "anva", "apka"),
        r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ABIA|ACCA|ANPA|ANVA|APKA)[A-Z0-9]{12,}",
    ),
    _form(
        "AWS Bedrock key",
        "AWS: API keys",
        ("absk", "bedrock-"),
        r"\b(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/=]{20,}",
    ),
    _form(
        "Google",
        "gitleaks: gcp-api-key; OAuth access, refresh and client secrets",
        ("aiza", "ya29.", "gocspx", "1//0"),
        r"\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}|\bGOCSPX-[\w-]{20,}|(?<![\w/])1//0[\w-]{20,}",
    ),
    _form(
        "Azure",
        "Entra client secrets; storage, Cosmos and Service Bus keys (AccountKey) by name",
        ("q~", "jqqj99"),
        r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])|\b[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}\b",
    ),
    _form(
        "GitHub, GitLab",
        "GitHub and GitLab: token prefixes",
        (
            "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glcbt-",
            "glptt-", "glft-", "glimt-", "glagent-", "glsoat-", "glffct-", "gloas-", "gr1348941",
        ),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct"
        r"|oas)-[\w.-]{16,}|GR1348941[\w-]{16,})",
    ),
    _form(
        "Slack",
        "Slack: token types",
        ("xox", "xapp", "xwfp"),
        r"\b(?:xox[abeoprs]|xapp|xwfp)-[\w-]{10,}",
    ),
    _form(
        "Stripe",
        "Stripe: API keys",
        ("_live_", "_test_", "whsec_"),
        r"\b(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,}|\bwhsec_[A-Za-z0-9+/=]{16,}",
    ),
    _form(
        "OpenAI, Anthropic, Hugging Face",
        "gitleaks rules of those names",
        ("sk-", "hf_", "gsk_", "xai-"),
        r"(?<![\w-])sk-[\w-]{20,}|\bhf_[A-Za-z0-9]{24,}|\bgsk_[A-Za-z0-9]{24,}|\bxai-[A-Za-z0-9]{24,}",
    ),
    _form(
        "Vault",
        "HashiCorp Vault: token formats",
        ("hvs.", "hvb.", "hvr."),
        r"\bhv[sbr]\.[\w-]{20,}",
    ),
    _form(
        "Terraform Cloud", "gitleaks: hashicorp-tf-api-token", ("atlasv1",), r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{40,}"
    ),
    _form(
        "package registries",
        "npm, PyPI, RubyGems, NuGet, crates.io, Docker Hub: token prefixes",
        ("npm_", "pypi-", "rubygems_", "oy2", "cio", "dckr_"),
        r"\bnpm_[A-Za-z0-9]{30,}|\bpypi-[\w-]{30,}|\brubygems_[a-f0-9]{40,}|\boy2[a-z0-9]{43}\b"
        r"|\bcio[A-Za-z0-9]{32}\b|\bdckr_(?:pat|oat)_[\w-]{20,}",
    ),
    _form(
        "senders",
        "SendGrid, Mailgun, Mailchimp, Twilio, Telegram",
        ("sg.", "key-", "-us", "sk", ":aa"),
        r"\bSG\.[\w-]{16,100}\.[\w-]{16,}|\bkey-[0-9a-f]{32}\b|\b[0-9a-f]{32}-us\d{1,2}\b|\bSK[0-9a-f]{32}\b"
        r"|(?:\b|(?<=bot))\d{8,10}:AA[\w-]{33}",
    ),
    _form(
        "clouds and tools",
        "DigitalOcean, Databricks, Grafana, Atlassian, Shopify, Linear, Doppler, PlanetScale, New Relic, Sentry",
        (
            "_v1_", "dapi", "gla_", "glsa_", "glc_", "atatt3", "atctt3", "shpat_", "shpca_", "shppa_", "shpss_",
            "lin_api_", "dp.", "pscale_", "nrak-", "sntr", "pul-", "pmak-", "sq0",
        ),
        r"\bdo[opr]_v1_[a-f0-9]{40,}|\bdapi[a-f0-9]{32}|\bgls?a_[\w-]{20,}|\bglc_[\w+/=-]{20,}|\bglsa_[\w-]{20,}"
        r"|\bATATT3[\w=-]{20,}|\bATCTT3[\w=-]{20,}"
        r"|\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|\blin_api_[A-Za-z0-9]{30,}|\bdp\.(?:pt|st|ct|sa|scim"
        r"|audit)\.[\w.-]{30,}"
        r"|\bpscale_(?:tkn|pw|oauth)_[\w.=-]{20,}|\bNRAK-[A-Z0-9]{20,}|\bsntr[yu]s_[\w=+/-]{20,}"
        r"|\bpul-[a-f0-9]{40}|\bPMAK-[a-f0-9-]{40,}|\bsq0(?:atp|csp|idp)-[\w-]{20,}",
    ),
    _form("age key", "age-encryption.org/v1", ("age-secret",), r"\bAGE-SECRET-KEY-1[A-Z0-9]{20,}"),
    _form(
        "kubeadm bootstrap token",
        "kubeadm token",
        ("token",),
        r"((?:--token|join-token|bootstrap-token-)\s{0,3})[a-z0-9]{6}\.[a-z0-9]{16}\b",
        rf"\1{MASK}",
    ),
)

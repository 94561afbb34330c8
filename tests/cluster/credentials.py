"""Who talks to the control plane of the rig: users with static tokens, their kubeconfig, the signing key."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ADMIN = "admin"
ACTIVE = "system:serviceaccount:remediator:remediator-active"
SILENT = "system:serviceaccount:remediator:remediator-silent"
NOBODY = "nobody-else"

CONTROLLER_MANAGER = "system:kube-controller-manager"
SCHEDULER = "system:kube-scheduler"
KWOK = "rig:kwok"

MASTERS = ("system:masters",)
SERVICE_ACCOUNTS = ("system:serviceaccounts", "system:serviceaccounts:remediator", "system:authenticated")

# User name -> groups. The API server knows them by static tokens, so that bindings to ServiceAccounts hold
# without tokens that expire. The programs have names of their own, to tell them apart in the audit log.
USERS: Mapping[str, Sequence[str]] = {
    ADMIN: MASTERS,
    ACTIVE: SERVICE_ACCOUNTS,
    SILENT: SERVICE_ACCOUNTS,
    NOBODY: (),
    CONTROLLER_MANAGER: MASTERS,
    SCHEDULER: MASTERS,
    KWOK: MASTERS,
}

# DER of an EC private key on P-256 around its 32 bytes (RFC 5915); the public half may be left out.
EC_KEY_HEAD = bytes.fromhex("30310201010420")
EC_KEY_TAIL = bytes.fromhex("a00a06082a8648ce3d030107")


def new_tokens() -> dict[str, str]:
    """User name -> a token for this run."""
    return {user: secrets.token_hex(16) for user in USERS}


def token_file(tokens: Mapping[str, str]) -> str:
    """The text for --token-auth-file: token, name, uid, groups."""
    rows = (f'{tokens[user]},{user},{user},"{",".join(groups)}"\n' for user, groups in USERS.items())
    return "".join(rows)


def kubeconfig(url: str, ca_file: Path, user: str, token: str) -> dict[str, Any]:
    """A kubeconfig with one context, `rig`."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "rig", "cluster": {"server": url, "certificate-authority": str(ca_file)}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": user}}],
        "current-context": "rig",
    }


def new_signing_key() -> str:
    """A private key in PEM for the tokens of ServiceAccounts; needs neither openssl nor a library."""
    # Any number from 1 to the order of the curve is a private key; 31 random bytes stay below it.
    number = bytes(1) + secrets.token_bytes(31)
    body = base64.encodebytes(EC_KEY_HEAD + number + EC_KEY_TAIL).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{body}-----END EC PRIVATE KEY-----\n"

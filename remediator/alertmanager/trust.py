"""Whose certificates of an Alertmanager are believed: the system's authorities, or those of one file.

Called by `client.py`, `status.py` and `check alertmanager --url`.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from remediator.errors import ConfigError


def trusting(ca_file: Path | None) -> ssl.SSLContext | None:
    """What to verify with; None, for no file: as the library does by itself. Raises ConfigError."""
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except FileNotFoundError as error:
        raise ConfigError(f"CA file {ca_file} of Alertmanager does not exist") from error
    except ssl.SSLError as error:
        raise ConfigError(f"CA file {ca_file} of Alertmanager holds no certificate (PEM)") from error
    except OSError as error:
        raise ConfigError(f"CA file {ca_file} of Alertmanager cannot be read: {error.strerror or error}") from error

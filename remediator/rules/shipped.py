"""Where the rules are that come with the package. For commands and settings that were given none."""

from __future__ import annotations

from pathlib import Path


def shipped_rules() -> Path:
    """The folder of the shipped rules: `remediator/shipped_rules/` in a wheel, `rules/` in a checkout.

    Raises FileNotFoundError when neither is there, which is a broken installation.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "shipped_rules", package.parent / "rules"):
        if (folder / "default.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no shipped rules beside {package}; install the package again")

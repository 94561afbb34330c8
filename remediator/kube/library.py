"""What is used of kubernetes_asyncio: credentials and the HTTP client, without the 900 generated classes around them.

Importing the package as it is brings in all its API groups and models, 37 MiB and a third of our start; nothing here
asks them anything: paths and bodies are ours. So its packages stand in `sys.modules` as folders only, and of them is
imported what is named below. Whoever imported the package whole before us keeps it whole. Called by `credentials.py`
and `session.py`; nothing else may import the library.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_NAME = "kubernetes_asyncio"


def _folder(name: str, path: Path) -> ModuleType:
    """A package whose modules can be imported, and whose own `__init__.py` is not run."""
    package = ModuleType(name)
    package.__path__ = [str(path)]
    package.__spec__ = ModuleSpec(name, None, is_package=True)
    sys.modules[name] = package
    return package


def _without_models() -> None:
    found = find_spec(_NAME)
    if found is None or not found.submodule_search_locations:
        return  # the import below says what is missing
    try:
        _import_inner(Path(found.submodule_search_locations[0]))
    except (ImportError, AttributeError):
        # Its inside is not what it was when this was written: then whole, and slower.
        for name in [name for name in sys.modules if name.partition(".")[0] == _NAME]:
            del sys.modules[name]


def _import_inner(root: Path) -> None:
    library = _folder(_NAME, root)
    client = _folder(f"{_NAME}.client", root / "client")
    models = _folder(f"{_NAME}.client.models", root / "client" / "models")
    library.client, client.models = client, models  # type: ignore[attr-defined]
    from kubernetes_asyncio.client.api_client import ApiClient
    from kubernetes_asyncio.client.configuration import Configuration

    # Where `kubernetes_asyncio.config` looks for them.
    client.ApiClient, client.Configuration = ApiClient, Configuration  # type: ignore[attr-defined]


if _NAME not in sys.modules:
    _without_models()

from kubernetes_asyncio.client import ApiClient, Configuration  # noqa: E402
from kubernetes_asyncio.config import ConfigException, load_kube_config  # noqa: E402
from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader  # noqa: E402

__all__ = ["ApiClient", "ConfigException", "Configuration", "InClusterConfigLoader", "load_kube_config"]

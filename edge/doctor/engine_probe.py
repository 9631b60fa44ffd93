"""Probe of an optional engine: load its package in a subprocess, which may crash.

`python -m edgeloop.edge.doctor.engine_probe ncnn` loads it and prints the outcome in its last line. Whether
a device is behind the engine only a model file tells: `edgeloop verify FILE`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import packages_distributions, version

from edgeloop.edge.doctor.provider_probe import probe
from edgeloop.edge.engines.open_engine import ENGINES, installed_engines

__all__ = ["EngineHealth", "examine_engines"]

_COMMAND = (sys.executable, "-P", "-m", "edgeloop.edge.doctor.engine_probe")


@dataclass(frozen=True)
class EngineHealth:
    """Optional engine.

    Attributes:
        name: Name of the engine.
        suffix: Suffix of its files.
        version: Version of its package; "" if it is not installed.
        devices: Values of `--provider` for its files, the first one the default.
        works: True if its package loads.
        reason: Reason if it does not.
    """

    name: str
    suffix: str
    version: str
    devices: tuple[str, ...]
    works: bool
    reason: str


def examine_engines() -> list[EngineHealth]:
    """Examine every engine beside onnxruntime."""
    here = installed_engines()
    packages = packages_distributions()
    found = []
    for name, kind in ENGINES.items():
        reason = probe(name, _COMMAND) if here[name] else kind.advice
        owners = packages.get(kind.package.partition(".")[0], []) if here[name] else []
        installed = version(owners[0]) if owners else ""
        found.append(EngineHealth(name, kind.suffix, installed, kind.providers, not reason, reason))
    return found


def _try(name: str) -> str:
    try:
        # First the module of the engine, which keeps the package from reporting home.
        import_module(f"edgeloop.edge.engines.{ENGINES[name].opener.partition(':')[0]}")
        import_module(ENGINES[name].package)
    except Exception as error:  # a package may raise anything while it loads
        return f"does not load ({type(error).__name__}: {str(error).strip().partition(chr(10))[0]})"
    return ""


if __name__ == "__main__":
    print(json.dumps({"reason": _try(sys.argv[1])}))

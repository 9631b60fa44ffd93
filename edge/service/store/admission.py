"""Check of a model file before it enters the store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgeloop.edge.engines.open_engine import engine_of
from edgeloop.edge.host.file_names import printable_name
from edgeloop.edge.runtime.verification import verify
from edgeloop.edge.service.store.store_state import InstalledModel
from edgeloop.models.bundle.document import WeightPrecision
from edgeloop.models.errors import ModelError, NoInputError
from edgeloop.models.facts.facts_path import facts_path

__all__ = ["Admitted", "admit_model"]


@dataclass(frozen=True, slots=True, eq=False)
class Admitted:
    """Model file that was checked.

    Attributes:
        model: Its entry in the store.
        content: Content of the file.
        facts: Content of its facts; empty if it explains itself.
        names: Class names.
    """

    model: InstalledModel
    content: bytes
    facts: bytes
    names: Sequence[str]


def admit_model(
    path: Path,
    *,
    provider: str = "auto",
    allow_cpu: bool = False,
    tolerance: WeightPrecision | None = None,
    unproven: bool = False,
) -> Admitted:
    """Check that a model is whole, runs on this device, and computes what it did where it was exported.

    Args:
        path: Model file.
        provider: As for `Detector`.
        allow_cpu: As for `Detector`.
        tolerance: Precision whose rounding errors are accepted; None for the bundle's own.
        unproven: Accept a file without a checksum or a golden sample.

    Returns:
        The model.

    Raises:
        NoInputError: The file does not exist.
        ModelError: The file is damaged, no supported detector, computes something else, or is not proven.
        UnavailableError: The provider does not work here, or does not support the whole model.
    """
    content, facts = _read(path)
    found = verify(path, provider=provider, allow_cpu=allow_cpu, tolerance=tolerance)
    if _read(path) != (content, facts):
        raise ModelError(f"{path}: was changed while it was read; install it again")
    golden = found.golden
    if golden.verdict == "different":
        raise ModelError(f"{path}: computes something else on {found.placement.provider}: {golden.reason}")
    proven = found.sealed and golden.passed
    if not proven and not unproven:
        reason = golden.reason if found.sealed else "the file carries no digest; export it with edgeloop"
        raise ModelError(f"{path}: not proven: {reason}; --unproven installs it all the same")
    model = InstalledModel(
        digest=hashlib.sha256(facts or content).hexdigest(),
        suffix=path.suffix.lower() if facts else ".onnx",
        origin=printable_name(path.name)[:255],
        installed=datetime.now(UTC).isoformat(timespec="seconds"),
        proven=proven,
        provider=found.placement.provider,
        latency_ms=round(found.latency_ms, 3),
    )
    return Admitted(model, content, facts, found.spec.names)


def _read(path: Path) -> tuple[bytes, bytes]:
    """Read a model file, and its facts if its engine needs some."""
    try:
        content = path.read_bytes()
        beside = facts_path(path)
        facts = beside.read_bytes() if engine_of(path) != "onnxruntime" and beside.is_file() else b""
    except OSError as error:
        raise NoInputError(f"{path}: cannot be read ({error.strerror})") from error
    return content, facts

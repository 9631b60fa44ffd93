"""`edgeloop verify`: the golden sample of a bundle on this device."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import click

from edgeloop.edge.cli.options import placement_options
from edgeloop.edge.runtime.verification import Verification
from edgeloop.edge.runtime.verification import verify as verify_bundle
from edgeloop.models.bundle.document import WeightPrecision
from edgeloop.models.bundle.golden import TOLERANCES, Difference
from edgeloop.models.errors import ModelError

__all__ = ["verify"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@placement_options
@click.option(
    "--tolerance",
    type=click.Choice(list(TOLERANCES)),
    help="Precision whose rounding error is accepted, if the provider computes in less than the bundle's.  "
    "[default: the bundle's]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(
    model: Path, provider: str, allow_cpu: bool, tolerance: WeightPrecision | None, as_json: bool
) -> None:
    """Check that a bundle computes the same here as where it was made.

    MODEL is a file that `edgeloop export` wrote. Its golden sample is run again on this device. Exit
    code 0: the file is undamaged, and the output is identical or within tolerance. Exit code 65: it is not,
    or the file holds nothing to compare with.
    """
    found = verify_bundle(model, provider=provider, allow_cpu=allow_cpu, tolerance=tolerance)
    click.echo(_json(found) if as_json else _text(found))
    golden = found.golden
    if not golden.passed:
        verdict = golden.verdict.upper()
        raise ModelError(f"{found.path}: {verdict} on {found.placement.provider}: {golden.reason}")


def _text(found: Verification) -> str:
    """Format one fact per line."""
    width, height = found.spec.input_size
    kind = "no bundle" if found.schema_version is None else f"bundle, schema {found.schema_version}"
    exported = found.exported_latency_ms
    facts = {
        "file": f"{found.path}, {found.size / 1e6:.1f} MB{_opset(found)}",
        "content": "as exported (sha256)" if found.sealed else "no digest in the file",
        "metadata": f"{kind}; {width}x{height}, {found.spec.head} head, {len(found.spec.names)} classes",
        "provider": str(found.placement),
        "time": f"{found.latency_ms:.1f} ms an inference"
        + ("" if exported is None else f", {exported:.1f} ms where it was exported"),
        "golden": f"{found.golden.verdict}: {found.golden.reason}",
    }
    column = max(map(len, facts))
    return "\n".join(f"{key:<{column}}  {value}" for key, value in facts.items())


def _opset(found: Verification) -> str:
    return "" if found.opset is None else f", opset {found.opset}, weights inside"


def _json(found: Verification) -> str:
    golden = found.golden
    report = {
        "path": str(found.path),
        "bytes": found.size,
        "sealed": found.sealed,
        "opset": found.opset,
        "schema_version": found.schema_version,
        "spec": found.spec.model_dump(mode="json"),
        "engine": found.placement.engine,
        "provider": found.placement.provider,
        "provider_share": found.placement.share,
        "latency_ms": round(found.latency_ms, 3),
        "exported_latency_ms": found.exported_latency_ms,
        "verdict": golden.verdict,
        "reason": golden.reason,
        "difference": _finite(golden.difference),
        "tolerance": _finite(golden.tolerance),
    }
    return json.dumps(report, indent=2)


def _finite(difference: Difference | None) -> dict[str, float | None] | None:
    """Replace infinity, which JSON does not have, by None, and leave masks out if there are none."""
    if difference is None:
        return None
    known = {key: value for key, value in asdict(difference).items() if value is not None}
    return {key: value if math.isfinite(value) else None for key, value in known.items()}

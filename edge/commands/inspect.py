"""`edgeloop inspect`: metadata, input, output and origin of a model file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgeloop.edge.cli.options import model_options
from edgeloop.edge.engines.engine_protocol import Engine
from edgeloop.edge.engines.open_engine import open_engine
from edgeloop.edge.runtime.resolve_spec import read_spec
from edgeloop.models.bundle.document import BundleParents, Record, read_document
from edgeloop.models.bundle.frame_statistics import FrameStatistics
from edgeloop.models.facts.metadata_text import shorten
from edgeloop.models.facts.overrides import SpecOverrides
from edgeloop.models.spec import ModelSpec
from edgeloop.models.weights.digest import file_sha256

__all__ = ["inspect"]

_CREDITS = ("description", "author", "version", "license", "date")
_NAMES_SHOWN = 12


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect(
    model: Path,
    provider: str,
    allow_cpu: bool,
    confidence: float | None,
    overrides: SpecOverrides | None,
    as_json: bool,
) -> None:
    """Show what a model file is and how it would be run.

    MODEL is an ONNX file, or one of another engine with its facts beside it. If its metadata leaves something
    open, the error names it; state it by the same options as for `edgeloop run`.
    """
    engine = open_engine(model, provider=provider, allow_cpu=allow_cpu)
    spec = read_spec(engine, overrides, confidence)
    document = read_document(engine.metadata)
    record = document.record if document else None
    click.echo(_json(engine, spec, record) if as_json else _text(engine, spec, record))


def _json(engine: Engine, spec: ModelSpec, record: Record | None) -> str:
    report = {
        "path": str(engine.path),
        "bytes": engine.path.stat().st_size,
        "sha256": file_sha256(engine.path),
        "credits": _credits(engine),
        "inputs": [str(tensor) for tensor in engine.inputs],
        "outputs": [str(tensor) for tensor in engine.outputs],
        "engine": engine.placement.engine,
        "provider": engine.placement.provider,
        "provider_share": engine.placement.share,
        "spec": spec.model_dump(mode="json"),
        "record": _record_json(record) if record else None,
    }
    return json.dumps(report, indent=2)


def _record_json(record: Record) -> dict[str, object]:
    """JSON of a record, without the packed arrays."""
    packed = {"frames": {"mean", "scale", "axes", "edges"}} if record.frames else None
    values: dict[str, object] = record.model_dump(mode="json", exclude_none=True, exclude=packed)
    return values


def _text(engine: Engine, spec: ModelSpec, record: Record | None) -> str:
    """Format one fact per line."""
    width, height = spec.input_size
    names = ", ".join(spec.names[:_NAMES_SHOWN])
    more = len(spec.names) - _NAMES_SHOWN
    facts = {
        "file": f"{engine.path}, {engine.path.stat().st_size / 1e6:.1f} MB",
        "sha256": file_sha256(engine.path),
        "kind": "a detector" if record is None else "an edgeloop bundle",
        **_credits(engine),
        "input": f"{width}x{height} {spec.color}, {spec.layout} {spec.dtype}, {_values(spec)}",
        "letterbox": _letterbox(spec),
        "head": f"{spec.head}, {'; '.join(map(str, engine.outputs))}",
        **({"task": "segment, a mask for each box"} if spec.head == "segment" else {}),
        "classes": f"{len(spec.names)}: {names}{f' and {more} more' if more > 0 else ''}",
        "confidence": f"above {spec.confidence:g}",
        **_reported(spec),
        "nms": "none needed" if spec.head in ("end2end", "detr") else f"at IoU {spec.iou:g}",
        "provider": str(engine.placement),
        **(_origin(record) if record else {}),
    }
    column = max(map(len, facts))
    return "\n".join(f"{key:<{column}}  {value}" for key, value in facts.items())


def _values(spec: ModelSpec) -> str:
    scaled = f"pixels / {spec.scale:g}"
    if not any(spec.mean) and set(spec.std) == {1.0}:
        return scaled
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (spec.mean, spec.std))
    return f"({scaled} - [{mean}]) / [{std}]"


def _letterbox(spec: ModelSpec) -> str:
    if spec.stretched:
        return "none, stretched"
    return f"{'centered' if spec.centered else 'corner'}, filled with {spec.pad_value}"


def _reported(spec: ModelSpec) -> dict[str, str]:
    """Describe the choice of what is reported, as far as there is one."""
    scores = ", ".join(f"{name} above {score:g}" for name, score in spec.class_confidence.items())
    sizes = [
        f"{word} {size:g}" + ("" if size < 1 else " px")
        for word, size in (("at least", spec.min_size), ("at most", spec.max_size))
        if size is not None
    ]
    return {
        **({"by class": scores} if scores else {}),
        **({"reported": ", ".join(spec.classes)} if spec.classes else {}),
        **({"sizes": ", ".join(sizes)} if sizes else {}),
        **({"tiles": f"{spec.tile} px, overlap {spec.tile_overlap:g}"} if spec.tile else {}),
    }


def _credits(engine: Engine) -> dict[str, str]:
    return {key: shorten(engine.metadata[key].strip(), 100) for key in _CREDITS if engine.metadata.get(key)}


def _parents(parents: BundleParents) -> dict[str, str | None]:
    return {
        "weights": parents.weights_sha256,
        "trained from": parents.start_weights_sha256,
        "replaces": parents.bundle_sha256,
    }


def _origin(record: Record) -> dict[str, str]:
    measured = record.measured.model_dump(exclude_none=True)
    facts = {
        "created": record.created,
        "precision": record.precision,
        "dataset": record.dataset_sha256,
        **(_parents(record.parents) if record.parents else {}),
        "measured": ", ".join(f"{name} {value:g}" for name, value in measured.items()),
        "golden": record.golden
        and f"{record.golden.input_sha256[:12]} gives {record.golden.output_sha256[:12]}",
        "drift": record.frames and _frames(record.frames),
    }
    return {key: value for key, value in facts.items() if value}


def _frames(known: FrameStatistics) -> str:
    """Describe what the bundle knows of its training frames."""
    darkest, brightest = known.brightness
    view = "no shared view" if known.edges is None else "of one view"
    return (
        f"known by {known.frames} training frames, {view}, brightness {darkest:.0f} to {brightest:.0f}, "
        f"limit {known.limit:g} by {known.held_out} held-out frames"
    )

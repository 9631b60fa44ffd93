"""Settings of a detector from the metadata of its ONNX file."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from edgeloop.models.bundle.document import read_document
from edgeloop.models.errors import ModelError
from edgeloop.models.facts.metadata_text import parse_literal, parse_names, shorten
from edgeloop.models.facts.overrides import SpecOverrides
from edgeloop.models.facts.refusals import SEGMENTS_AFTER_NMS
from edgeloop.models.heads import Head

__all__ = ["facts_from_metadata"]

_DETR = "RTDETRDecoder"


def facts_from_metadata(metadata: Mapping[str, str]) -> SpecOverrides:
    """Parse the metadata of an edgeloop bundle or an Ultralytics export.

    Args:
        metadata: Metadata of an ONNX file.

    Returns:
        The stated settings; none for a file of another tool.

    Raises:
        ModelError: A value is malformed or out of range, or the model is no detector.
    """
    document = read_document(metadata)
    if document is not None:
        return document.model
    _check_kind(metadata)
    try:
        return SpecOverrides(
            head=_head(metadata),
            names=parse_names(metadata["names"]) if "names" in metadata else None,
            input_size=_input_size(metadata["imgsz"]) if "imgsz" in metadata else None,
            stride=_stride(metadata["stride"]) if "stride" in metadata else None,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        got = shorten(repr(first["input"]))
        raise ModelError(f"metadata '{first['loc'][0]}': {first['msg']}, got {got}") from error


def _check_kind(metadata: Mapping[str, str]) -> None:
    """Check Ultralytics' task and class of the last layer, which shapes alone do not tell."""
    task, layer = metadata.get("task", "detect"), metadata.get("head", "Detect")
    if task not in ("detect", "segment"):
        raise ModelError(
            f"a model of another kind: its task is {shorten(repr(task))}, expected 'detect' or 'segment'"
        )
    if task == "detect" and not layer.endswith(("Detect", _DETR)):
        raise ModelError(f"a model of another kind: its head is {shorten(repr(layer))}, expected 'Detect'")


def _head(metadata: Mapping[str, str]) -> Head | None:
    """Read which head it is: end-to-end is a head without NMS, or NMS within the graph."""
    if metadata.get("head") == _DETR:
        return "detr"
    end2end = parse_literal(metadata.get("end2end", "None"), "end2end")
    args = parse_literal(metadata.get("args", "{}"), "args")
    within = end2end is True or (isinstance(args, dict) and args.get("nms") is True)
    if metadata.get("task") == "segment":
        if within:
            raise ModelError(SEGMENTS_AFTER_NMS)
        return "segment"
    if within:
        return "end2end"
    return "classic" if end2end is False else None


def _input_size(text: str) -> tuple[int, int]:
    match parse_literal(text, "imgsz"):
        case [int(height), int(width)]:
            return width, height
        case int(side):
            return side, side
    raise ModelError(f"metadata 'imgsz': expected [height, width], got {shorten(text)}")


def _stride(text: str) -> int:
    value = parse_literal(text, "stride")
    if type(value) is not int:
        raise ModelError(f"metadata 'stride': expected a whole number, got {shorten(text)}")
    return value

"""Opset of an ONNX file, read without the onnx package, which a device does not have."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from edgeloop.models.errors import ModelError

__all__ = ["read_opset"]

_OPSET_IMPORT = 8  # of ModelProto, onnx.proto
_DOMAIN, _VERSION = 1, 2  # of OperatorSetIdProto


def read_opset(model: bytes) -> int | None:
    """Read the version of ONNX's own operators that a model uses.

    Args:
        model: Content of an ONNX file.

    Returns:
        The version; None if the model imports none.

    Raises:
        ModelError: The content is no ONNX model.
    """
    for number, value in _fields(model):
        if number == _OPSET_IMPORT and isinstance(value, bytes):
            entry = dict(_fields(value))
            version = entry.get(_VERSION)
            if not entry.get(_DOMAIN) and isinstance(version, int):
                return version
    return None


def _fields(data: bytes) -> list[tuple[int, object]]:
    """Number and value of each field: all fields are unknown to an empty message."""
    try:
        return [(field.field_number, field.data) for field in UnknownFieldSet(Empty.FromString(data))]
    except DecodeError as error:
        raise ModelError("expected an ONNX model, got one that is cut short, or another file") from error

"""Content of an ONNX file, read without the onnx package, which a device does not have.

An ONNX file is a protobuf message (onnx.proto; https://protobuf.dev/programming-guides/encoding). Tensors are
in its graph, in attributes of nodes, in graphs within attributes, and in functions. Weights are not copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgeloop.models.errors import ModelError

__all__ = ["has_external_weights", "read_opset"]

# Fields by number, of each kind of message, that lead to tensors; and those of a tensor that name a file.
_INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_OPSET_IMPORT, _DOMAIN, _VERSION = 8, 1, 2
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_WIDTHS = {_FIXED_64: 8, _FIXED_32: 4}
_MAX_VARINT = 10


def read_opset(model: bytes) -> int | None:
    """Read the version of ONNX's own operators that a model uses.

    Args:
        model: Content of an ONNX file.

    Returns:
        The version; None if the model imports none.

    Raises:
        ModelError: The content is no ONNX model.
    """
    for number, value in _fields(memoryview(model)):
        if number == _OPSET_IMPORT and isinstance(value, memoryview):
            entry = dict(_fields(value))
            version = entry.get(_VERSION)
            if not entry.get(_DOMAIN) and isinstance(version, int):
                return version
    return None


def has_external_weights(model: bytes) -> bool:
    """Tell whether a model names another file that holds weights.

    Args:
        model: Content of an ONNX file.

    Raises:
        ModelError: The content is no ONNX model.
    """
    pending = [("model", memoryview(model))]
    while pending:
        kind, message = pending.pop()
        inside, is_tensor = _INSIDE[kind], kind == "tensor"
        for number, value in _fields(message):
            if is_tensor and (number == _EXTERNAL_DATA or (number, value) == (_DATA_LOCATION, _EXTERNAL)):
                return True
            if number in inside and isinstance(value, memoryview):
                pending.append((inside[number], value))
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of each field: bytes, or an integer (of fixed width: 0)."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        wire = tag & 7
        value: memoryview | int = 0
        if wire == _VARINT:
            value, at = _varint(message, at)
        elif wire == _BYTES:
            size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        elif wire in _WIDTHS:
            at += _WIDTHS[wire]
        else:
            raise _not_onnx()
        if at > end:
            raise _not_onnx()
        yield tag >> 3, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Value of the integer that begins at an offset, and the offset behind it."""
    value = 0
    for count, byte in enumerate(message[at : at + _MAX_VARINT]):
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value, at + count + 1
    raise _not_onnx()


def _not_onnx() -> ModelError:
    return ModelError("expected an ONNX model, got one that is cut short, or another file")

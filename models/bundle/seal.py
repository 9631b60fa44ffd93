"""What the bytes of an ONNX file tell before anything is loaded: whether they are whole, and the opset.

An ONNX file is a ModelProto: a row of fields, each a key (number << 3 | kind), where the kind needs one a
length, and a value (https://protobuf.dev/programming-guides/encoding). Fields may stand in any order and
`metadata_props` may repeat, so the last entry of a bundle can hold the sha256 of all before it, and the file
is still plain ONNX.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from edgeloop.models.errors import ModelError

__all__ = ["SEAL_KEY", "check_seal", "read_opset", "seal"]

SEAL_KEY = "edgeloop.sha256"

_METADATA_PROPS, _OPSET_IMPORT = 14, 8  # of ModelProto, onnx.proto
_DOMAIN, _VERSION = 1, 2  # of OperatorSetIdProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_HEX_DIGITS = 64


def seal(model: bytes) -> bytes:
    """Add the digest of a model to it.

    It tells damage, in one byte or in all, from the file that was exported. It is no signature: whoever means
    to deceive can compute it again.

    Args:
        model: A serialised ModelProto without a seal.

    Returns:
        The same with one more entry of metadata at its end.
    """
    return model + _PREFIX + hashlib.sha256(model).hexdigest().encode()


def check_seal(model: bytes) -> bool:
    """Check a model against the digest that it carries.

    Args:
        model: An ONNX file.

    Returns:
        Whether it carries one.

    Raises:
        ModelError: The content is not what was sealed.
    """
    body = memoryview(model)[: -len(_PREFIX) - _HEX_DIGITS]
    if model[len(body) : -_HEX_DIGITS] != _PREFIX:
        if _PREFIX in model:
            raise ModelError(
                "cut short or changed since it was exported: the digest of its content is no longer its end; "
                "copy it again, or export it anew"
            )
        return False
    actual, stated = hashlib.sha256(body).hexdigest(), model[-_HEX_DIGITS:]
    if actual.encode() != stated:
        raise ModelError(
            f"damaged or changed since it was exported: the sha256 of its content begins with {actual[:12]}, "
            f"expected {stated[:12].decode('ascii', 'replace')}; copy it again"
        )
    return True


def read_opset(model: bytes) -> int | None:
    """Read which version of ONNX's own operators a model uses.

    Args:
        model: An ONNX file.

    Returns:
        The version; None where it imports none.

    Raises:
        ModelError: This is no ONNX file.
    """
    for number, value in _fields(memoryview(model)):
        if number == _OPSET_IMPORT and isinstance(value, memoryview):
            entry = dict(_fields(value))
            version = entry.get(_VERSION)
            if not entry.get(_DOMAIN) and isinstance(version, int):
                return version
    return None


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: an int for a varint, bytes for all other kinds."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ModelError(f"expected an ONNX model, got a field of the unknown kind {kind}")
        if at + length > len(data):
            raise ModelError("expected an ONNX model, got one that is cut short")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """An integer in groups of seven bits, the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
    raise ModelError("expected an ONNX model, got one that is cut short")


def _entry(number: int, length: int) -> bytes:
    """Key and length of a field of bytes, both below 128."""
    return bytes((number << 3 | _BYTES, length))


def _prefix() -> bytes:
    """A StringStringEntryProto (key 1, value 2) in `metadata_props`, up to its value of 64 digits."""
    inside = _entry(1, len(SEAL_KEY)) + SEAL_KEY.encode() + _entry(2, _HEX_DIGITS)
    return _entry(_METADATA_PROPS, len(inside) + _HEX_DIGITS) + inside


_PREFIX = _prefix()

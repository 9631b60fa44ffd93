"""Checksum at the end of an ONNX file.

An ONNX file is a ModelProto, a sequence of fields in any order, in which `metadata_props` may repeat
(https://protobuf.dev/programming-guides/encoding). So the last metadata entry can hold the sha256 of all
bytes before it, and the file is still plain ONNX.
"""

from __future__ import annotations

import hashlib

from edgeloop.models.errors import ModelError

__all__ = ["SEAL_KEY", "check_seal", "seal"]

SEAL_KEY = "edgeloop.sha256"

_HEX_DIGITS = 64
# An entry of ModelProto.metadata_props (field 14) up to its value: a field of bytes begins with its
# number << 3 | 2 and its length; the key is field 1 of the entry, the value field 2.
_ENTRY = bytes((1 << 3 | 2, len(SEAL_KEY))) + SEAL_KEY.encode() + bytes((2 << 3 | 2, _HEX_DIGITS))
_PREFIX = bytes((14 << 3 | 2, len(_ENTRY) + _HEX_DIGITS)) + _ENTRY


def seal(model: bytes) -> bytes:
    """Append the checksum of a model to it.

    It detects damage, but it is no signature: an attacker can compute it again.

    Args:
        model: A serialized ModelProto without a checksum.

    Returns:
        The model with one more metadata entry at its end.
    """
    return model + _PREFIX + hashlib.sha256(model).hexdigest().encode()


def check_seal(model: bytes) -> bool:
    """Compare a model with its checksum.

    Args:
        model: Content of an ONNX file.

    Returns:
        True if the file has a checksum.

    Raises:
        ModelError: The content does not match the checksum.
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

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from edgeloop.models.bundle.seal import SEAL_KEY, check_seal, seal
from edgeloop.models.errors import ModelError
from tests.blocks import block_finder

MODEL: bytes = block_finder().SerializeToString()


def test_a_sealed_model_is_a_plain_onnx_file(tmp_path: Path) -> None:
    path = tmp_path / "sealed.onnx"
    path.write_bytes(seal(MODEL))
    assert check_seal(path.read_bytes())
    read = onnx.load(path)
    onnx.checker.check_model(read)
    assert [entry.key for entry in read.metadata_props].count(SEAL_KEY) == 1
    onnx.save(read, path)  # a tool that changes nothing does not break it
    assert check_seal(path.read_bytes())


def test_a_model_without_a_seal_is_not_refused() -> None:
    assert not check_seal(MODEL)
    assert not check_seal(b"")


@pytest.mark.parametrize("at", [0, len(MODEL) // 2, len(MODEL) - 1, -1, -40])
def test_one_flipped_bit_is_found(at: int) -> None:
    sealed = bytearray(seal(MODEL))
    sealed[at] ^= 1
    with pytest.raises(ModelError, match=r"damaged or changed since it was exported: .* copy it again"):
        check_seal(bytes(sealed))


def test_bytes_that_are_missing_or_added_are_found() -> None:
    sealed = seal(MODEL)
    for changed in (sealed[1:], sealed[:100] + sealed[101:], b"\0" + sealed):
        with pytest.raises(ModelError, match="damaged"):
            check_seal(changed)
    for changed in (sealed + b"\0", sealed[:-1], sealed[:-64]):
        with pytest.raises(ModelError, match="cut short or changed"):
            check_seal(changed)

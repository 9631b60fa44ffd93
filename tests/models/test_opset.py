from __future__ import annotations

import onnx
import pytest

from edgeloop.models.bundle.onnx_content import read_opset
from edgeloop.models.errors import ModelError
from tests.blocks import block_finder

MODEL: bytes = block_finder().SerializeToString()


def test_the_opset_is_that_of_onnx_itself() -> None:
    assert read_opset(MODEL) == 20
    model = block_finder()
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    assert read_opset(model.SerializeToString()) is None
    model.opset_import.append(onnx.helper.make_opsetid("", 300))  # takes two bytes
    assert read_opset(model.SerializeToString()) == 300


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(MODEL[:200], id="cut short in a field"),
        pytest.param(b"\x08\xff", id="cut short in a number"),
        pytest.param(b"\x08" + b"\xff" * 11, id="a number without end"),
        pytest.param(b"no model at all", id="text"),
    ],
)
def test_a_file_that_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="expected an ONNX model"):
        read_opset(content)

from __future__ import annotations

import sys

import numpy as np
import onnxruntime as ort
import pytest

from edgeloop.edge.doctor.provider_probe import DOUBLING_MODEL, probe
from edgeloop.edge.engines.providers import PROVIDERS


def child(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_model_inside_doubles_its_input() -> None:
    session = ort.InferenceSession(DOUBLING_MODEL, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": np.array([1, 2, 3, 4], np.float32)})
    assert y.tolist() == [2, 4, 6, 8]


def test_the_cpu_works() -> None:
    assert probe("cpu") == ""


def test_a_provider_that_is_not_there_says_so() -> None:
    missing = next(name for name, full in PROVIDERS.items() if full not in ort.get_available_providers())
    assert probe(missing).startswith("this onnxruntime has ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        pytest.param("import os; os.abort()", "crashes (SIGABRT)", id="crash"),
        pytest.param("raise SystemExit(3)", "ends its process (exit code 3)", id="end"),
        pytest.param("print('libfoo: hello')", "ends its process (exit code 0)", id="chatter and no answer"),
        pytest.param("import time; time.sleep(60)", "does not answer within 1 s", id="hang"),
        pytest.param("print('hello'); print('{\"reason\": \"no\"}')", "no", id="chatter and an answer"),
    ],
)
def test_a_process_that_ends_badly_takes_nobody_with_it(code: str, reason: str) -> None:
    assert probe("cuda", child(code), timeout_s=1 if "sleep" in code else 20) == reason

"""`edgeloop doctor`: what it says was tried."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime as ort
import pytest
from click.testing import CliRunner

from edge.commands.doctor import doctor
from edge.doctor import DOUBLING_MODEL, Health, examine


@pytest.fixture(scope="module")
def health() -> Health:
    return examine()


def test_the_model_inside_doubles_its_input() -> None:
    session = ort.InferenceSession(DOUBLING_MODEL, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": np.array([1, 2, 3, 4], np.float32)})
    assert y.tolist() == [2, 4, 6, 8]


def test_every_provider_is_proven_and_the_cpu_works(health: Health) -> None:
    assert [provider.name for provider in health.providers] == ort.get_available_providers()
    cpu = next(provider for provider in health.providers if provider.name == "CPUExecutionProvider")
    assert cpu.works
    for provider in health.providers:
        assert provider.works == (not provider.reason)


def test_the_machine_is_this_one(health: Health) -> None:
    assert health.machine.cores >= 1
    assert health.machine.python == ".".join(map(str, sys.version_info[:3]))
    assert "onnxruntime" in health.packages
    assert "mp4v" in health.opencv.video_codecs


def test_json_and_words_come_from_the_same_facts() -> None:
    as_json = json.loads(CliRunner().invoke(doctor, ["--json"]).stdout)
    in_words = CliRunner().invoke(doctor, []).stdout
    assert as_json["machine"]["processor"] in in_words
    assert "+ CPUExecutionProvider" in in_words
    assert [extra["name"] for extra in as_json["extras"]] == ["label", "export"]

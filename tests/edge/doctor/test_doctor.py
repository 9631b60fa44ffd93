"""`edgeloop doctor`: what it says was tried."""

from __future__ import annotations

import json
import sys
from importlib import metadata

import onnxruntime as ort
import pytest
from click.testing import CliRunner

from edgeloop.edge.commands.doctor import doctor
from edgeloop.edge.doctor import engine_probe
from edgeloop.edge.doctor import examine as examination
from edgeloop.edge.doctor.engine_probe import EngineHealth, examine_engines
from edgeloop.edge.doctor.examine import Health, examine
from edgeloop.edge.engines import open_engine
from edgeloop.edge.engines.open_engine import ENGINES, EngineKind, installed_engines
from edgeloop.edge.engines.providers import PROVIDERS
from edgeloop.edge.host.hardware import Accelerator


@pytest.fixture(scope="module")
def health() -> Health:
    return examine()


def test_every_provider_is_proven_and_the_cpu_works(health: Health) -> None:
    available = ort.get_available_providers()
    of_onnxruntime = [name for name, full in PROVIDERS.items() if full in available]
    others = [provider.name for provider in health.providers][len(of_onnxruntime) :]
    assert [provider.name for provider in health.providers] == [*of_onnxruntime, *others]
    assert ("openvino" in others) == installed_engines()["openvino"]
    cpu = next(provider for provider in health.providers if provider.name == "cpu")
    assert cpu.works
    for provider in health.providers:
        assert provider.works == (not provider.reason)


def test_the_machine_is_this_one(health: Health) -> None:
    assert health.machine.cores >= 1
    assert health.machine.python == ".".join(map(str, sys.version_info[:3]))
    assert any(name.startswith("onnxruntime") for name in health.packages)
    assert "mp4v" in health.opencv.writes
    assert {"H.264", "H.265"} <= set(health.opencv.reads)


@pytest.mark.slow
def test_json_and_words_come_from_the_same_facts() -> None:
    as_json = json.loads(CliRunner().invoke(doctor, ["--json"]).stdout)
    in_words = CliRunner().invoke(doctor, []).stdout
    assert as_json["machine"]["processor"] in in_words
    assert "+ cpu" in in_words
    for engine in as_json["engines"]:
        assert f"{'+' if engine['works'] else '-'} {engine['name']}" in in_words
    assert [extra["name"] for extra in as_json["extras"]] == ["track", "label", "export", "serve"]


def test_an_accelerator_that_works_is_marked_and_for_another_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = [Accelerator("Abacus", ("cpu",), "nothing"), Accelerator("Oracle", ("delphi",), "bring a goat")]
    monkeypatch.setattr(examination, "find_accelerators", lambda: seen)
    in_words = CliRunner().invoke(doctor, []).stdout
    assert "hardware    + Abacus: --provider cpu" in in_words
    assert "            - Oracle: bring a goat" in in_words


def test_every_engine_is_loaded_or_its_extra_is_named(health: Health) -> None:
    assert [engine.name for engine in health.engines] == list(ENGINES)
    for engine in health.engines:
        assert engine.works == (not engine.reason)
        assert bool(engine.version) == installed_engines()[engine.name]
        if not engine.version:
            assert engine.reason == ENGINES[engine.name].advice


@pytest.mark.parametrize(
    ("package", "version", "reason"),
    [
        ("no_such_package", "", "pip install 'edgeloop[x]'"),
        # Its package is there, but the process that tries it knows no such engine.
        ("click", metadata.version("click"), "does not load (KeyError: 'x')"),
    ],
)
def test_an_engine_that_is_away_or_fails(
    monkeypatch: pytest.MonkeyPatch, package: str, version: str, reason: str
) -> None:
    kind = EngineKind(".x", package, "x", "x_engine:X", ("npu",))
    for module in (engine_probe, open_engine):
        monkeypatch.setattr(module, "ENGINES", {"x": kind})
    assert examine_engines() == [EngineHealth("x", ".x", version, ("npu",), False, reason)]

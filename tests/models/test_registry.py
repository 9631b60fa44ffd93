from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edgeloop.models.errors import ModelError, UsageError
from edgeloop.models.weights import registry
from edgeloop.models.weights.registry import WEIGHTS, Weights, weights_path


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_weights_that_ship_are_what_they_claim(name: str) -> None:
    weights = WEIGHTS[name]
    path = weights_path(name)
    assert path.stat().st_size == weights.size
    assert weights.license
    assert weights.source


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the only entry, `tiny`."""
    content = b"weights"
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(content)
    entry = Weights(path.name, hashlib.sha256(content).hexdigest(), len(content), "Apache-2.0", "made here")
    monkeypatch.setattr(registry, "WEIGHTS", {"tiny": entry})
    monkeypatch.setattr(registry, "_FOLDER", tmp_path)
    return path


def test_finds_weights(shipped: Path) -> None:
    assert weights_path("tiny") == shipped


def test_refuses_weights_that_changed(shipped: Path) -> None:
    shipped.write_bytes(b"others!")
    with pytest.raises(
        ModelError, match=r"tiny.safetensors: expected sha256 .* got .* install edgeloop again"
    ):
        weights_path("tiny")


def test_refuses_weights_that_are_gone(shipped: Path) -> None:
    shipped.unlink()
    with pytest.raises(ModelError, match=r"tiny.safetensors: cannot read .*No such file"):
        weights_path("tiny")


@pytest.mark.usefixtures("shipped")
def test_refuses_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="'giant': unknown, expected one of tiny"):
        weights_path("giant")

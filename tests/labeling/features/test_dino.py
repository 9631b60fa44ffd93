"""DINOv2 and DINOv3 as classifiers: tiny ones with random weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.labeling.features.dino import Dino
from edgeloop.labeling.features.embedders import fingerprint, load_embedder, reads_text
from edgeloop.models.errors import ModelError, NoInputError, UnavailableError, UsageError
from tests.calls import Outcome

WIDTH = 32
MODELS = {"tiny_dinov2": "vit_small_patch14_dinov2", "tiny_dinov3": "vit_small_patch16_dinov3"}


@pytest.fixture(scope="module")
def weights(_slow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a file of weights for each of `MODELS`, which timm knows from then on."""
    timm: Any = pytest.importorskip("timm", reason="no timm: pip install 'edgeloop[clip]'")
    folder = tmp_path_factory.mktemp("dino")
    torch.manual_seed(0)
    for name, large in MODELS.items():
        timm.models.register_model(shrunk(timm.models.model_entrypoint(large), name))
        save_file(timm.create_model(name, num_classes=0).state_dict(), folder / f"{name}.safetensors")
    return folder


def shrunk(entrypoint: Callable[..., Any], name: str) -> Callable[..., Any]:
    def tiny(pretrained: bool = False, **options: Any) -> Any:
        return entrypoint(pretrained, embed_dim=WIDTH, depth=1, num_heads=2, **options)

    tiny.__name__ = name
    return tiny


@pytest.fixture(params=MODELS)
def dino(request: pytest.FixtureRequest, weights: Path) -> Dino:
    loaded = load_embedder(f"{request.param}:{weights / request.param}.safetensors", offline=True)
    assert isinstance(loaded, Dino)
    return loaded


def test_each_token_has_length_1_however_many_candidates(dino: Dino) -> None:
    image = np.random.default_rng(1).integers(0, 255, (80, 80, 3), np.uint8)
    many = [boxed(index % 40, index, 24) for index in range(40)]
    found = dino.embed(image, many)
    assert found.dtype == np.float32
    assert found.shape == (40, 2 * WIDTH)
    np.testing.assert_allclose(np.linalg.norm(found.reshape(40, 2, WIDTH), axis=2), 1, atol=1e-5)
    np.testing.assert_allclose(dino.embed(image, many[35:36])[0], found[35], atol=1e-4)
    assert dino.embed(image, []).shape == (0, 2 * WIDTH)


def test_patches_outside_the_mask_do_not_count(dino: Dino) -> None:
    """The class token sees the whole crop, the mean of the patch tokens what is inside."""
    image = np.random.default_rng(2).integers(0, 255, (80, 80, 3), np.uint8)
    left = np.zeros((40, 40), bool)
    left[:, :20] = True
    halves = [masked(20, 20, left), masked(20, 20, ~left), boxed(20, 20, 40)]
    classes, patches = np.split(dino.embed(image, halves), 2, axis=1)
    np.testing.assert_allclose(classes[0], classes[2], atol=1e-5)
    assert np.abs(patches[0] - patches[1]).max() > 1e-3


def boxed(left: int, top: int, side: int) -> Candidate:
    box = np.array([left, top, left + side, top + side], np.float32)
    return Candidate(box, None, False, 0.0, "motion")


def masked(left: int, top: int, bits: np.ndarray[Any, np.dtype[np.bool_]]) -> Candidate:
    box = boxed(left, top, len(bits)).xyxy
    return Candidate(box, CroppedMask(left, top, bits), True, 0.9, "motion")


@pytest.mark.parametrize(
    ("classifier", "error", "told"),
    [
        pytest.param("vit_small_patch14_dinov2", UsageError, "MODEL:WEIGHTS", id="no weights"),
        pytest.param("dinov2_vits14:x", UsageError, "no model .* vit_small_patch14_dinov2,", id="model"),
        pytest.param("tiny_dinov2:{folder}/gone.pt", NoInputError, "is no file; .* never fetched", id="file"),
        pytest.param("tiny_dinov2:{folder}/notes.pt", ModelError, "not weights of tiny_dinov2", id="text"),
        pytest.param(
            "tiny_dinov3:{folder}/tiny_dinov2.safetensors",
            ModelError,
            "not weights of tiny_dinov3",
            id="weights of another model",
        ),
    ],
)
def test_other_classifiers_are_refused(
    weights: Path, classifier: str, error: type[Exception], told: str
) -> None:
    (weights / "notes.pt").write_text("no weights")
    with pytest.raises(error, match=told) as refused:
        load_embedder(classifier.format(folder=weights))
    assert "\n" not in str(refused.value)


def test_without_timm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UnavailableError, match=r"edgeloop\[label,clip\]"):
        load_embedder("vit_small_patch14_dinov2:weights.safetensors")


def test_dino_reads_no_words(weights: Path, tmp_path: Path, edgeloop: Callable[..., Outcome]) -> None:
    name = f"tiny_dinov2:{weights / 'tiny_dinov2.safetensors'}"
    assert not reads_text(name)
    assert fingerprint(name).startswith("sha256:")
    (tmp_path / "1.png").write_bytes(b"")
    done = edgeloop("label", tmp_path, "--classes", "car", "--classifier", name, "-o", tmp_path / "out")
    assert done.code == 2
    assert "reads no words; name a CLIP" in done.err

"""CLIP as looks: a tiny one with random weights, which tells colors apart and understands nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.labeling.features.clip import Clip, TextClassifier
from edgeloop.labeling.features.embedders import fingerprint, load_embedder, reads_text
from edgeloop.models.errors import ModelError, NoInputError, UnavailableError, UsageError
from tests.calls import Outcome

WIDTH = 16
CONFIG = {
    "embed_dim": WIDTH,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "layers": 1, "width": 32, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
SIDE, COUNT, SIZE = 40, 24, (240, 120)
COLORS = {"red": (30, 30, 230), "blue": (230, 60, 30)}


@pytest.fixture(scope="module")
def tiny(_slow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the model `tiny`."""
    open_clip: Any = pytest.importorskip("open_clip", reason="no open_clip: pip install 'edgeloop[clip]'")
    folder = tmp_path_factory.mktemp("clip")
    (folder / "tiny.json").write_text(json.dumps(CONFIG))
    (folder / "wider.json").write_text(json.dumps(CONFIG | {"embed_dim": 2 * WIDTH}))
    open_clip.add_model_config(folder)
    torch.manual_seed(0)
    torch.save(open_clip.create_model("tiny").state_dict(), folder / "tiny.pt")
    return folder / "tiny.pt"


@pytest.fixture
def clip(tiny: Path) -> Clip:
    loaded = load_embedder(f"tiny:{tiny}", offline=True)
    assert isinstance(loaded, Clip)
    return loaded


def masked(left: int, top: int, side: int) -> Candidate:
    """A candidate whose mask is a disc in its box."""
    bits = np.zeros((side, side), np.uint8)
    cv2.circle(bits, (side // 2, side // 2), side // 2, 1, cv2.FILLED)
    cropped = CroppedMask(left, top, bits > 0)
    return Candidate(cropped.xyxy, cropped, True, 0.9, "motion")


@pytest.mark.slow
def test_only_what_is_inside_the_mask_is_looked_at(clip: Clip) -> None:
    image = np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)
    candidate = masked(20, 20, 32)
    (before,) = clip.embed(image, [candidate])
    elsewhere, inside = image.copy(), image.copy()
    elsewhere[:18], elsewhere[56:] = 0, 0
    inside[30:42, 30:42] = 0
    np.testing.assert_allclose(clip.embed(elsewhere, [candidate])[0], before, atol=1e-5)
    assert np.abs(clip.embed(inside, [candidate])[0] - before).max() > 0.01


def test_embeddings_are_of_length_1_however_many(clip: Clip) -> None:
    image = np.random.default_rng(1).integers(0, 255, (80, 80, 3), np.uint8)
    many = [masked(index % 40, index // 2, 24) for index in range(70)]
    found = clip.embed(image, many)
    assert found.shape == (70, WIDTH)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(clip.embed(image, many[40:41])[0], found[40], atol=1e-5)
    assert clip.embed(image, []).shape == (0, WIDTH)


def test_names_share_the_probability_with_none_of_them(clip: Clip) -> None:
    image = np.random.default_rng(2).integers(0, 255, (80, 80, 3), np.uint8)
    found = [masked(5, 5, 30), masked(40, 40, 30)]
    rows = TextClassifier(clip, ["car", "tram"]).probabilities(image, found)
    turned = TextClassifier(clip, ["tram", "car"]).probabilities(image, found)
    assert rows.shape == (2, 2)
    assert (rows > 0).all()
    assert (rows.sum(axis=1) < 1).all()
    np.testing.assert_allclose(rows, turned[:, ::-1], atol=1e-5)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A red and a blue square, each in a row of its own, on a wall."""
    folder = tmp_path / "frames"
    folder.mkdir()
    noise = np.random.default_rng(3).integers(90, 140, (15, 30, 3), np.uint8)
    wall = cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC)
    for index in range(COUNT):
        image = wall.copy()
        for row, color in enumerate(COLORS.values()):
            x, y = (37 * index * (row + 1)) % (SIZE[0] - SIDE), 10 + 60 * row
            image[y : y + SIDE, x : x + SIDE] = color
            if index < 5:
                crops = tmp_path / "exemplars" / list(COLORS)[row]
                crops.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(crops / f"{index}.png"), image[y : y + SIDE, x : x + SIDE])
        cv2.imwrite(str(folder / f"{index:03d}.png"), image)
    return folder


@pytest.mark.slow
def test_crops_are_told_apart_by_clip(
    tiny: Path, frames: Path, tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    out, looks = tmp_path / "out", f"tiny:{tiny}"
    done = edgeloop(
        *(
            "label",
            frames,
            "-e",
            tmp_path / "exemplars",
            "--classifier",
            looks,
            "-o",
            out,
        )
    )
    assert done.code == 0, done.err
    coco = json.loads((out / "instances.json").read_text())
    assert coco["info"]["classifier"] == looks
    names = {category["id"]: category["name"] for category in coco["categories"]}
    rows = [(names[label["category_id"]], label["bbox"][1] > 50) for label in coco["annotations"]]
    right = sum(name == ("blue" if below else "red") for name, below in rows)
    assert right >= COUNT
    assert right >= 0.9 * len(rows)


@pytest.mark.slow
def test_words_name_what_moves(
    tiny: Path, frames: Path, tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    words = ("--classes", "red square, blue square", "--classifier", f"tiny:{tiny}")
    done = edgeloop("label", frames, *words, "-o", tmp_path / "out", "--confidence", "0.01", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["labels"].keys() == {"red square", "blue square"}


@pytest.mark.parametrize(
    ("looks", "error", "told"),
    [
        pytest.param("clip", UsageError, "MODEL:WEIGHTS", id="no weights"),
        pytest.param("lite0:{weights}", UsageError, "no model lite0", id="weights of lite0"),
        pytest.param("nope:{weights}", UsageError, "no model nope", id="unknown model"),
        pytest.param("tiny:{weights}.gone", NoInputError, "is no file", id="no file"),
        pytest.param("tiny:{text}", ModelError, "not weights of tiny", id="a text file"),
        pytest.param("wider:{weights}", ModelError, "not weights of wider", id="weights of another model"),
        pytest.param("ViT-B-32:openai", UnavailableError, "--offline forbids", id="a tag, offline"),
        pytest.param("roberta-ViT-B-32:{weights}", UsageError, "is fetched", id="a tower that is fetched"),
    ],
)
def test_other_looks_are_refused(tiny: Path, looks: str, error: type[Exception], told: str) -> None:
    text = tiny.with_name("notes.txt")
    text.write_text("no weights")
    with pytest.raises(error, match=told) as refused:
        load_embedder(looks.format(weights=tiny, text=text), offline=True)
    assert "\n" not in str(refused.value)


def test_without_open_clip_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(UnavailableError, match=r"edgeloop\[label,clip\]"):
        load_embedder("ViT-B-32:weights.pt")


def test_words_need_looks_that_read(tmp_path: Path, edgeloop: Callable[..., Outcome]) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 8, 3), np.uint8))
    done = edgeloop("label", tmp_path, "--classes", "car", "-o", tmp_path / "out")
    assert done.code == 2
    assert "lite0 reads no words" in done.err


def test_a_file_of_weights_has_a_fingerprint(tiny: Path) -> None:
    assert fingerprint(f"tiny:{tiny}").startswith("sha256:")
    assert reads_text(f"tiny:{tiny}")
    assert fingerprint("ViT-B-32:openai") == fingerprint("lite0") == ""

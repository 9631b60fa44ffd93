from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.export.network.detector_weights import read_state
from edgeloop.export.network.start_detector import start_detector
from edgeloop.models.errors import NoInputError
from recipes.start_weights.pretrain import Folder, PretrainOptions, _batch, _read, pretrain


def _folder(path: Path, classes: list[str], images: int = 3) -> Folder:
    """COCO folder with one object of each class per image, and a class without objects."""
    (path / "images").mkdir(parents=True)
    coco = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 96, "height": 64} for n in range(images)],
        "categories": [{"id": n + 1, "name": name} for n, name in enumerate([*classes, "unused"])],
        "annotations": [
            {"image_id": n, "category_id": k + 1, "bbox": [8 + 30 * k, 10, 24, 30]}
            for n in range(images)
            for k in range(len(classes))
        ],
    }
    (path / "instances.json").write_text(json.dumps(coco))
    for n in range(images):
        pixels = np.random.default_rng(n).integers(0, 255, (64, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(path / "images" / f"{n}.png"), pixels)
    return Folder(path, 1.0)


def test_folders_have_classes_of_their_own_and_teach_no_others(tmp_path: Path) -> None:
    groups = _read([_folder(tmp_path / "a", ["cat", "dog"]), _folder(tmp_path / "b", ["cat"])])
    assert [(group.first_class, group.end_class) for group in groups] == [(0, 2), (2, 3)]
    for number in range(8):
        batch, labeled = _batch(groups, number)
        assert labeled.shape == (len(batch.images), 3)
        for image, class_id in zip(batch.targets.image, batch.targets.class_id, strict=True):
            assert labeled[image, class_id]
        assert all(row.tolist() in ([True, True, False], [False, False, True]) for row in labeled)


@pytest.mark.slow
def test_an_interrupted_pretraining_resumes_and_its_weights_start_a_training(tmp_path: Path) -> None:
    data = (_folder(tmp_path / "a", ["cat", "dog"]), _folder(tmp_path / "b", ["bird"]))
    out = tmp_path / "out"
    pretrain(PretrainOptions(data, images=8, out=out))
    weights = pretrain(PretrainOptions(data, images=16, out=out))
    state = read_state(weights)
    assert not any(".4." in key and key.startswith("head.scores") for key in state)
    detector, start = start_detector(5, str(weights), seed=0)
    assert start == str(weights)
    key = "neck.pooling.join.conv.weight"
    assert (detector.state_dict()[key] == state[key]).all()


def test_a_folder_without_labels_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"instances\.json: no such file"):
        pretrain(PretrainOptions((Folder(tmp_path, 1.0),), images=8, out=tmp_path))

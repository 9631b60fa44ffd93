"""Options of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeloop.models.errors import UsageError
from edgeloop.models.facts.overrides import MOST_DETECTIONS
from edgeloop.models.task import Task

__all__ = ["DEFAULT_MODEL", "LARGEST_SIDE", "TRAINERS", "Activation", "Device", "TrainOptions", "TrainerName"]

DEFAULT_MODEL = "edgeloop-lite0"
LARGEST_SIDE = 8192  # px
TrainerName = Literal["edgeloop", "ultralytics"]
#: Detector that each trainer trains by default.
TRAINERS: dict[TrainerName, str] = {"edgeloop": DEFAULT_MODEL, "ultralytics": "yolo26n"}
Activation = Literal["silu", "relu"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class TrainOptions:
    """Options of a training.

    Attributes:
        task: "segment" learns masks as well as boxes, from labels that are polygons; edgeloop-lite0 only.
        trainer: "edgeloop" trains edgeloop-lite0; "ultralytics" (AGPL-3.0) trains that package's detectors.
        model: "edgeloop-lite0"; for ultralytics a name such as "yolo26n", or a path to a .yaml description or
            a .pt checkpoint. None takes edgeloop-lite0, or yolo26n for ultralytics.
        weights: Start weights: "none" (random), "imagenet" (edgeloop-lite0's backbone alone), a name of
            weights that ship with edgeloop, or a path to .safetensors (edgeloop) or .pt (ultralytics). None
            takes the weights that ship for this model, the checkpoint's own, or random ones.
        activation: Activation of ultralytics' detectors; None takes the model description's. ReLU costs NPUs
            and whole graphs in INT8 less than SiLU. edgeloop-lite0 has ReLU and ReLU6.
        epochs: Passes over the training images; None leaves it to the time limit, or to a default.
        time_limit_s: Wall time of the whole training, s; the learning rate is scheduled to end with it.
        patience: Stop after this many epochs without a better mAP50-95; every epoch is validated then. None
            never stops early: much is gained in the last epochs, while the learning rate falls.
        imgsz: Side of the training image, px; a multiple of 32. None chooses it from the objects'
            sizes (320 for ultralytics).
        batch: Images per step. In a short training many small steps beat few large ones.
        seed: Random seed. With `epochs`, the same seed on the same CPU gives the same detector; with a
            time limit, the number of epochs depends on the machine's speed.
        freeze: Number of leading layers that are not trained, for edgeloop-lite0 stages of its backbone, 7 in
            all. None freezes edgeloop-lite0's backbone if it has start weights, and nothing else.
        max_detections: Maximum number of detections per image, in validation and in the exported bundle.
        device: Device to train on; "auto" takes CUDA if there is one.
        overwrite: Replace an earlier run in the same folder.

    Raises:
        UsageError: A value is out of range, or does not fit the trainer.
    """

    task: Task = "detect"
    trainer: TrainerName = "edgeloop"
    model: str | None = None
    weights: str | None = None
    activation: Activation | None = None
    epochs: int | None = None
    time_limit_s: float | None = None
    patience: int | None = None
    imgsz: int | None = None
    batch: int = 8
    seed: int = 0
    freeze: int | None = None
    max_detections: int = 300
    device: Device = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.imgsz is not None and (not 32 <= self.imgsz <= LARGEST_SIDE or self.imgsz % 32):
            raise UsageError(f"--imgsz {self.imgsz}: expected a multiple of 32, at most {LARGEST_SIDE}")
        least = {"epochs": 1, "patience": 1, "batch": 1, "seed": 0, "freeze": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise UsageError(f"--{name} {value}: expected at least {low}")
        if not 1 <= self.max_detections <= MOST_DETECTIONS:
            raise UsageError(f"--max-detections {self.max_detections}: expected 1 to {MOST_DETECTIONS}")
        if self.seed >= 2**32:
            raise UsageError(f"--seed {self.seed}: expected less than 2^32")
        if self.time_limit_s is not None and not self.time_limit_s > 0:
            raise UsageError(f"--time-limit {self.time_limit_s:g}: expected seconds, more than 0")
        if self.trainer == "ultralytics" and self.task == "segment":
            raise UsageError(
                f"--task segment: only {DEFAULT_MODEL} is trained on masks; leave out --trainer ultralytics"
            )
        if self.trainer == "edgeloop" and self.model_name != DEFAULT_MODEL:
            raise UsageError(
                f"--model {self.model}: the edgeloop trainer trains {DEFAULT_MODEL}; "
                "for other detectors add --trainer ultralytics (AGPL-3.0)"
            )
        if self.trainer == "ultralytics" and self.model_name == DEFAULT_MODEL:
            raise UsageError(f"--model {DEFAULT_MODEL}: leave out --trainer ultralytics")
        if self.trainer == "edgeloop" and self.activation is not None:
            raise UsageError(
                f"--activation {self.activation}: {DEFAULT_MODEL} is made of ReLU and ReLU6, and stays so"
            )

    @property
    def model_name(self) -> str:
        """Detector to train."""
        return self.model or TRAINERS[self.trainer]

"""Options of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeloop.models.errors import UsageError

__all__ = ["DEFAULT_MODEL", "Activation", "TrainOptions"]

DEFAULT_MODEL = "edgeloop-lite0"
Activation = Literal["silu", "relu"]


@dataclass(frozen=True)
class TrainOptions:
    """Options of a training.

    Attributes:
        model: "edgeloop-lite0", a detector that ultralytics describes ("yolo26n"), or a path to a .yaml
            description or a .pt checkpoint.
        weights: Start weights: "none" (random), "imagenet" (edgeloop-lite0's backbone alone), a name of
            weights that ship with edgeloop, or a path to .safetensors or .pt. None takes the weights that
            ship for this model, the checkpoint's own, or random ones.
        activation: Activation of the convolutions; None takes the model description's. ReLU costs NPUs and
            whole graphs in INT8 less than SiLU. Weights trained with the other one are merely a start.
        epochs: Passes over the training images; None leaves it to the time limit, or to the default of 30.
        time_limit_s: Wall time of the whole training, s; the learning rate is scheduled to end with it.
        patience: Stop after this many epochs without a better mAP50-95; every epoch is validated then. None
            never stops early: much is gained in the last epochs, while the learning rate falls.
        imgsz: Side of the training image, px; a multiple of 32.
        batch: Images per step. In a short training many small steps beat few large ones: on the conveyor,
            four passes over 180 images led to mAP50 0.89 with 8 images a step, and to 0.45 with 16.
        seed: Random seed. With `epochs`, the same seed on the same machine gives the same detector; with a
            time limit, the number of epochs depends on the machine's speed.
        freeze: Number of leading layers that are not trained; None freezes edgeloop-lite0's backbone if it
            has start weights, and nothing else.
        overwrite: Replace an earlier run in the same folder.

    Raises:
        UsageError: A value is out of range.
    """

    model: str = DEFAULT_MODEL
    weights: str | None = None
    activation: Activation | None = None
    epochs: int | None = None
    time_limit_s: float | None = None
    patience: int | None = None
    imgsz: int = 320
    batch: int = 8
    seed: int = 0
    freeze: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.imgsz < 32 or self.imgsz % 32:
            raise UsageError(f"--imgsz {self.imgsz}: expected a multiple of 32")
        for name in ("epochs", "patience", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name} {value}: expected at least 1")
        if self.time_limit_s is not None and self.time_limit_s <= 0:
            raise UsageError(f"--time-limit {self.time_limit_s:g}: expected seconds, more than 0")

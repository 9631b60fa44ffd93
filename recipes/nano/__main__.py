"""Train `nano` within a time limit; a run that was interrupted resumes.

Crops grow during training, from 256 px, which is fast, towards the 512 px of inference: attention trained on
few cells is weak on many. The deep half of the backbone is unfrozen once the head has settled. In the last
stage only the appraiser, which predicts the quality of masks, is trained.

    python -m recipes.nano --data coco=3 --data people --hours 1.5 -o OUT --check coco_val

OUT/state.pt is the state to resume from; OUT/nano.safetensors holds the averaged weights in fp16, ready to
ship; OUT/metrics.json holds the images seen, the time, the losses, and the scores on `--check`.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click
import torch
from safetensors.torch import load_file, save_file
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.utils.data import DataLoader

from edgeloop.labeling.sam.segmenter import SamSegmenter
from edgeloop.models.errors import DataError, EdgeloopError
from recipes.nano.architecture import STRIDE, build_nano, draw_prompts
from recipes.nano.coco_folder import Folder, read_folder
from recipes.nano.evaluate import evaluate_segmenter
from recipes.nano.loss import prompt_loss
from recipes.nano.prompted_crops import PromptedCrops, collate


class Stage(NamedTuple):
    """Stage of the training.

    Attributes:
        start, end: Fractions of the training time.
        crop: Side of the crops, px.
        batch: Crops per step.
        boxes, points: Prompts per crop.
        trains: "head" is all but the backbone, "all" the backbone's deep half too. With "appraiser" the
            averaged weights are frozen and only the appraiser is trained, on the masks that will ship.
    """

    start: float
    end: float
    crop: int
    batch: int
    boxes: int
    points: int
    trains: Literal["head", "all", "appraiser"]


_STAGES = (
    Stage(0.0, 0.3, crop=256, batch=8, boxes=4, points=4, trains="head"),
    Stage(0.3, 0.65, crop=256, batch=8, boxes=4, points=4, trains="all"),
    Stage(0.65, 0.95, crop=384, batch=6, boxes=5, points=5, trains="all"),
    Stage(0.95, 1.0, crop=512, batch=4, boxes=4, points=12, trains="appraiser"),
)
_BACKBONE_BLOCK = 7  # first block of the backbone that is trained: strides 16 and 32
_BACKBONE_LR_SHARE = 0.15
_EMA_DECAY = 0.999
_WARM_UP_STEPS = 200
_SAVE_EVERY_S = 240.0


@click.command(help=__doc__)
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="FOLDER[=WEIGHT]",
    help="COCO folder with masks, and its sampling weight.",
)
@click.option("--cutouts", multiple=True, metavar="FOLDER", help="COCO folder of objects to paste only.")
@click.option("--start", type=click.Path(path_type=Path), help="Start weights; what does not fit is skipped.")
@click.option("--check", type=click.Path(path_type=Path), help="Held-out COCO folder to measure on.")
@click.option("--hours", type=float, required=True, help="Time limit, including earlier runs in OUT.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--lr", default=1e-3, show_default=True, help="Peak learning rate.")
@click.option("--seed", default=1, show_default=True, help="Random seed.")
@click.option("--workers", default=1, show_default=True, help="Processes that prepare crops.")
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
def main(
    data: tuple[str, ...],
    cutouts: tuple[str, ...],
    start: Path | None,
    check: Path | None,
    hours: float,
    out: Path,
    lr: float,
    seed: int,
    workers: int,
    device: str,
) -> None:
    """Run the recipe."""
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    model = build_nano(pretrained_backbone=True).to(device)
    if start is not None:
        _load_fitting(model, start)
    trainer = Trainer(model, out, lr=lr, limit_s=hours * 3600)
    folders = [_parse(text) for text in data]
    pasted = [read_folder(Path(text)) for text in cutouts]
    for stage in _STAGES:
        if trainer.progress < stage.end:
            crops = PromptedCrops(
                folders,
                pasted,
                crop=stage.crop,
                boxes=stage.boxes,
                points=stage.points,
                seed=seed + trainer.step,
            )
            loader = DataLoader(crops, batch_size=stage.batch, num_workers=workers, collate_fn=collate)
            trainer.fit(loader, stage)
    if check is not None:
        model.load_state_dict(trainer.average)
        scores = evaluate_segmenter(SamSegmenter(model.eval()), check)
        trainer.write_metrics({"check": check.name, **scores.as_dict()})


class Trainer:
    """Optimizer, schedule, weight average and checkpoints of one run."""

    def __init__(self, model: Sam, out: Path, *, lr: float, limit_s: float) -> None:
        self.model, self.out, self.limit_s = model, out, limit_s
        self.lr = lr
        backbone = list(model.image_encoder.backbone.parameters())
        known = {id(p) for p in backbone}
        fresh = [p for p in model.parameters() if id(p) not in known]
        groups = [{"params": fresh, "share": 1.0}, {"params": backbone, "share": _BACKBONE_LR_SHARE}]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=0.02, betas=(0.9, 0.98))
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.step, self.images, self.elapsed_s = 0, 0, 0.0
        self.history: list[dict[str, float]] = []
        state = out / "state.pt"
        if state.is_file():
            self._resume(torch.load(state, map_location=model.device, weights_only=True))

    @property
    def progress(self) -> float:
        """Fraction of the time limit that is spent."""
        return self.elapsed_s / self.limit_s

    def fit(self, loader: DataLoader[Any], stage: Stage) -> None:
        """Train until the end of the stage; save every few minutes and at the end."""
        self.model.train()
        self._freeze(stage)
        before, began, saved = self.elapsed_s, time.monotonic(), time.monotonic()
        seen: list[tuple[float, float, float]] = []
        for batch in loader:
            self.elapsed_s = before + time.monotonic() - began
            if self.progress >= stage.end:
                break
            self._schedule(stage)
            seen.append(self._train_step(batch))
            self._average(1.0 if stage.trains == "appraiser" else 1 - _EMA_DECAY)
            if self.step % 50 == 0:
                self._log(seen)
                seen = []
            if time.monotonic() - saved > _SAVE_EVERY_S:
                self.save()
                saved = time.monotonic()
        self.save()

    def save(self) -> None:
        """Write the state to resume from and the averaged weights, each atomically."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "counters": {"step": self.step, "images": self.images, "elapsed_s": self.elapsed_s},
            "history": self.history,
        }
        torch.save(state, self.out / "state.tmp")
        (self.out / "state.tmp").replace(self.out / "state.pt")
        weights = {k: v.half().contiguous().cpu() for k, v in self.average.items() if v.is_floating_point()}
        save_file(weights, self.out / "nano.tmp")
        (self.out / "nano.tmp").replace(self.out / "nano.safetensors")
        self.write_metrics({})

    def write_metrics(self, scores: dict[str, Any]) -> None:
        """Write `metrics.json`: images seen, time, losses, and `scores`."""
        metrics = {"steps": self.step, "images": self.images, "seconds": round(self.elapsed_s), **scores}
        (self.out / "metrics.json").write_text(json.dumps({**metrics, "history": self.history}, indent=1))

    def _resume(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.images = state["counters"]["step"], state["counters"]["images"]
        self.elapsed_s, self.history = state["counters"]["elapsed_s"], state["history"]

    def _freeze(self, stage: Stage) -> None:
        if stage.trains == "appraiser":
            self.model.load_state_dict(self.average)
        backbone = self.model.image_encoder.backbone
        self.model.requires_grad_(stage.trains != "appraiser")
        self.model.mask_decoder.appraiser.requires_grad_(True)
        backbone.requires_grad_(False)
        backbone.blocks[_BACKBONE_BLOCK:].requires_grad_(stage.trains == "all")

    def _schedule(self, stage: Stage) -> None:
        """Warm up, then decay by a half cosine to zero: over the run, and again for the appraiser alone."""
        start, end = (stage.start, stage.end) if stage.trains == "appraiser" else (0.0, _STAGES[-1].start)
        warm = min(1.0, (self.step + 1) / _WARM_UP_STEPS)
        decay = 0.5 * (1 + math.cos(math.pi * (self.progress - start) / (end - start)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * group["share"] * warm * decay

    def _train_step(self, batch: dict[str, Tensor]) -> tuple[float, float, float]:
        batch = {k: v.to(self.model.device) for k, v in batch.items()}
        with torch.autocast(self.model.device.type, torch.bfloat16):
            logits, predicted, is_box = forward(self.model, batch)
        masks = batch["masks"].flatten(0, 1)
        loss, true_iou = prompt_loss(logits, predicted, masks, is_box)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.images += len(batch["image"])
        chosen = predicted.detach()[:, 1:].argmax(1, keepdim=True)
        point_iou = true_iou[:, 1:].gather(1, chosen)[~is_box]
        return loss.item(), true_iou[is_box, 0].mean().item(), point_iou.mean().item()

    def _average(self, share: float) -> None:
        """Update the exponential moving average of the weights, faster at the start of a run."""
        share = max(share, 9 / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, share)

    def _log(self, seen: list[tuple[float, float, float]]) -> None:
        loss, box, point = (sum(values) / len(values) for values in zip(*seen, strict=True))
        entry = {
            "images": self.images,
            "seconds": round(self.elapsed_s),
            "loss": loss,
            "box": box,
            "point": point,
        }
        self.history.append({k: round(v, 4) for k, v in entry.items()})
        click.echo(json.dumps(self.history[-1]), err=True)


def forward(model: Sam, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Run the model on a batch of crops with all their prompts.

    Returns:
        Mask logits (N, 4, h, w), predicted IoU (N, 4), and which prompts are boxes (N,).
    """
    images = ((batch["image"].float() - model.pixel_mean) / model.pixel_std).to(
        memory_format=torch.channels_last
    )
    features = model.image_encoder(images)
    count, cells = len(images), features.shape[-1]
    shift = batch["offset"].float() * STRIDE
    boxes, points = batch["boxes"], batch["points"]
    encoder = model.prompt_encoder
    # Tokens are positioned in the whole frame, drawings in the crop.
    shifted = (boxes + shift.repeat(1, 2)[:, None]).flatten(0, 1)
    box_tokens = encoder._embed_boxes(shifted).unflatten(0, (count, -1))
    points_in_frame = (points + shift[:, None]).flatten(0, 1)[:, None]
    labels = torch.ones(points_in_frame.shape[:2], device=points_in_frame.device)
    point_tokens = encoder._embed_points(points_in_frame, labels, pad=True).unflatten(0, (count, -1))
    size = (cells * STRIDE // 4, cells * STRIDE // 4)
    points_in_crop = (points.flatten(0, 1)[:, None], labels)
    drawings = [
        draw_prompts(boxes.shape[:2].numel(), size, None, boxes.flatten(0, 1), None, device=boxes.device),
        draw_prompts(len(points_in_frame), size, points_in_crop, None, None, device=boxes.device),
    ]
    drawn = [encoder.mask_downscaling(drawing).unflatten(0, (count, -1)) for drawing in drawings]
    whole = encoder.get_dense_pe()
    places = [whole[:, :, y : y + cells, x : x + cells] for x, y in batch["offset"].tolist()]
    logits, predicted = model.mask_decoder.predict_masks(
        image_embeddings=features,
        image_pe=torch.cat(places),
        sparse_prompt_embeddings=torch.cat([box_tokens, point_tokens], dim=1).flatten(0, 1),
        dense_prompt_embeddings=torch.cat(drawn, dim=1).flatten(0, 1),
    )
    is_box = torch.arange(boxes.shape[1] + points.shape[1], device=images.device) < boxes.shape[1]
    return logits, predicted, is_box.repeat(count)


def _load_fitting(model: Sam, path: Path) -> None:
    """Load the weights outside the backbone whose name and shape match."""
    own = model.state_dict()
    given = load_file(path)
    fitting = {
        name: value.float()
        for name, value in given.items()
        if name in own and own[name].shape == value.shape and not name.startswith("image_encoder.backbone")
    }
    if not fitting:
        raise DataError(f"{path}: none of its weights fits nano")
    model.load_state_dict({**own, **fitting})


def _parse(text: str) -> tuple[Folder, float]:
    name, _, weight = text.partition("=")
    return read_folder(Path(name)), float(weight or 1)


if __name__ == "__main__":
    try:
        main()
    except EdgeloopError as error:
        raise SystemExit(f"error: {error}") from error

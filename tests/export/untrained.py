"""Runs of edgeloop-lite0 whose weights nobody trained, made in no time."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from edgeloop.export.export_model import ExportModel
from edgeloop.export.network.compact_detector import CompactDetector
from edgeloop.export.network.detector_weights import write_detector
from edgeloop.export.train.load_trained import load_trained
from edgeloop.export.train.run_record import RunRecord, read_record, write_record

NAMES = ("disk", "bar")


def untrained_detector(names: tuple[str, ...] = NAMES, masks: int = 0) -> CompactDetector:
    """Detector with random weights that is unsure everywhere: a few hundred boxes in every image."""
    torch.manual_seed(0)
    detector = CompactDetector(len(names), masks)
    for module in detector.modules():
        if isinstance(module, nn.Conv2d):  # torch's own start lets hardly anything through
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    for branch in detector.head.scores:
        assert isinstance(branch, nn.Sequential)
        assert isinstance(branch[-1].bias, nn.Parameter)
        nn.init.zeros_(branch[-1].bias)
    with torch.no_grad():
        for _ in range(20):  # statistics of batch norm
            detector(torch.rand(2, 3, 96, 96))
    return detector.eval()


def untrained_run(folder: Path, names: tuple[str, ...] = NAMES, masks: int = 0) -> Path:
    """Write a run of `untrained_detector`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_detector(untrained_detector(names, masks), names, folder / "best.safetensors")
    write_record(record_of(names).model_copy(update={"task": "segment" if masks else "detect"}), folder)
    return folder


def untrained_model(folder: Path, masks: int = 0) -> ExportModel:
    """`untrained_detector` in the form that is exported."""
    run = untrained_run(folder / "untrained", masks=masks)
    return load_trained(run, read_record(run))


def record_of(names: tuple[str, ...] = NAMES) -> RunRecord:
    return RunRecord(
        trainer="edgeloop", model="edgeloop-lite0", weights="none", names=names, dataset="data",
        dataset_sha256="0" * 64, imgsz=96, batch=4, freeze=0, seed=0, images=32, seconds=1.0,
        images_per_second=1.0, epochs=(), map50=None, map50_95=None, versions={"edgeloop": "0.1.0"},
    )  # fmt: skip

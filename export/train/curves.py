"""Training curves."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from edgeloop.export.train.run_record import RunRecord

__all__ = ["draw_curves"]


def draw_curves(record: RunRecord, path: Path) -> None:
    """Draw loss and mAP over time into a PNG file."""
    # Without pyplot: no display, no global state, nothing to close.
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    loss, precision = figure.subplots(1, 2)
    seconds = [epoch.seconds for epoch in record.epochs]
    for name in record.epochs[0].loss if record.epochs else ():
        loss.plot(seconds, [epoch.loss[name] for epoch in record.epochs], label=name.removesuffix("_loss"))
    loss.set(title="training loss", xlabel="seconds", yscale="log")
    loss.legend(frameon=False)
    validated = [epoch for epoch in record.epochs if epoch.map50 is not None]
    for label, values in (
        ("mAP50", [epoch.map50 for epoch in validated]),
        ("mAP50-95", [epoch.map50_95 for epoch in validated]),
    ):
        precision.plot([epoch.seconds for epoch in validated], values, marker="o", label=label)
    precision.set(title="validation", xlabel="seconds", ylim=(0, 1))
    precision.legend(frameon=False, loc="lower right")
    for axes in (loss, precision):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{record.model}, {record.images} images, {len(record.epochs)} epochs", fontsize=11)
    figure.savefig(path, dpi=110)

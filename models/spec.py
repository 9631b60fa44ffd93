"""Complete settings to run a detector, beyond its ONNX graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict

from edgeloop.models.bundle.document import BUNDLE_KEY, Document, Record
from edgeloop.models.bundle.metadata import facts_from_metadata
from edgeloop.models.errors import EdgeloopError, ModelError, UsageError
from edgeloop.models.facts.metadata_text import shorten
from edgeloop.models.facts.overrides import (
    ClassScores,
    Color,
    Deviations,
    Dtype,
    Extent,
    Layout,
    MaxDetections,
    Means,
    Names,
    Overlap,
    PadValue,
    Scale,
    Share,
    Size,
    SpecOverrides,
    Stride,
    TileSide,
)
from edgeloop.models.facts.shape_facts import (
    check_output,
    facts_from_input,
    facts_from_output_names,
    facts_from_outputs,
)
from edgeloop.models.facts.tensor_info import TensorInfo
from edgeloop.models.heads import HEADS, Head

__all__ = ["ModelSpec", "SpecOverrides"]

# Preprocessing and default thresholds of each family's own tools.
_ULTRALYTICS = SpecOverrides(
    color="RGB",
    scale=255.0,
    centered=True,
    pad_value=114,
    stride=32,
    confidence=0.25,
    iou=0.7,
    max_detections=300,
)
_YOLOX = _ULTRALYTICS.model_copy(update={"color": "BGR", "scale": 1.0, "centered": False, "iou": 0.45})
_NANODET = _ULTRALYTICS.model_copy(
    update={
        "color": "BGR",
        "scale": 1.0,
        "mean": (103.53, 116.28, 123.675),
        "std": (57.375, 57.12, 58.395),
        "pad_value": 0,
        "confidence": 0.35,
        "iou": 0.6,
    }
)
_FASTESTDET = _ULTRALYTICS.model_copy(
    update={"color": "BGR", "stretched": True, "confidence": 0.65, "iou": 0.45}
)
_CONVENTIONS: dict[Head, SpecOverrides] = {
    "end2end": _ULTRALYTICS,
    "classic": _ULTRALYTICS,
    "raw": _ULTRALYTICS,
    "segment": _ULTRALYTICS,
    "yolov5": _ULTRALYTICS.model_copy(update={"iou": 0.45}),
    "yolox": _YOLOX,
    "nanodet": _NANODET,
    "fastestdet": _FASTESTDET,
    "detr": _ULTRALYTICS.model_copy(update={"stretched": True, "stride": 1, "confidence": 0.4}),
}

_FILTERS: Mapping[str, object] = {
    "classes": None,
    "class_confidence": {},
    "min_size": None,
    "max_size": None,
    "tile": None,
}


class ModelSpec(BaseModel):
    """Settings to run a detector.

    Attributes:
        head: Output format of the detection head.
        input_size: (width, height) of the input in pixels.
        layout: Order of the axes of the input.
        dtype: Dtype of the input.
        color: Order of the channels of the input.
        scale: Divisor of pixel values 0 to 255: 255 gives 0 to 1, 1 keeps them.
        mean: Mean subtracted from the scaled values, by channel in the input's order.
        std: Divisor of the result, by channel.
        centered: Letterbox with the image in the middle; False: in the top-left corner.
        stretched: Resize to the whole input without keeping the aspect ratio; no letterbox.
        pad_value: Padding value of the letterbox, 0 to 255.
        names: Class names by class number.
        stride: Largest stride of the head, in pixels of the input.
        confidence: Minimum score, exclusive.
        iou: IoU threshold of non-maximum suppression within a class.
        max_detections: Maximum number of detections per image.
        classes: Names of the classes to report; None for all.
        class_confidence: Minimum score, exclusive, of classes whose own differs from `confidence`, by name.
        min_size: Minimum longer side of a box: pixels of the source image, or below 1 a share of its longer
            side; None for none.
        max_size: Maximum longer side of a box, in the same units; None for none.
        tile: Side in pixels of the square tiles in which larger images are searched, beside the whole image;
            None for the whole image alone.
        tile_overlap: Share of a tile that its neighbor repeats at least. Objects smaller than it are whole in
            one tile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    head: Head
    input_size: Size
    layout: Layout
    dtype: Dtype
    color: Color
    scale: Scale
    mean: Means = (0.0, 0.0, 0.0)
    std: Deviations = (1.0, 1.0, 1.0)
    centered: bool
    stretched: bool = False
    pad_value: PadValue
    names: Names
    stride: Stride
    confidence: Share
    iou: Share
    max_detections: MaxDetections
    classes: Names | None = None
    class_confidence: ClassScores = {}
    min_size: Extent | None = None
    max_size: Extent | None = None
    tile: TileSide | None = None
    tile_overlap: Overlap = 0.2

    @property
    def class_scores(self) -> tuple[float, ...]:
        """Minimum score, exclusive, by class number; infinite for a class that is not reported."""
        return tuple(
            self.class_confidence.get(name, self.confidence)
            if self.classes is None or name in self.classes
            else math.inf
            for name in self.names
        )

    @property
    def lowest_confidence(self) -> float:
        """Minimum score, exclusive, of the class that has the lowest one."""
        return min((score for score in self.class_scores if score <= 1), default=self.confidence)

    @classmethod
    def from_metadata(
        cls,
        metadata: Mapping[str, str],
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        overrides: SpecOverrides | None = None,
    ) -> Self:
        """Merge the settings of the user, the file and the graph, in this order of priority.

        Args:
            metadata: Metadata of the ONNX file.
            inputs: Inputs of the graph.
            outputs: Outputs of the graph.
            overrides: Settings of the user.

        Returns:
            The complete settings.

        Raises:
            ModelError: The model is no supported detector, its metadata is malformed, a setting is missing,
                or a setting contradicts the graph.
            UsageError: The user chooses a class that the model does not have, or contradictory sizes.
        """
        graph = facts_from_input(inputs)
        said, stated = overrides or SpecOverrides(), facts_from_metadata(metadata)
        if said.confidence is not None:  # for all classes, also those that have their own in the file
            stated = stated.model_copy(update={"class_confidence": None})
        facts = said.with_defaults(stated).with_defaults(graph)
        _check_agreement(facts, graph)
        if facts.head is None:
            facts = facts.with_defaults(facts_from_outputs(outputs, facts.input_size, stated.names))
        if facts.head == "detr":
            facts = facts.with_defaults(facts_from_output_names(outputs))
        if facts.head is not None:
            facts = facts.with_defaults(_convention(facts.head, facts.dtype))
        _check_complete(facts, outputs)
        facts = facts.model_copy(update=_chosen_classes(facts, said))
        spec = cls.model_validate(facts.model_dump(exclude_none=True))
        width, height = spec.input_size
        if width % spec.stride or height % spec.stride:
            raise ModelError(f"input size {width}x{height}: expected multiples of the stride, {spec.stride}")
        check_output(spec.head, outputs, spec.input_size, spec.names)
        return spec

    def updated(self, settings: SpecOverrides) -> Self:
        """Replace settings that say what to report.

        Args:
            settings: The new ones; None keeps the old one.

        Returns:
            The changed settings.

        Raises:
            UsageError: A chosen class is unknown, or the sizes contradict each other.
        """
        said = settings.with_defaults(SpecOverrides(names=self.names))
        facts = said.with_defaults(SpecOverrides.model_validate(self.model_dump()))
        facts = facts.model_copy(update=_chosen_classes(facts, said))
        return self.model_validate(facts.model_dump(exclude_none=True))

    def to_metadata(self, record: Record | None = None) -> dict[str, str]:
        """Format the metadata of a bundle.

        Args:
            record: Origin and quality of the bundle.

        Returns:
            The JSON document under `edgeloop` and, for Ultralytics' heads, the keys that `yolo predict`
            needs. Author, version and license are left to the caller.
        """
        # What a reader of an earlier version does not know is left out unless it has an effect.
        unused = {name for name, unset in _FILTERS.items() if getattr(self, name) == unset}
        if self.tile is None:
            unused.add("tile_overlap")
        model = SpecOverrides.model_validate(self.model_dump(exclude=unused))
        document = Document(model=model, record=record or Record())
        bundle = {BUNDLE_KEY: document.model_dump_json(exclude_none=True)}
        if self.head not in ("classic", "end2end", "segment"):
            return bundle
        width, height = self.input_size
        end2end = self.head == "end2end"
        return {
            "task": "segment" if self.head == "segment" else "detect",
            "stride": str(self.stride),
            "names": repr(dict(enumerate(self.names))),
            "imgsz": repr([height, width]),
            "batch": "1",
            "channels": "3",
            "end2end": repr(end2end),
            "args": repr({"batch": 1, "dynamic": False, "nms": end2end}),
            **bundle,
        }


def _convention(head: Head, dtype: Dtype | None) -> SpecOverrides:
    convention = _CONVENTIONS[head]
    # A graph that takes bytes was changed after training; conventions of its family do not apply to it.
    own = {"color": None, "mean": None, "std": None}
    return convention.model_copy(update=own) if dtype == "uint8" else convention


def _check_agreement(facts: SpecOverrides, graph: SpecOverrides) -> None:
    """Refuse settings that contradict the graph, which is what will run."""
    for name, fixed in graph.model_dump(exclude_none=True).items():
        stated = getattr(facts, name)
        if stated != fixed:
            raise ModelError(f"{name}: the graph takes {fixed}, but {stated} was stated")


def _chosen_classes(facts: SpecOverrides, said: SpecOverrides) -> dict[str, object]:
    """Find the names of chosen classes, which may be given by number, and check them and the sizes."""
    names = facts.names or ()

    def find(chosen: str, error: type[EdgeloopError]) -> str:
        if chosen in names:
            return chosen
        if chosen.isascii() and chosen.isdecimal() and len(chosen) < 6 and int(chosen) < len(names):
            return names[int(chosen)]
        known = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        raise error(f"the model has no class {shorten(repr(chosen))}; it has {known}")

    low, high = facts.min_size, facts.max_size
    if low is not None and high is not None and (low < 1) == (high < 1) and low > high:
        raise UsageError(f"min_size {low:g} and max_size {high:g}: expected the first to be smaller")
    found: dict[str, object] = {}
    if facts.classes is not None:
        error = ModelError if said.classes is None else UsageError
        found["classes"] = tuple(find(chosen, error) for chosen in facts.classes)
    if facts.class_confidence:
        error = ModelError if said.class_confidence is None else UsageError
        found["class_confidence"] = {
            find(chosen, error): score for chosen, score in facts.class_confidence.items()
        }
    return found


def _check_complete(facts: SpecOverrides, outputs: Sequence[TensorInfo]) -> None:
    options = {
        "head": f"--head {'|'.join(HEADS)}",
        "names": "--names FILE",
        "input_size": "--input-size WIDTHxHEIGHT",
        "color": "--color RGB|BGR",
    }
    if facts.head is None and facts.dtype != "uint8":
        del options["color"]  # follows from the head
    missing = [option for name, option in options.items() if getattr(facts, name) is None]
    if missing:
        output = outputs[0] if outputs else "none"
        raise ModelError(
            f"the file does not say all it takes to run it (its output: {output}); "
            f"`edgeloop run` takes it with {' '.join(missing)}"
        )

"""JSON document of a bundle, stored in the ONNX metadata under `edgeloop`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from edgeloop.models.bundle.frame_statistics import FrameStatistics
from edgeloop.models.errors import ModelError, first_validation_error
from edgeloop.models.facts.overrides import Share, SpecOverrides

__all__ = [
    "BUNDLE_KEY",
    "BundleParents",
    "Document",
    "Golden",
    "GoldenRow",
    "Measured",
    "Record",
    "WeightPrecision",
    "read_document",
]

BUNDLE_KEY = "edgeloop"
MAX_DOCUMENT = 1 << 20

WeightPrecision = Literal["fp32", "fp16", "int8"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Millis = Annotated[float, Field(ge=0, le=1e6)]
Index = Annotated[int, Field(ge=0, le=1_000_000)]
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
MAX_ROWS = 64


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Measured(_Data):
    """Figures measured at export.

    Attributes:
        map50: Mean average precision at IoU 0.5 on the validation split.
        map50_95: Mean average precision over IoU 0.5 to 0.95.
        mask_map50: Mean average precision of masks at IoU 0.5; None of a model that finds boxes only.
        mask_map50_95: Mean average precision of masks over IoU 0.5 to 0.95.
        parity: Share of the training framework's boxes that the bundle reproduces: same class, IoU at least
            0.95 (int8: 0.75).
        latency_ms: Median time of one inference on the exporting machine.
    """

    map50: Share | None = None
    map50_95: Share | None = None
    mask_map50: Share | None = None
    mask_map50_95: Share | None = None
    parity: Share | None = None
    latency_ms: Millis | None = None


class GoldenRow(_Data):
    """One output row for the golden input.

    Attributes:
        place: Cell of a classic or segment head, row of an end-to-end head.
        class_id: Class of the highest score.
        score: Highest score, after the sigmoid.
        box: Pixels of the model's input: cxcywh of a classic or segment head, xyxy of an end-to-end head.
        mask: Mean over the whole input of the mask's probability; None without masks.
    """

    place: Index
    class_id: Index
    score: Share
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    mask: Share | None = None


class Golden(_Data):
    """Golden sample: an input and its output, to be compared on another machine.

    Attributes:
        input_sha256: `array_digest` of `golden_image` at the size of the input.
        output_sha256: `array_digest` of the raw outputs on the CPU of the exporting machine. Another machine
            may round differently: equality is a proof, otherwise the rows decide.
        rows: Rows with the highest scores; none in a bundle of schema 1.
    """

    input_sha256: Sha256
    output_sha256: Sha256
    rows: Annotated[tuple[GoldenRow, ...], Field(max_length=MAX_ROWS)] = ()


class BundleParents(_Data):
    """Parents of a bundle, by the digests of the files.

    Attributes:
        weights_sha256: Trained weights.
        start_weights_sha256: Weights that the training began with; None if they ship or are random.
        bundle_sha256: Bundle in use before, which this one was trained to replace.
    """

    weights_sha256: Sha256
    start_weights_sha256: Sha256 | None = None
    bundle_sha256: Sha256 | None = None


class Record(_Data):
    """Origin and quality of a bundle.

    Attributes:
        created: Time of export, ISO 8601.
        precision: Precision of the weights.
        dataset_sha256: Digest of the training dataset.
        measured: Figures of the release check.
        golden: Golden sample.
        frames: Statistics of the training frames; None if they are unknown.
        parents: What it was made from; None if it is not known.
    """

    created: Annotated[str, StringConstraints(pattern=r"^[0-9T:.+Z -]{1,40}$")] | None = None
    precision: WeightPrecision | None = None
    dataset_sha256: Sha256 | None = None
    measured: Measured = Measured()
    golden: Golden | None = None
    frames: FrameStatistics | None = None
    parents: BundleParents | None = None


class Document(_Data):
    """JSON value under `edgeloop`.

    Attributes:
        schema_version: Schema of this document; 2 has golden rows, 3 has statistics of the training frames
            and parents.
        model: Settings to run the model with.
        record: Origin and quality.
    """

    schema_version: Literal[1, 2, 3] = 3
    model: SpecOverrides
    record: Record = Record()


def read_document(metadata: Mapping[str, str]) -> Document | None:
    """Parse the document of a bundle.

    Args:
        metadata: Metadata of an ONNX file.

    Returns:
        The document; None if the file is no bundle.

    Raises:
        ModelError: The value is too long, not JSON, of an unknown schema version, or out of range.
    """
    text = metadata.get(BUNDLE_KEY)
    if text is None:
        return None
    if len(text) > MAX_DOCUMENT:
        raise ModelError(f"metadata '{BUNDLE_KEY}': {len(text)} characters, expected at most {MAX_DOCUMENT}")
    try:
        return Document.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(f"metadata '{BUNDLE_KEY}', {first_validation_error(error, 'value')}") from error

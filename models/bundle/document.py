"""What an edgeloop bundle says about itself beyond how to run it, as the JSON value under `edgeloop`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from edgeloop.models.errors import ModelError
from edgeloop.models.facts.overrides import Share, SpecOverrides

__all__ = [
    "BUNDLE_KEY",
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
    """What was measured when the bundle was made.

    Attributes:
        map50: mean average precision at IoU 0.5 on the validation part of the dataset.
        map50_95: the same, mean over IoU 0.5 to 0.95.
        parity: share of the training framework's boxes that the bundle repeats, same class, at IoU 0.95, for
            int8 at 0.75.
        latency_ms: median time of one inference on the exporting machine.
    """

    map50: Share | None = None
    map50_95: Share | None = None
    parity: Share | None = None
    latency_ms: Millis | None = None


class GoldenRow(_Data):
    """One of the answers to the golden input.

    Attributes:
        place: number of the cell of a classic head, of the row of an end-to-end head.
        class_id: class of its highest score.
        score: that score, after the sigmoid.
        box: four numbers in pixels of the model's input, in the head's own form: centre, width and height of
            a classic head, corners of an end-to-end head.
    """

    place: Index
    class_id: Index
    score: Share
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]


class Golden(_Data):
    """One input and what came out, to recognise on another machine.

    Attributes:
        input_sha256: `array_digest` of `golden_image` at the size of the input.
        output_sha256: `array_digest` of the raw output on the CPU of the exporting machine. Another machine
            may round differently, so equality is a proof, and where the bits differ the rows decide.
        rows: the answers with the highest scores; none in a bundle of schema 1.
    """

    input_sha256: Sha256
    output_sha256: Sha256
    rows: Annotated[tuple[GoldenRow, ...], Field(max_length=MAX_ROWS)] = ()


class Record(_Data):
    """Where a bundle comes from and how good it was found to be.

    Attributes:
        created: when it was made, ISO 8601.
        precision: of the weights.
        dataset_sha256: digest of the dataset it was trained on.
        measured: figures of its release check.
        golden: one input and what came out.
    """

    created: Annotated[str, StringConstraints(pattern=r"^[0-9T:.+Z -]{1,40}$")] | None = None
    precision: WeightPrecision | None = None
    dataset_sha256: Sha256 | None = None
    measured: Measured = Measured()
    golden: Golden | None = None


class Document(_Data):
    """The JSON value under `edgeloop`.

    Attributes:
        schema_version: of this document; 2 came with the golden rows.
        model: how to run the model.
        record: where it comes from and how good it was found to be.
    """

    schema_version: Literal[1, 2] = 2
    model: SpecOverrides
    record: Record = Record()


def read_document(metadata: Mapping[str, str]) -> Document | None:
    """Read the bundle's own part of a model's metadata.

    Args:
        metadata: the key-value pairs of an ONNX file.

    Returns:
        The document; None where the file is no bundle.

    Raises:
        ModelError: the value is too long, not JSON, of another schema version, or holds absurd values.
    """
    text = metadata.get(BUNDLE_KEY)
    if text is None:
        return None
    if len(text) > MAX_DOCUMENT:
        raise ModelError(f"metadata '{BUNDLE_KEY}': {len(text)} characters, expected at most {MAX_DOCUMENT}")
    try:
        return Document.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "value"
        raise ModelError(f"metadata '{BUNDLE_KEY}', {where}: {first['msg']}") from error

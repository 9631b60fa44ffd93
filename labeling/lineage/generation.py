"""Record of one generation of a detector: what it was made from, and how it was judged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["Generation", "HeldOutScores", "Parents", "Verdict"]

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Verdict = Literal["promoted", "refused", "shadow"]
"""In use; kept out of use by the gate, or given up by a service; candidate in the store of a service until
`edgeloop promote`."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class HeldOutScores(_Data):
    """Scores of two detectors on the same held-out frames.

    Attributes:
        frames: Number of frames.
        parent: Mean average precision at IoU 0.5 of the parent; of the teacher in the first generation; None
            if there is nothing to compare with.
        own: The same of this generation.
        parent_map50_95: Mean over IoU 0.5 to 0.95; None as `parent`.
        own_map50_95: The same of this generation.
    """

    frames: Annotated[int, Field(ge=0)]
    parent: Share | None
    own: Share
    parent_map50_95: Share | None
    own_map50_95: Share


class Parents(_Data):
    """Digests of all that a generation was made from, SHA-256.

    Attributes:
        exemplars: The person's boxes, with their images.
        dataset: Dataset, as `edgeloop train` computes it.
        weights: Trained weights.
        bundle: Bundle; None if the gate of the export refused it.
        start_weights: Trained weights of the parent that the training began with; None in the first.
        parent_bundle: Bundle of the parent; None in the first.
    """

    exemplars: Sha256
    dataset: Sha256
    weights: Sha256
    bundle: Sha256 | None
    start_weights: Sha256 | None
    parent_bundle: Sha256 | None


class Generation(_Data):
    """One generation, LOOP/generations/NUMBER/generation.json.

    Attributes:
        number: Number, from 1 on.
        parent: Number of the generation that it was trained from; None for the first.
        created: Time, ISO 8601 in UTC.
        names: Class names.
        digests: Digests of all that it was made from.
        frames: Training frames.
        new_frames: Those that the parent had not learned from.
        by_person: Training frames that a person drew or decided on.
        old: Scores on the held-out frames of earlier generations; None in the first.
        new: Scores on held-out frames that came with this generation; None if there are none.
        recall: Estimated recall of the parent on the device, from mining; None if unknown.
        verdict: What became of it.
        reason: Why, in one line.
    """

    format: Literal[1] = 1
    number: Annotated[int, Field(ge=1)]
    parent: Annotated[int, Field(ge=1)] | None
    created: str
    names: tuple[str, ...]
    digests: Parents
    frames: Annotated[int, Field(ge=0)]
    new_frames: Annotated[int, Field(ge=0)]
    by_person: Annotated[int, Field(ge=0)]
    old: HeldOutScores | None
    new: HeldOutScores | None
    recall: Share | None = None
    verdict: Verdict
    reason: str

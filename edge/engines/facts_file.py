"""Facts beside a model file of an engine that keeps no metadata: `parts.tflite` has `parts.tflite.json`.

They hold what an ONNX bundle carries in itself, and the sha256 of the model file, so that facts of another
file are refused. Their own digest, under `seal`, is that of the document without it, as JSON with sorted keys
and no spaces. Of an ONNX file there are none: it explains itself.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.models.errors import ModelError, NoInputError, describe_damage
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.facts.tensor_info import TensorInfo
from edgeloop.models.weights.digest import file_sha256

__all__ = ["EngineFacts", "TensorFacts", "read_facts", "write_facts"]

_MAX_BYTES = 4 << 20
_Text = Annotated[str, StringConstraints(max_length=1 << 20)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Side = Annotated[int, Field(ge=1, le=1 << 24)]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TensorFacts(_Facts):
    """Input or output of a model.

    Attributes:
        name: Name in the file.
        shape: Sizes of the axes as the engine's `run` takes or returns them.
        dtype: Name of the numpy dtype, likewise.
    """

    name: _Name
    shape: Annotated[tuple[_Side, ...], Field(min_length=1, max_length=6)]
    dtype: Literal["float32", "float16", "uint8", "int8"]

    @property
    def info(self) -> TensorInfo:
        """The same, as the settings of a model are resolved from."""
        return TensorInfo(self.name, self.shape, self.dtype)


class EngineFacts(_Facts):
    """Document beside a model file.

    Attributes:
        schema_version: Schema of this document.
        engine: Name of the engine that runs the file.
        sha256: Digest of the model file.
        metadata: Metadata with the keys of an ONNX bundle.
        inputs: Inputs in order.
        outputs: Outputs in order.
        options: What the engine must know besides, such as the chip that the file is for.
        versions: Versions of the tools that made the file, by name.
        seal: Digest of this document; None until it is written.
    """

    schema_version: Literal[1] = 1
    engine: _Name
    sha256: _Sha256
    metadata: dict[_Name, _Text]
    inputs: Annotated[tuple[TensorFacts, ...], Field(min_length=1, max_length=4)]
    outputs: Annotated[tuple[TensorFacts, ...], Field(min_length=1, max_length=64)]
    options: dict[_Name, _Text] = {}
    versions: dict[_Name, _Text] = {}
    seal: _Sha256 | None = None

    def sealed(self) -> EngineFacts:
        """The same with the digest of this document."""
        document = self.model_dump(mode="json", exclude={"seal"})
        return self.model_copy(update={"seal": _digest(document)})


def write_facts(model: Path, facts: EngineFacts) -> None:
    """Write the facts of a model file beside it.

    Raises:
        UnavailableError: They cannot be written.
    """
    replace_file(facts_path(model), (facts.sealed().model_dump_json(indent=1) + "\n").encode())


def read_facts(model: Path, engine: str) -> EngineFacts:
    """Read the facts of a model file, and check that they are of this file and of an engine.

    Raises:
        NoInputError: The model file does not exist or cannot be read.
        ModelError: It has no facts, they are malformed or damaged, or of another file or engine.
    """
    if not model.is_file():
        raise NoInputError(f"{model}: there is no such model file")
    path = facts_path(model)
    content = _read(path, model)
    try:
        facts = EngineFacts.model_validate_json(content)
    except ValidationError as error:
        raise ModelError(f"{describe_damage(path, error)}; copy it again, or export again") from error
    document = json.loads(content)
    if document.pop("seal", None) != _digest(document):
        raise ModelError(f"{path}: was changed after the export; copy it again, or export again")
    if facts.engine != engine:
        raise ModelError(f"{path}: is for the engine '{facts.engine}', expected '{engine}'; export again")
    try:
        digest = file_sha256(model)
    except OSError as error:
        raise NoInputError(f"{model}: cannot be read ({error.strerror})") from error
    if digest != facts.sha256:
        raise ModelError(
            f"{model}: is not the file that {path.name} was written for (sha256 {digest[:12]}, expected "
            f"{facts.sha256[:12]}); copy both files, or export again"
        )
    return facts


def _read(path: Path, model: Path) -> bytes:
    """Read the facts of a model file."""
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise ModelError(f"{path}: {size} bytes, expected at most {_MAX_BYTES}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(
            f"{model}: its facts are missing, expected {path.name} beside it; copy both files"
        ) from error
    except OSError as error:
        raise NoInputError(f"{path}: cannot be read ({error.strerror})") from error


def _digest(document: object) -> str:
    """Digest of a document that does not depend on how it is laid out."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

"""Facts beside a model file of an engine that keeps no metadata: `parts.tflite` has `parts.tflite.json`.

They hold what an ONNX bundle carries in itself, and the sha256 of the model file, so that facts of another
file are refused. Of an ONNX file there is none: it explains itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from edgeloop.models.errors import ModelError, NoInputError, first_validation_error
from edgeloop.models.facts.tensor_info import TensorInfo
from edgeloop.models.weights.digest import file_sha256

__all__ = ["EngineFacts", "TensorFacts", "facts_path", "read_facts", "write_facts"]

_MAX_BYTES = 4 << 20
_Text = Annotated[str, StringConstraints(max_length=1 << 20)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
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
    """

    schema_version: Literal[1] = 1
    engine: _Name
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    metadata: dict[_Name, _Text]
    inputs: Annotated[tuple[TensorFacts, ...], Field(min_length=1, max_length=4)]
    outputs: Annotated[tuple[TensorFacts, ...], Field(min_length=1, max_length=64)]
    options: dict[_Name, _Text] = {}
    versions: dict[_Name, _Text] = {}


def facts_path(model: Path) -> Path:
    """Path of the facts of a model file."""
    return model.with_name(f"{model.name}.json")


def write_facts(model: Path, facts: EngineFacts) -> None:
    """Write the facts of a model file beside it."""
    facts_path(model).write_text(facts.model_dump_json(indent=1) + "\n")


def read_facts(model: Path, engine: str) -> EngineFacts:
    """Read the facts of a model file, and check that they are of this file and of an engine.

    Raises:
        NoInputError: The model file does not exist.
        ModelError: It has no facts, they are malformed, or of another file or engine.
    """
    if not model.is_file():
        raise NoInputError(f"{model}: there is no such model file")
    path = facts_path(model)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ModelError(f"{path}: {path.stat().st_size} bytes, expected at most {_MAX_BYTES}")
        facts = EngineFacts.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelError(
            f"{model}: its facts are missing, expected {path.name} beside it; copy both files"
        ) from error
    except OSError as error:
        raise NoInputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise ModelError(f"{path}: {first_validation_error(error, 'document')}") from error
    if facts.engine != engine:
        raise ModelError(f"{path}: is for the engine '{facts.engine}', expected '{engine}'; export again")
    if (digest := file_sha256(model)) != facts.sha256:
        raise ModelError(
            f"{model}: is not the file that {path.name} was written for (sha256 {digest[:12]}, expected "
            f"{facts.sha256[:12]}); copy both files, or export again"
        )
    return facts

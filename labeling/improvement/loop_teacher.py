"""Teacher of a loop: the labeling engine that learned from its exemplars."""

from __future__ import annotations

from edgeloop.labeling.build import DetectorModels, learn_models
from edgeloop.labeling.engine.engine import Engine
from edgeloop.labeling.improvement.make_generation import labeling_plan
from edgeloop.labeling.inputs.load import read_inputs
from edgeloop.labeling.job import job_key, kept_engine
from edgeloop.labeling.ledger import Ledger
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.step_progress import Progress, no_progress
from edgeloop.models.errors import DataError

__all__ = ["open_teacher"]


def open_teacher(loop: LoopFolder, progress: Progress | None = None) -> tuple[Engine, tuple[str, ...]]:
    """Open the teacher that labels the frames of a loop; it learns if it has not yet, and is kept.

    Args:
        loop: The loop.
        progress: Shows the steps of learning; None for silence.

    Returns:
        The engine, and its class names.

    Raises:
        NoInputError: There are no exemplars.
        DataError: They are malformed, or have no boxes on frames.
        EdgeloopError: The segmenter or the device cannot be used.
    """
    plan = labeling_plan(loop)
    inputs = read_inputs(plan, loop.frames, ())
    if not inputs.exemplars.frames:
        raise DataError(f"{loop.exemplars}: expected boxes on whole frames")
    job = job_key(plan, inputs)
    folder = kept_engine(loop.teacher, job)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Ledger(folder.parent / "ledger.sqlite3", job):  # no second process learns the same meanwhile
        models = learn_models(plan, inputs, (), folder, progress or no_progress)
    if not isinstance(models, DetectorModels):
        raise DataError(f"{loop.exemplars}: expected boxes on whole frames")
    return models.engine.open(loop.settings.device), inputs.exemplars.names

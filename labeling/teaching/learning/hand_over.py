"""Hand members that learned in rounds to the labeling job of a loop, which then learns nothing again."""

from __future__ import annotations

from shutil import copyfile

from edgeloop.edge.host.durable_file import make_folder
from edgeloop.labeling.engine.members import held_out_by
from edgeloop.labeling.engine.rounds import Learner
from edgeloop.labeling.improvement.make_generation import labeling_plan
from edgeloop.labeling.inputs.load import read_inputs
from edgeloop.labeling.job import job_key, kept_engine
from edgeloop.labeling.lineage.loop_folder import LoopFolder

__all__ = ["hand_over"]


def hand_over(learner: Learner, loop: LoopFolder) -> bool:
    """Put the members of a learner where the labeling job of its loop keeps its own.

    Nothing is done if that job has members already, or would keep others from the person's frames than the
    learner did, as with a single frame.

    Args:
        learner: Learner with the exemplars of the loop.
        loop: The loop.

    Returns:
        True if the job has the members now.

    Raises:
        EdgeloopError: The exemplars cannot be read, or the files not be written.
    """
    members, folds = learner.members, learner.folds
    count = len(set(folds))
    if count < 2 or folds != held_out_by(len(folds)) or list(members) != list(range(count)):
        return False
    plan = labeling_plan(loop)
    inputs = read_inputs(plan, loop.frames, ())
    folder = kept_engine(loop.teacher, job_key(plan, inputs))
    graph = folder / "ensemble.onnx"
    if graph.is_file():
        return True
    make_folder(folder)
    for number, path in members.items():
        copyfile(path, folder / f"member{number}.safetensors")
    partial = graph.with_suffix(".part")
    copyfile(learner.graph, partial)
    partial.replace(graph)
    return True

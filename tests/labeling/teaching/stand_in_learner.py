"""Stand-in for the process that learns: publishes a teacher, and after a while a bundle as the student.

usage: stand_in_learner.py LOOP GRAPH BUNDLE SECONDS
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from shutil import copyfile

from edgeloop.labeling.engine.calibration import Calibration
from edgeloop.labeling.engine.engine import Engine
from edgeloop.labeling.engine.ensemble import Ensemble
from edgeloop.labeling.lineage.generation import Generation, Parents
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.parent_process import say
from edgeloop.labeling.teaching.learning.learner_messages import FramesWanted, GenerationMade, TeacherReady
from edgeloop.labeling.teaching.open_loop import loop_exemplars
from edgeloop.labeling.teaching.teacher_detector import publish_teacher
from edgeloop.models.weights.digest import file_sha256

SIDE = 320  # px


def main() -> None:
    """Run it until its standard input ends."""
    loop, graph, bundle = LoopFolder.open(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
    if loop.current() is None:
        say(FramesWanted(frames=10))
        exemplars = loop_exemplars(loop)
        engine = Engine(Ensemble(graph, SIDE), Calibration(0.0), 0.0, None)
        publish_teacher(loop.teacher, graph, engine, side=SIDE, names=exemplars.names, number=1)
        say(TeacherReady(round=1, learned_from=len(exemplars.frames), map50=None))
        time.sleep(float(sys.argv[4]))
        promote(loop, bundle, exemplars.names)
    sys.stdin.read()


def promote(loop: LoopFolder, bundle: Path, names: tuple[str, ...]) -> None:
    """Make a bundle the first generation."""
    loop.generation_folder(1).mkdir(parents=True)
    copyfile(bundle, loop.bundle(1))
    digest = file_sha256(bundle)
    parents = Parents(
        exemplars=digest,
        dataset=digest,
        weights=digest,
        bundle=digest,
        start_weights=None,
        parent_bundle=None,
    )
    generation = Generation(
        number=1, parent=None, created="2026-11-30T00:00:00+00:00", names=names, digests=parents, frames=1,
        new_frames=1, by_person=0, old=None, new=None, verdict="promoted", reason="it finds the block",
    )  # fmt: skip
    loop.write_generation(generation)
    loop.promote(1)
    say(GenerationMade(number=1, verdict="promoted", reason=generation.reason))


if __name__ == "__main__":
    main()

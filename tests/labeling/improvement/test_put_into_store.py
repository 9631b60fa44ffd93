"""Way of a generation into the store of a service, and back into the loop."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from edgeloop.edge.ring.ring_database import read_ring
from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.labeling.commands.history import history
from edgeloop.labeling.improvement.deployment import agreement_on_ring, follow_store, put_into_store
from edgeloop.labeling.lineage.generation_lock import generation_lock
from edgeloop.labeling.lineage.loop_folder import LoopFolder, LoopSettings
from edgeloop.models.weights.digest import file_sha256
from tests.dense import write_bundle
from tests.labeling.improvement.rings import picture, write_ring
from tests.labeling.lineage.generations import add_generation


@pytest.fixture
def loop(tmp_path: Path) -> LoopFolder:
    """Two generations with bundles that run; the first is in use, the second is in shadow."""
    made = LoopFolder.create(tmp_path / "loop", LoopSettings(created="2026-11-30"))
    first = add_generation(made, 1, None, "promoted")
    second = add_generation(made, 2, first, "shadow")
    write_bundle(made.bundle(1))
    write_bundle(made.bundle(2), precision="fp16")
    for number, generation in ((1, first), (2, second)):
        digests = generation.digests.model_copy(update={"bundle": file_sha256(made.bundle(number))})
        made.write_generation(generation.model_copy(update={"digests": digests}))
    made.promote(1)
    return made


def test_a_bundle_goes_into_shadow_and_comes_back_when_it_was_promoted(
    loop: LoopFolder, tmp_path: Path
) -> None:
    store = ModelStore(tmp_path / "state", "parts")
    assert put_into_store(loop, 1, store)[0] == "promoted"  # there was none
    verdict, where = put_into_store(loop, 2, store)
    assert verdict == "shadow"
    assert "in shadow as parts" in where
    state = store.read()
    assert state.candidate is not None
    assert state.candidate.digest == file_sha256(loop.bundle(2))
    assert follow_store(loop, store) is None
    store.promote(state.candidate.digest)
    assert follow_store(loop, store) == "Generation 2: parts has promoted it"
    current = loop.current()
    assert current is not None
    assert (current.number, current.verdict) == (2, "promoted")
    assert put_into_store(loop, 2, store)[0] == "promoted"


def test_a_generation_that_the_device_gave_up_is_in_use_no_more(loop: LoopFolder, tmp_path: Path) -> None:
    """Nor is it promoted again as one whose promotion was cut off."""
    store = ModelStore(tmp_path / "state", "parts")
    put_into_store(loop, 1, store)
    put_into_store(loop, 2, store)
    store.promote(file_sha256(loop.bundle(2)))
    follow_store(loop, store)
    store.roll_back("half as fast as the one before")
    shown = CliRunner().invoke(
        history, [str(loop.root), "--state", str(tmp_path / "state"), "--name", "parts"]
    )
    assert "Generation 1: parts has returned to it from generation 2" in shown.stderr
    assert "1 (in use)" in shown.stdout
    with generation_lock(loop):
        current, given_up = loop.current(), loop.generations()[1]
    assert current is not None
    assert (current.number, given_up.verdict) == (1, "refused")
    assert given_up.reason.endswith("given up by parts: half as fast as the one before")
    assert follow_store(loop, store) is None


def test_a_device_that_runs_something_else_is_said_with_what_to_do(loop: LoopFolder, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "state", "parts")
    put_into_store(loop, 1, store)
    second = loop.generations()[1]
    loop.write_generation(second.model_copy(update={"verdict": "promoted"}))
    loop.promote(2)  # by improve without --state
    told = str(follow_store(loop, store))
    assert told.startswith("parts runs generation 1 and never had generation 2")
    assert told.endswith(f"edgeloop shadow {loop.bundle(2)} puts it there")
    write_bundle(loop.bundle(1), precision="int8")
    other = ModelStore(tmp_path / "other", "parts")
    put_into_store(loop, 1, other)
    assert "no generation of this loop" in str(follow_store(loop, other))


def test_bundles_are_compared_on_frames_of_the_ring(loop: LoopFolder, tmp_path: Path) -> None:
    write_ring(tmp_path / "ring", [picture(number, (320, 240)) for number in range(6)])
    compared = agreement_on_ring(loop.bundle(2), loop.bundle(1), read_ring(tmp_path / "ring"))
    assert compared == (6, 1.0)  # they differ in what they say of their precision alone


def test_a_promotion_that_was_cut_off_is_completed(loop: LoopFolder) -> None:
    second = loop.generations()[1]
    loop.write_generation(second.model_copy(update={"verdict": "promoted"}))
    with generation_lock(loop):
        current = loop.current()
    assert current is not None
    assert current.number == 2

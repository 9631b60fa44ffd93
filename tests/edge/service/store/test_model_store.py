from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.edge.service.store import model_store
from edgeloop.edge.service.store.model_store import MAX_STARTS, ModelStore
from edgeloop.edge.service.store.store_state import MAX_CHANGES, InstalledModel, ProbationState, StoreState
from edgeloop.edge.service.store.stored_files import held_file
from edgeloop.models.errors import DataError, NoInputError, UnavailableError


def content(name: str) -> bytes:
    return f"model {name}".encode()


def model(name: str) -> InstalledModel:
    return InstalledModel(digest=hashlib.sha256(content(name)).hexdigest(), origin=f"{name}.onnx")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Store with the current model `old`."""
    made = ModelStore(tmp_path, "parts")
    made.install(model("old"), content("old"))
    return made


def install(store: ModelStore, *names: str) -> None:
    for name in names:
        store.install(model(name), content(name))


def kept(store: ModelStore) -> set[str]:
    return {path.stem for path in (store.folder / "files").iterdir()}


@pytest.mark.parametrize(("suffix", "files"), [(".onnx", 1), (".ncnn", 2)])
def test_killed_at_every_step_of_every_change_leaves_old_or_new(
    tmp_path: Path, suffix: str, files: int
) -> None:
    command = [sys.executable, "-m", "tests.edge.service.store.crash_points", str(tmp_path), suffix]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[4])
    assert done.returncode == 0, done.stderr
    steps = {name: int(count) for name, count in (line.split(": ") for line in done.stdout.splitlines())}
    assert len(steps) == 11
    assert min(steps.values()) >= 4  # write, fsync, rename, fsync of the folder
    assert steps["install"] >= 4 + 4 * files  # the same for the file of the model, and for its facts


def test_the_first_model_is_current_at_once(store: ModelStore, tmp_path: Path) -> None:
    state = store.read()
    assert (state.current, state.previous, state.probation) == (model("old"), None, None)
    assert ModelStore(tmp_path, "parts").current().read_bytes() == content("old")


def test_nothing_installed(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"models.parts: no model is installed; edgeloop install"):
        ModelStore(tmp_path, "parts").current()
    with pytest.raises(DataError, match="no model is installed"):
        ModelStore(tmp_path, "parts").roll_back()
    assert not list(tmp_path.iterdir())


def test_the_next_model_is_on_probation_until_it_is_confirmed(store: ModelStore) -> None:
    install(store, "new")
    assert store.read().previous == model("old")
    assert store.read().probation == ProbationState()
    store.save_probation(model("new").digest, ProbationState(elapsed_s=5.0, starts=1))
    assert store.read().probation == ProbationState(elapsed_s=5.0, starts=1)
    store.confirm(model("new").digest, "well")
    state = store.read()
    assert state.probation is None
    assert state.previous == model("old")
    assert [change.action for change in state.history] == ["installed", "installed", "confirmed"]


def test_a_model_on_probation_is_never_the_one_to_return_to(store: ModelStore) -> None:
    install(store, "mid", "new")
    state = store.read()
    assert (state.current, state.previous) == (model("new"), model("old"))
    assert kept(store) == state.digests
    install(store, "old")  # what was there before probation needs none
    assert (store.read().current, store.read().previous, store.read().probation) == (model("old"), None, None)


def test_installing_the_current_model_again_changes_nothing(store: ModelStore) -> None:
    before = store.version
    install(store, "old")
    assert store.version == before


def test_roll_back(store: ModelStore) -> None:
    install(store, "new")
    assert store.roll_back("too slow", only=model("mid").digest) == store.read()
    assert store.read().current == model("new")
    store.roll_back("too slow", only=model("new").digest)
    state = store.read()
    assert (state.current, state.previous, state.probation) == (model("old"), None, None)
    assert state.history[-1].reason == "too slow"
    assert kept(store) == {model("old").digest}
    with pytest.raises(DataError, match=r"models.parts: there is no previous model"):
        store.roll_back()


def test_a_candidate_is_promoted(store: ModelStore) -> None:
    store.shadow(model("new"), content("new"))
    assert store.read().current == model("old")
    with pytest.raises(DataError, match="replaced meanwhile"):
        store.promote(model("mid").digest)
    store.promote(model("new").digest, forced=True)
    state = store.read()
    assert (state.current, state.previous, state.candidate) == (model("new"), model("old"), None)
    assert state.probation == ProbationState()
    assert state.history[-1].forced


def test_shadow_needs_another_current_model(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="current model already"):
        store.shadow(model("old"), content("old"))
    with pytest.raises(DataError, match="no current model"):
        ModelStore(tmp_path, "other").shadow(model("new"), content("new"))
    assert not kept(ModelStore(tmp_path, "other"))


def test_files_of_no_use_are_removed_but_never_one_that_is_held(store: ModelStore) -> None:
    install(store, "mid")
    with held_file(store.path(model("mid"))):
        install(store, "new")
        assert kept(store) == {model(name).digest for name in ("old", "mid", "new")}
    store.clean()
    assert kept(store) == {model(name).digest for name in ("old", "new")}


def test_a_damaged_model_gives_way_to_the_previous_one(store: ModelStore, tmp_path: Path) -> None:
    install(store, "new")
    store.path(model("new")).write_bytes(b"rot")
    assert ModelStore(tmp_path, "parts").current().read_bytes() == content("old")
    assert store.read().history[-1].reason == "its file was damaged"
    store.path(model("old")).unlink()
    with pytest.raises(DataError, match="is damaged or missing; install it again"):
        ModelStore(tmp_path, "parts").current()
    install(store, "old")
    assert ModelStore(tmp_path, "parts").current().read_bytes() == content("old")


def test_a_damaged_previous_model_never_returns(store: ModelStore) -> None:
    install(store, "new")
    store.path(model("old")).write_bytes(b"rot")
    with pytest.raises(DataError, match="file of the previous model is damaged"):
        store.roll_back()
    assert store.current() == store.path(model("new"))


def test_starts_that_do_not_end_in_order_bring_the_previous_model_back(store: ModelStore) -> None:
    install(store, "new")
    for start in range(MAX_STARTS):
        assert store.begin_service() == store.path(model("new"))
        assert store.read().probation == ProbationState(starts=start + 1)
    assert store.begin_service() == store.path(model("old"))
    assert "started 4 times within its probation" in store.read().history[-1].reason
    assert store.read().probation is None


def test_a_start_that_ends_in_order_does_not_count(store: ModelStore) -> None:
    install(store, "new")
    for _ in range(MAX_STARTS + 2):
        store.begin_service()
        store.end_service()
    store.end_service()
    assert store.read().probation == ProbationState()


@pytest.mark.parametrize(
    "state",
    [b"", b"{", b"\xff", b"[]", b'{"version": 2}', b'{"current": {"digest": "../x"}}', b" " * (2 << 20)],
)
def test_a_damaged_state_is_refused_in_one_line(store: ModelStore, state: bytes) -> None:
    (store.folder / "state.json").write_bytes(state)
    with pytest.raises(DataError, match=r"state.json: expected at most|; no state of a store") as refused:
        store.current()
    assert "\n" not in str(refused.value)


def test_a_state_that_cannot_be_read_may_be_read_later(store: ModelStore) -> None:
    state = store.folder / "state.json"
    state.unlink()
    state.mkdir()
    with pytest.raises(UnavailableError, match=r"state.json: cannot be read \(Is a directory\)"):
        store.begin_service()


def test_a_change_waits_for_another_command(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_store, "_LOCK_S", 0.1)
    with locked_folder(store.folder, "held"), pytest.raises(DataError, match="in use by another command"):
        install(store, "new")
    install(store, "new")


def test_the_history_is_bounded() -> None:
    state = StoreState().with_current(model("old"), "installed")
    for _ in range(MAX_CHANGES):
        state = state.with_current(model("new"), "installed").rolled_back()
    assert len(state.history) == MAX_CHANGES


def with_facts(name: str, *, said: str = "") -> tuple[InstalledModel, bytes, bytes]:
    """A model of another engine than onnxruntime, with its file and its facts."""
    facts = json.dumps({"sha256": hashlib.sha256(content(name)).hexdigest(), "said": said}).encode()
    digest = hashlib.sha256(facts).hexdigest()
    return InstalledModel(digest=digest, suffix=".ncnn", origin=f"{name}.ncnn"), content(name), facts


@pytest.mark.parametrize("damaged", ["", ".json"])
def test_a_model_with_facts_is_whole_if_both_files_are(store: ModelStore, damaged: str) -> None:
    new, *files = with_facts("new")
    store.install(new, *files)
    path = store.current()
    assert (path.suffix, path.read_bytes()) == (".ncnn", content("new"))
    assert path.with_name(f"{path.name}.json").read_bytes() == files[1]
    path.with_name(path.name + damaged).write_bytes(b"rot")
    assert not store.is_whole(new)
    assert store.current() == store.path(model("old"))


def test_other_facts_beside_the_same_file_are_another_model(store: ModelStore) -> None:
    first, *files = with_facts("new")
    store.install(first, *files)
    second, *others = with_facts("new", said="another threshold")
    store.install(second, *others)
    assert store.read().current == second
    assert store.is_whole(second)


def test_facts_go_with_their_file_and_stay_while_it_is_held(store: ModelStore) -> None:
    mid, *files = with_facts("mid")
    store.install(mid, *files)
    path = store.path(mid)
    with held_file(path):
        install(store, "new")
        assert store.is_whole(mid)
    (store.folder / "files" / f"{'0' * 64}.ncnn.json").write_bytes(b"of no file")
    store.clean()
    assert {path.suffix for path in (store.folder / "files").iterdir()} == {".onnx"}
    assert kept(store) == {model(name).digest for name in ("old", "new")}

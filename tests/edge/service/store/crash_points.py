"""Kill a process at every step on disk of every change of a store, and look at what is left.

Run as a program: it forks, which a process with threads must not.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.edge.service.store.store_state import InstalledModel, ProbationState

KILLED = 99
CONTENTS = {name: f"model {name}".encode() * 1000 for name in ("old", "mid", "new")}
SUFFIX = sys.argv[2]
"""Suffix of the files; any but .onnx has facts beside it."""

FACTS = {
    name: b"" if SUFFIX == ".onnx" else json.dumps({"sha256": hashlib.sha256(data).hexdigest()}).encode()
    for name, data in CONTENTS.items()
}
MODELS = {
    name: InstalledModel(digest=hashlib.sha256(FACTS[name] or data).hexdigest(), suffix=SUFFIX)
    for name, data in CONTENTS.items()
}


def install(store: ModelStore, name: str) -> None:
    store.install(MODELS[name], CONTENTS[name], FACTS[name])


def shadow(store: ModelStore, name: str) -> None:
    store.shadow(MODELS[name], CONTENTS[name], FACTS[name])


CHANGES: dict[str, tuple[Callable[[ModelStore], object], Callable[[ModelStore], object]]] = {
    "first install": (lambda _: None, lambda store: install(store, "old")),
    "install": (lambda store: install(store, "old"), lambda store: install(store, "new")),
    "install on probation": (
        lambda store: (install(store, "old"), install(store, "mid")),
        lambda store: install(store, "new"),
    ),
    "shadow": (lambda store: install(store, "old"), lambda store: shadow(store, "new")),
    "another shadow": (
        lambda store: (install(store, "old"), shadow(store, "mid")),
        lambda store: shadow(store, "new"),
    ),
    "promote": (
        lambda store: (install(store, "old"), shadow(store, "new")),
        lambda store: store.promote(MODELS["new"].digest),
    ),
    "roll back": (
        lambda store: (install(store, "old"), install(store, "new")),
        lambda store: store.roll_back(),
    ),
    "confirm": (
        lambda store: (install(store, "old"), install(store, "new")),
        lambda store: store.confirm(MODELS["new"].digest, ""),
    ),
    "save probation": (
        lambda store: (install(store, "old"), install(store, "new")),
        lambda store: store.save_probation(MODELS["new"].digest, ProbationState(elapsed_s=3.0)),
    ),
    "start": (
        lambda store: (install(store, "old"), install(store, "new")),
        lambda store: store.begin_service(),
    ),
    "end": (
        lambda store: (install(store, "old"), install(store, "new"), store.begin_service()),
        lambda store: store.end_service(),
    ),
}
"""State to begin with, and the change, by its name."""


class Shim:
    """Kills this process at the n-th step on disk; a write leaves half of its bytes."""

    def __init__(self, last: int) -> None:
        self.left = last
        for name in ("fsync", "replace", "unlink", "mkdir"):
            setattr(os, name, self._counted(getattr(os, name)))
        opened = io.open
        shim = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                if shim.step():
                    super().write(bytes(data)[: len(data) // 2])
                    os._exit(KILLED)
                return super().write(data)

        def open_counted(path: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
            return io.BufferedWriter(Raw(path, "wb")) if mode == "wb" else opened(path, mode, *rest, **named)

        vars(io)["open"] = open_counted

    def step(self) -> bool:
        self.left -= 1
        return self.left < 0

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            if self.step():
                os._exit(KILLED)
            return function(*arguments, **named)

        return counted


def main(folder: Path) -> None:
    """Try every change, and print the number of steps of each."""
    vars(os)["fsync"] = lambda _: None  # a kill loses nothing that was written, and a disk takes long
    for number, (name, (before, change)) in enumerate(CHANGES.items()):
        start = folder / f"{number}"
        before(ModelStore(start, "parts"))
        old = ModelStore(start, "parts").read()
        steps = 0
        while True:
            state_folder = folder / f"{number}-{steps}"
            if start.exists():
                shutil.copytree(start, state_folder)
            else:
                state_folder.mkdir()
            store = ModelStore(state_folder, "parts")
            child = os.fork()
            if not child:
                Shim(steps)
                change(store)
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            expect(code in (0, KILLED), name, steps, f"ended with {code}")
            left = store.read()
            if left.current is not None:
                expect(store.current() == store.path(left.current), name, steps, "no whole model")
            expect(left.current is not None or old.current is None, name, steps, "no current model")
            known = left.digests <= {model.digest for model in MODELS.values()}
            expect(
                known and all(map(store.is_whole, left.models)),
                name,
                steps,
                "names a file that is not whole",
            )
            if left.history == old.history and left.probation == old.probation:
                expect(left == old, name, steps, "neither old nor new")
                expect(code == KILLED, name, steps, "did nothing")
                change(store)  # and it can be done again
            store.clean()
            state = store.read()
            kept = {path.name for path in (store.folder / "files").glob("*")}
            ends = [SUFFIX] if SUFFIX == ".onnx" else [SUFFIX, f"{SUFFIX}.json"]
            named = {f"{digest}{end}" for digest in state.digests for end in ends}
            expect(kept == named, name, steps, f"keeps {kept}, names {named}")
            expect(all(map(store.is_whole, state.models)), name, steps, "keeps a file that is not whole")
            if code == 0:
                break
            steps += 1
        print(f"{name}: {steps}")


def expect(fulfilled: bool, name: str, steps: int, what: str) -> None:
    if not fulfilled:
        sys.exit(f"{name}, killed at step {steps}: {what}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The command line: verbs found lazily, every error one line and its exit code."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint

import click
import pytest

from edgeloop.edge.cli import app as cli
from edgeloop.models.errors import DataError, ModelError, NoInputError, UnavailableError, UsageError
from tests.calls import Outcome

GROUP = "edgeloop.verbs"


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put one verb, `work`, into the place of the installed ones: what it does, and the module it is from."""

    def install(work: Callable[[], None], module: str = "edgeloop.edge.commands.work") -> None:
        monkeypatch.setattr(cli, "_verbs", lambda: {"work": EntryPoint("work", f"{module}:work", GROUP)})
        monkeypatch.setattr(cli, "_load", lambda _point: click.command("work")(work))

    return install


def failing(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        pytest.param(UsageError("a"), 2, "edgeloop: error: a\n", id="usage"),
        pytest.param(DataError("b"), 65, "edgeloop: error: b\n", id="data"),
        pytest.param(ModelError("c"), 65, "edgeloop: error: c\n", id="model"),
        pytest.param(NoInputError("d"), 66, "edgeloop: error: d\n", id="no input"),
        pytest.param(UnavailableError("e"), 69, "edgeloop: error: e\n", id="unavailable"),
        pytest.param(
            ValueError("first\nsecond"),
            70,
            "edgeloop: error: ValueError: first (EDGELOOP_DEBUG=1 shows where)\n",
            id="a fault of ours",
        ),
        pytest.param(
            PermissionError(errno.EACCES, "Permission denied", "out/run"),
            69,
            "edgeloop: error: out/run: Permission denied; name another place, or let this user write there\n",
            id="a folder that is closed",
        ),
        pytest.param(
            OSError(errno.ENOSPC, "No space left on device"),
            69,
            "edgeloop: error: No space left on device; make room, and give the same command again\n",
            id="a full disk",
        ),
        pytest.param(KeyboardInterrupt(), 130, "\nedgeloop: interrupted\n", id="interrupt"),
    ],
)
def test_every_error_is_one_line_and_an_exit_code(
    verb: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    edgeloop: Callable[..., Outcome],
    error: BaseException,
    code: int,
    says: str,
) -> None:
    monkeypatch.delenv("EDGELOOP_DEBUG", raising=False)
    verb(failing(error))
    assert edgeloop("work") == Outcome(code, "", says)


def test_debug_shows_the_traceback(
    verb: Callable[..., None], monkeypatch: pytest.MonkeyPatch, edgeloop: Callable[..., Outcome]
) -> None:
    monkeypatch.setenv("EDGELOOP_DEBUG", "1")
    verb(failing(DataError("broken")))
    done = edgeloop("work")
    assert done.code == 65
    assert "Traceback" in done.err


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("edgeloop.labeling.commands", "pip install 'edgeloop[label]'"),
        ("edgeloop.export.commands", "pip install 'edgeloop[export]'"),
        ("edgeloop.edge.commands.run", "pip install 'edgeloop'"),
    ],
)
def test_a_missing_package_names_the_extra_that_brings_it(
    verb: Callable[..., None],
    edgeloop: Callable[..., Outcome],
    module: str,
    says: str,
) -> None:
    verb(failing(ModuleNotFoundError("No module named 'torch'", name="torch")), module)
    lack = "edgeloop work: the package torch is not installed"
    assert edgeloop("work") == Outcome(69, "", f"edgeloop: error: {lack}; {says}\n")


def test_a_missing_system_library_says_where_it_comes_from(
    verb: Callable[..., None], edgeloop: Callable[..., Outcome]
) -> None:
    verb(failing(ImportError("libGL.so.1: cannot open shared object file", name="cv2")))
    done = edgeloop("work")
    assert done.code == 69
    assert "cv2 cannot be loaded (libGL.so.1: cannot open shared object file)" in done.err
    assert "apt install libgl1" in done.err


def test_a_verb_whose_own_module_is_missing_names_it_too(
    monkeypatch: pytest.MonkeyPatch, edgeloop: Callable[..., Outcome]
) -> None:
    point = EntryPoint("work", "no_such_package.commands:work", GROUP)
    monkeypatch.setattr(cli, "_verbs", lambda: {"work": point})
    done = edgeloop("work")
    assert done.code == 69
    assert "the package no_such_package is not installed" in done.err


def test_help_lists_the_verbs_in_the_order_of_the_work(edgeloop: Callable[..., Outcome]) -> None:
    shown = edgeloop("--help").out
    listed = [line.split()[0] for line in shown.partition("Verbs:")[2].splitlines() if line]
    assert listed == list(cli.SUMMARIES)
    assert listed == [
        *("demo", "teach", "collect", "suggest", "studio", "label", "stats", "audit", "train", "export"),
        *("mine", "improve", "history"),
        *("run", "serve", "check", "install", "shadow", "promote", "rollback"),
        *("bench", "inspect", "verify", "doctor"),
    ]


def test_version_and_unknown_verbs(edgeloop: Callable[..., Outcome]) -> None:
    assert edgeloop("--version").out.startswith("edgeloop 0.")
    unknown = edgeloop("fly")
    assert unknown.code == 2
    assert "No such command 'fly'" in unknown.err


def test_the_list_of_verbs_imports_none_of_them() -> None:
    code = (
        "import sys\nfrom edgeloop.edge.cli.app import main\nsys.argv = ['edgeloop', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "verbs = {'edgeloop.edge.commands', 'edgeloop.labeling', 'edgeloop.export', 'onnxruntime', 'torch'}\n"
        "print(verbs & set(sys.modules), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == "set()\n"


def test_a_model_loads_before_what_it_does_not_need_is_imported() -> None:
    """Otherwise pydantic and OpenCV would no longer be imported beside it, and delay the first detection."""
    code = (
        "import sys\nimport edgeloop.edge.commands.run, edgeloop.edge.cli.run_report\n"
        "import edgeloop.edge.runtime.detector, edgeloop.edge.source_name\n"
        "print({'pydantic', 'cv2'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"

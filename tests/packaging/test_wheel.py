"""The wheel: built as a release is, installed, and run among files that are named like what it imports."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import cv2
import pytest

from tests.blocks import draw_block

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ROOMS = ("edge", "labeling", "export", "models")
DECOYS = (
    *("models.py", "edge.py", "export.py", "labeling.py", "edgeloop.py", "cv2.py", "numpy.py", "torch.py"),
    *("models/__init__.py", "json.py", "click.py", "onnxruntime.py"),
)
DECOY = "import pathlib\npathlib.Path(__file__ + '.imported').touch()\nraise ImportError(__file__)\n"


@dataclass(frozen=True)
class Installed:
    """A virtual environment in which the wheel is installed, and a folder full of decoys."""

    python: Path
    folder: Path

    def call(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder of decoys, as from a shell that knows nothing of this checkout."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run(
            command, cwd=self.folder, env=kept, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert not list(self.folder.rglob("*.imported"))
        return done


def build(tree: Path, out: Path, *options: str) -> Path:
    """Build the wheel of a source tree, without options from its sdist."""
    command: list[str | Path] = [sys.executable, "-P", "-m", "build", "--no-isolation", *options]
    command += ["--outdir", out, tree]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


def checksums(wheel: Path) -> dict[str, int]:
    with ZipFile(wheel) as archive:
        return {entry.filename: entry.CRC for entry in archive.infolist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    pip: list[str | Path] = [sys.executable, "-P", "-m", "pip", "--quiet", "--python", python]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--no-compile", wheel], check=True)
    # Dependencies come from the environment of the tests. Of what is named in a .pth only the folder counts,
    # not the .pth files in it: the editable edgeloop there stays out.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))

    folder = tmp_path_factory.mktemp("decoys")
    for name in DECOYS:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(DECOY)
    return Installed(python, folder)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine frames of a block that moves away from where it was."""
    folder = tmp_path_factory.mktemp("frames")
    for index in range(9):
        cv2.imwrite(str(folder / f"{index}.png"), draw_block(6 * index))
    return folder


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    files = {path for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file()}
    expected = {f"edgeloop/{path.relative_to(ROOT)}" for path in files if path.parent.name != "__pycache__"}
    found = {name for name in checksums(wheel) if ".dist-info/" not in name}
    assert found == expected | {"edgeloop/__init__.py", "edgeloop/__main__.py", "edgeloop/py.typed"}
    assert {".html", ".safetensors", ".onnx"} <= {Path(name).suffix for name in found}


def test_the_wheel_is_the_same_where_git_makes_no_links(wheel: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in (*ROOMS, "src"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for link in filter(Path.is_symlink, (tree / "src" / "edgeloop").iterdir()):
        target = str(link.readlink())
        link.unlink()
        link.write_text(target)
    assert checksums(build(tree, tmp_path / "dist", "--wheel")) == checksums(wheel)


def test_what_runs_is_the_wheel(installed: Installed) -> None:
    done = installed.call(installed.python, "-P", "-c", "import edgeloop; print(edgeloop.__file__)")
    assert Path(done.stdout).is_relative_to(installed.python.parents[1])


@pytest.mark.parametrize("start", ["script", "module"])
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["doctor"], id="doctor"),
        pytest.param(["run", "MODEL", "CLIP"], id="run"),
        pytest.param(["bench", "MODEL", "CLIP", "--frames", "8", "--turns", "1"], id="bench"),
    ],
)
def test_the_runtime_imports_nothing_from_the_folder_it_is_called_in(
    installed: Installed, start: str, arguments: list[str], block_model: Path, clip: Path
) -> None:
    """Nor do the processes that it starts."""
    command: list[str | Path] = [installed.python.with_name("edgeloop")]
    if start == "module":
        command = [installed.python, "-P", "-m", "edgeloop"]
    paths: dict[str, str | Path] = {"MODEL": block_model, "CLIP": clip}
    command += [paths.get(word, word) for word in arguments]
    done = installed.call(*command, "--json")
    assert done.stdout.startswith("{")


def test_labeling_imports_nothing_from_the_folder_it_is_called_in(
    installed: Installed, frames: Path, tmp_path: Path
) -> None:
    label: list[str | Path] = [installed.python.with_name("edgeloop"), "label", frames, "--classes", "moving"]
    done = installed.call(*label, "-o", tmp_path / "dataset", "--json")
    assert json.loads(done.stdout)["labels"]["moving"]["train"] > 0

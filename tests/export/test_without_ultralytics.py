"""Everything but `--trainer ultralytics` works without the package ultralytics."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from edgeloop.edge.runtime.detector import Detector
from edgeloop.export.exporter import export_bundle
from edgeloop.export.train.run_record import write_record
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TrainOptions
from edgeloop.models.errors import UnavailableError
from tests.export.untrained import record_of, untrained_run

WITHOUT = """
import sys
sys.modules["ultralytics"] = None  # any import of it fails
from importlib import import_module
from pathlib import Path
import edgeloop.export
from edgeloop.edge.cli.app import main
root = Path(edgeloop.export.__file__).parent
for path in root.rglob("*.py"):
    parts = path.relative_to(root).with_suffix("").parts
    if parts[0] != "ultralytics" and parts[-1] != "__init__":
        import_module(".".join(("edgeloop.export", *parts)))
main()
"""


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)


@pytest.mark.slow
def test_exports(dataset: Path, tmp_path: Path) -> None:
    run, out = untrained_run(tmp_path / "run"), tmp_path / "parts.onnx"
    words = ("export", run, "-d", dataset, "-o", out, "--target", "cpu", "--precision", "fp32")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Detector(out, provider="cpu").names == ("disk", "bar")
    metadata = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert metadata["license"] == "Apache-2.0 (trainer and start weights of edgeloop)"
    assert metadata["version"] == "0.1.0"
    card = out.with_suffix(".md").read_text()
    assert "AGPL" not in card
    assert "trained weights (best.safetensors)" in card


@pytest.mark.usefixtures("absent")
def test_a_run_of_ultralytics_names_the_package_to_install(dataset: Path, tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run")
    write_record(record_of().model_copy(update={"trainer": "ultralytics"}), run)
    with pytest.raises(UnavailableError) as caught:
        export_bundle(run, dataset, tmp_path / "x.onnx")
    assert str(caught.value) == (
        f"{run} was trained with ultralytics, which is not installed; "
        "run: pip install 'edgeloop[ultralytics]'"
    )


@pytest.mark.usefixtures("absent")
def test_the_trainer_names_the_package_to_install(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        train_detector(dataset, tmp_path / "run", TrainOptions(trainer="ultralytics"))
    assert str(caught.value) == (
        "--trainer ultralytics: needs ultralytics, which is not installed; "
        "run: pip install 'edgeloop[ultralytics]'"
    )
    assert list(tmp_path.iterdir()) == []

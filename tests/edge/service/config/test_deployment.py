"""systemd unit and Dockerfile, as far as the programs that read them are here."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
UNIT = ROOT / "recipes" / "service" / "edgeloop.service"
DOCKERFILE = ROOT / "recipes" / "service" / "Dockerfile"
MAX_IMAGE_BYTES = 500_000_000


def _docker_works() -> bool:
    docker = shutil.which("docker")
    return (
        docker is not None
        and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_accepts_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/edgeloop/bin/edgeloop", "/bin/true"))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    scored = subprocess.run(command, capture_output=True, text=True, check=False)
    assert scored.returncode == 0, scored.stdout[-300:]  # an exposure of at most 2.0 of 10


def test_the_image_copies_what_is_there_and_asks_for_its_health() -> None:
    text = DOCKERFILE.read_text().replace("\\\n", "")
    for names in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in names.split())
    allowed = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    assert all((ROOT / name[1:]).exists() for name in allowed if name.startswith("!"))
    (asked,) = re.findall(r"HEALTHCHECK .* CMD (\[.*\])", text)
    *_, program = json.loads(asked)
    ast.parse(program)
    assert "/healthz" in program
    assert "USER nonroot" in text


def test_the_image_has_the_versions_that_are_tested() -> None:
    tested, shipped = (
        dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))
        for name in ("dev.txt", "image.txt")
    )
    assert {name for name in shipped if name in tested and shipped[name] != tested[name]} == set()
    assert shipped.keys() - tested.keys() == {"opencv-python-headless"}
    assert shipped["opencv-python-headless"] == tested["opencv-python"]


@pytest.mark.slow
@pytest.mark.skipif(not _docker_works(), reason="no docker here")
def test_the_image_is_built_and_small() -> None:
    subprocess.run(
        ["docker", "build", "-q", "-f", str(DOCKERFILE), "-t", "edgeloop-test", str(ROOT)], check=True
    )
    form = ["docker", "image", "inspect", "-f", "{{.Size}}", "edgeloop-test"]
    assert int(subprocess.run(form, capture_output=True, text=True, check=True).stdout) < MAX_IMAGE_BYTES
    shown = subprocess.run(
        ["docker", "run", "--rm", "edgeloop-test", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("edgeloop ")

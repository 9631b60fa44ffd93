"""The README and the documentation are true: commands parse, files exist, names are public."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path

import click
import cv2
import numpy as np
import pytest

import edgeloop
from edgeloop.edge.cli.app import cli
from edgeloop.edge.tracking.zone_file import ZoneFile
from edgeloop.labeling.inputs.exemplars import read_exemplars

ROOT = Path(__file__).parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
}


def _blocks(language: str) -> list[tuple[str, str]]:
    """Page and text of every fenced block of a language; blocks in a list are indented."""
    fence = re.compile(rf"^( *)```(?:{language})\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
    return [
        (page, re.sub(rf"^{indent}", "", block, flags=re.MULTILINE))
        for page, text in PAGES.items()
        for indent, block in fence.findall(text)
    ]


COMMANDS = sorted(
    {
        re.split(r" +# | > ", line)[0]
        for _, block in _blocks("sh|console")
        for line in block.splitlines()
        if line.startswith("edgeloop ")
    }
)
LINKS = sorted(
    {
        (page, target)
        for page, text in PAGES.items()
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)", text)
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_parses(command: str) -> None:
    verb, *arguments = shlex.split(command)[1:]
    with click.Context(cli) as context:
        found = cli.get_command(context, verb)
        assert found is not None, verb
        found.make_context(verb, arguments)


def test_every_verb_is_documented() -> None:
    with click.Context(cli) as context:
        assert {command.split()[1] for command in COMMANDS} == set(cli.list_commands(context))


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_link_leads_somewhere(page: str, target: str) -> None:
    assert (ROOT / page).parent.joinpath(target).exists()


def test_both_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test"} <= set(targets)
    assert all(f"make {target}" in PAGES["README.md"] for target in ("demo", "test"))


@pytest.mark.parametrize(("page", "block"), _blocks("python"))
def test_python_uses_public_names(page: str, block: str) -> None:
    names = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Attribute)]
    used = {node.attr for node in names if isinstance(node.value, ast.Name) and node.value.id == "edgeloop"}
    assert used <= set(edgeloop.__all__), page


def test_every_public_name_is_in_the_reference() -> None:
    listed = re.findall(r"^::: edgeloop\.(\w+)$", PAGES["docs/reference/python.md"], re.MULTILINE)
    assert sorted(listed) == sorted(edgeloop.__all__)


@pytest.mark.parametrize(("page", "block"), _blocks("json"))
def test_json_is_valid(page: str, block: str, tmp_path: Path) -> None:
    document = json.loads(block)
    assert document, page
    if "zones" in document:
        ZoneFile.model_validate_json(block)
    if "annotations" in document:
        cv2.imwrite(str(tmp_path / document["images"][0]["file_name"]), np.zeros((480, 640, 3), np.uint8))
        (tmp_path / "exemplars.json").write_text(block)
        assert read_exemplars(tmp_path / "exemplars.json", tmp_path).names == ("bolt",)


def test_the_design_names_files_and_rooms_that_exist() -> None:
    paths = re.findall(r"`((?:edge|labeling|export|models|recipes)/[^`]*)`", PAGES["docs/design.md"])
    assert [path for path in paths if not (ROOT / path).exists()] == []
    picture = (ROOT / "docs" / "images" / "house.svg").read_text()
    drawn = re.findall(r'class="room"[^>]*>(\w+)<', picture)
    floors = [ROOT / floor for floor in ("labeling", "export", "edge", "models")]
    assert sorted(drawn) == sorted(
        room.parent.name for floor in floors for room in floor.glob("*/__init__.py")
    )

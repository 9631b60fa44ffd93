"""Sections of a page that benchmarks write."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from report import Section, Table, add_write_option, publish

PAGE = """# Results

By hand.

<!-- begin first -->
<!-- end first -->

<!-- begin second -->
Not run.
<!-- end second -->
"""
ROWS = Table("<>", ("detector", "mAP50"), [[("a|b", "0.50")], [("c", "1.00")]])


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "results.md"
    path.write_text(PAGE)
    return path


def test_only_the_named_section_is_replaced(page: Path) -> None:
    Section(page, "second").replace("new")

    assert page.read_text() == PAGE.replace("Not run.", "new")
    assert list(page.parent.iterdir()) == [page]


def test_an_empty_section_is_filled_and_filled_again(page: Path) -> None:
    for body in ("one", "two\n\nlines"):
        Section(page, "first").replace(body)

    assert "<!-- begin first -->\ntwo\n\nlines\n<!-- end first -->" in page.read_text()
    assert "one" not in page.read_text()


@pytest.mark.parametrize("text", [PAGE + PAGE, "no markers", PAGE.replace("<!-- end second -->", "")])
def test_a_page_without_the_markers_once_stays_as_it_is(page: Path, text: str) -> None:
    page.write_text(text)

    with pytest.raises(ValueError, match="expected <!-- begin second --> and <!-- end second --> once"):
        Section(page, "second").replace("new")
    assert page.read_text() == text


def test_markdown_escapes_bars_and_aligns_figures() -> None:
    assert ROWS.markdown().splitlines() == [
        "| detector | mAP50 |",
        "| --- | ---: |",
        "| a\\|b | 0.50 |",
        "| c | 1.00 |",
    ]


def test_a_section_names_command_commit_and_machine(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks/x.py", "a b", "--write", f"{page}#second", "--turns", "3"])
    publish(Section(page, "second"), ROWS, note="Read so.")

    written = page.read_text()
    assert "`python benchmarks/x.py 'a b' --turns 3`" in written
    assert "| c | 1.00 |\n\nRead so.\n\nCommit " in written
    assert "cores, load " in written
    assert "Read so." in capsys.readouterr().out


def test_write_takes_the_script_s_section_or_a_named_one(page: Path) -> None:
    parser = argparse.ArgumentParser()
    add_write_option(parser, "first")

    assert parser.parse_args([]).write is None
    assert parser.parse_args(["--write", str(page)]).write == Section(page, "first")
    assert parser.parse_args(["--write", f"{page}#second"]).write == Section(page, "second")


@pytest.mark.parametrize("wrong", ["missing.md", "results.md#third"])
def test_write_refuses_a_page_without_the_section(page: Path, wrong: str) -> None:
    parser = argparse.ArgumentParser()
    add_write_option(parser, "first")

    with pytest.raises(SystemExit):
        parser.parse_args(["--write", str(page.parent / wrong)])

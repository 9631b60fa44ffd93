"""Tables of a benchmark, printed and written into a section of a Markdown page.

A section is what a page has between `<!-- begin NAME -->` and `<!-- end NAME -->`. Writing replaces it alone:
by the tables, the command, the commit, the date and the machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from edgeloop.edge.cli.table import table

_BUSY_LOAD = 0.5
_LOAD_AT_START = os.getloadavg()[0]  # read before the benchmark adds its own


@dataclass(frozen=True)
class Table:
    """Table of text cells.

    Attributes:
        align: One character per column: "<" for text, ">" for figures.
        header: Title of each column.
        groups: Rows, in groups that a rule sets apart on a terminal.
    """

    align: str
    header: Sequence[str]
    groups: Sequence[Sequence[Sequence[str]]]

    def text(self) -> str:
        """Format for a terminal."""
        return table(self.align, self.header, *self.groups)

    def markdown(self) -> str:
        """Format for a Markdown page."""
        rule = ["---" if side == "<" else "---:" for side in self.align]
        rows = [self.header, rule, *(row for group in self.groups for row in group)]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


@dataclass(frozen=True)
class Section:
    """Place in a Markdown page."""

    page: Path
    name: str

    def replace(self, body: str) -> None:
        """Replace the text between the markers, and nothing else.

        Args:
            body: Markdown without a trailing newline.

        Raises:
            ValueError: The page does not have the markers exactly once.
        """
        begin, end = f"<!-- begin {self.name} -->\n", f"<!-- end {self.name} -->"
        before, between, after = re.escape(begin), "(?s:.*?)", re.escape(end)
        text = self.page.read_text(encoding="utf-8")
        found = re.findall(before + between + after, text)
        if len(found) != 1:
            raise ValueError(f"{self.page}: expected {begin.strip()} and {end} once, found {len(found)}")
        beside = self.page.with_name(f".{self.page.name}.{os.getpid()}")
        beside.write_text(text.replace(found[0], f"{begin}{body}\n{end}"), encoding="utf-8")
        beside.replace(self.page)


def add_write_option(parser: argparse.ArgumentParser, name: str) -> None:
    """Add `--write`, which is None or a `Section`.

    Args:
        parser: Parser of the benchmark.
        name: Section to replace if the user names none.
    """
    parser.add_argument(
        "--write",
        type=partial(_section, name),
        metavar="PAGE[#SECTION]",
        help=f"Markdown page whose section is replaced by the tables. SECTION is {name} by default.",
    )


def _section(name: str, text: str) -> Section:
    page, _, named = text.partition("#")
    section = Section(Path(page), named or name)
    # An unusable page is reported now and not after hours of measuring.
    if not section.page.is_file() or f"<!-- begin {section.name} -->" not in section.page.read_text():
        raise argparse.ArgumentTypeError(f"{page}: no such page, or no <!-- begin {section.name} --> in it")
    return section


def publish(section: Section | None, *tables: Table, note: str = "", timed: bool = True) -> None:
    """Print the tables of a benchmark, and write them into a section.

    Args:
        section: Place to write to; None only prints.
        tables: Tables, in their order.
        note: Sentence that tells how to read them.
        timed: The process measured now, so the load at its start belongs to the figures.
    """
    print("\n\n".join(each.text() for each in tables))
    if note:
        print(f"\n{note}")
    if section is not None:
        parts = [*(each.markdown() for each in tables), *([note] if note else [])]
        section.replace("\n\n".join([f"`{_command()}`", *parts, _origin(timed)]))


def _command() -> str:
    """Command line of this process, without `--write`."""
    return re.sub(r" --write[= ]\S+", "", f"python {shlex.join(sys.argv)}")


def _origin(timed: bool) -> str:
    machine = f"{_processor()}, {os.cpu_count()} cores"
    if timed:
        busy = " (busy: times and ratios of times are unreliable)" if _LOAD_AT_START > _BUSY_LOAD else ""
        machine += f", load {_LOAD_AT_START:.1f} at the start{busy}"
    return f"Commit {_commit()}, {time.strftime('%Y-%m-%d')}; {machine}; {', '.join(_versions())}."


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _versions() -> Iterator[str]:
    yield f"Python {platform.python_version()}"
    for package in ("onnxruntime", "torch"):
        yield f"{package} {version(package)}"


def _commit() -> str:
    """Short hash of the commit that ran, marked if code differs from it."""
    root = Path(__file__).parent
    commit = _git(root, "rev-parse", "--short=9", "HEAD") or "unknown"
    changed = _git(root, "diff", "--name-only", "HEAD", "--", ":(top)", ":(top,exclude)*.md")
    return f"{commit} with changes" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

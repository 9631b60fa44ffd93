"""Architecture: who may import whom, what the runtime never pays for, and how files are named and grouped."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("models", "edge", "export", "labeling", "recipes")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MOST_FILES = 13
MOST_LOCAL_IMPORTS = 24


def test_import_contracts_hold() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        assert name != "onnxruntime" or os.environ.get("ORT_DISABLE_TELEMETRY") == "1"
sys.meta_path.insert(0, Watch())
"""


def test_the_command_line_tells_onnxruntime_to_keep_quiet_before_it_loads() -> None:
    code = (
        f"{WATCH}\nfrom edgeloop.edge.cli.app import main\nsys.argv = ['edgeloop', '--version']\n"
        f"try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"import edgeloop.edge.engines.session\nassert 'onnxruntime' in sys.modules"
    )
    clean = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=clean
    )
    assert result.returncode == 0, result.stderr


def test_no_file_name_occurs_twice() -> None:
    counts = Counter(path.name for path in FILES if not path.name.startswith("__"))
    assert [name for name, count in counts.items() if count > 1] == []


def test_no_folder_is_crowded() -> None:
    counts = Counter(path.parent.relative_to(ROOT) for path in FILES)
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


def test_no_module_imports_private_names_of_another() -> None:
    imported = [(path, name) for path in FILES for _, names in _own_imports(_tree(path)) for name in names]
    assert [f"{path.relative_to(ROOT)}: {name}" for path, name in imported if "._" in name] == []


def test_few_imports_are_made_in_functions_and_each_says_why() -> None:
    local = {
        (path, statement.lineno)
        for path in FILES
        for function in ast.walk(_tree(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement, names in _own_imports(function)
        if names
    }
    assert len(local) < MOST_LOCAL_IMPORTS
    silent = [
        (path, number) for path, number in local if not _commented(path.read_text().splitlines(), number)
    ]
    assert [f"{path.relative_to(ROOT)}:{number}" for path, number in sorted(silent)] == []


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _own_imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, list[str]]]:
    """Import statements, and what they import of ours, as dotted names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            names = [prefix + alias.name for alias in node.names]
            yield node, [name for name in names if name.startswith(("edgeloop.", "recipes."))]


def _commented(lines: list[str], number: int) -> bool:
    """True if a line has a comment, or the group of imports that it belongs to has one above."""
    line = lines[number - 1].strip()
    if line.startswith(("from ", "import ")) and "#" not in line:
        return _commented(lines, number - 1)
    return line.startswith(("#", "from ", "import "))

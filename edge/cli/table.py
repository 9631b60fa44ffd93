"""Text tables for people."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["table"]

Row = Sequence[str]


def table(align: str, header: Row, *sections: Sequence[Row]) -> str:
    """Format rows of text in aligned columns.

    Args:
        align: One character per column: "<" for text, ">" for figures.
        header: Title of each column.
        sections: Rows with as many cells; a rule is drawn above each section.

    Returns:
        Lines without a trailing newline.
    """
    rows = [header, *(row for section in sections for row in section)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [_line(align, header, widths)]
    for section in sections:
        lines += [rule, *(_line(align, row, widths) for row in section)]
    return "\n".join(lines)


def _line(align: str, row: Row, widths: Sequence[int]) -> str:
    cells = (f"{cell:{side}{width}}" for side, cell, width in zip(align, row, widths, strict=True))
    return "  ".join(cells).rstrip()

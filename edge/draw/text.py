"""Text in images, in any script.

OpenCV draws what it can: version 4 ASCII, version 5 also Latin, Cyrillic, Chinese, Japanese and Korean.
Everything else is drawn from GNU Unifont 15.0.01, bitmaps of the Basic Multilingual Plane that are 16 pixels
high. Arabic letters are joined and right-to-left runs are reversed; conjuncts of Indian scripts are drawn as
their letters.
"""

from __future__ import annotations

import lzma
import re
import struct
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.draw.style import FONT

__all__ = ["put_text", "text_size"]

_ROWS = 16
_DESCENT = 2
_CELL = 30.0  # pixels of a line at OpenCV's scale 1, so that letters are as high as those of FONT
_ASCII = r"\x20-\x7e"
_LETTERS = "" if cv2.__version__.startswith("4.") else r"\u00a0-\u04ff\u3041-\u30ff\u4e00-\u9fa5\uac00-\ud7a3"
_BY_OPENCV = re.compile(f"[{_ASCII}{_LETTERS}]*")
_JOINER, _NON_JOINER = "\u200d", "\u200c"
_REPLACEMENT = 0xFFFD


def text_size(text: str, scale: float) -> tuple[tuple[int, int], int]:
    """Measure a text: (width, height above the baseline) and depth below it, in pixels.

    Args:
        text: One line.
        scale: OpenCV's font scale.
    """
    if _BY_OPENCV.fullmatch(text):
        size, descent = cv2.getTextSize(text, FONT, scale, 1)
        return (size[0], size[1]), descent
    height, width = _mask(text, scale).shape
    descent = round(height * _DESCENT / _ROWS)
    return (width, height - descent), descent


def put_text(
    canvas: NDArray[np.uint8],
    text: str,
    at: tuple[int, int],
    scale: float,
    color: tuple[int, int, int],
    thickness: int = 1,
) -> None:
    """Draw a text.

    Args:
        canvas: HxWx3 uint8, BGR; drawn into, and clipped to.
        text: One line.
        at: (x, y) of the left end of the baseline in pixels.
        scale: OpenCV's font scale.
        color: BGR.
        thickness: Width of a stroke in pixels; more than 1 gives an outline to draw the text on.
    """
    if _BY_OPENCV.fullmatch(text):
        cv2.putText(canvas, text, at, FONT, scale, color, thickness, cv2.LINE_AA)
        return
    mask = _mask(text, scale)
    (_, above), _ = text_size(text, scale)
    border = thickness // 2
    if border:
        mask = np.pad(mask, border)
        mask = cv2.dilate(mask, np.ones((thickness, thickness), np.uint8))
    left, top = at[0] - border, at[1] - above - border
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + mask.shape[1], canvas.shape[1]), min(top + mask.shape[0], canvas.shape[0])
    if x1 < x2 and y1 < y2:
        share = mask[y1 - top : y2 - top, x1 - left : x2 - left, None] / np.float32(255)
        under = canvas[y1:y2, x1:x2]
        under[:] = (under * (1 - share) + np.array(color, np.float32) * share).round()


@lru_cache(maxsize=512)
def _mask(text: str, scale: float) -> NDArray[np.uint8]:
    """Coverage of a text, (height, width) in [0, 255]; legible, so never below the font's own height."""
    bitmap = _bitmap(_in_display_order(unicodedata.normalize("NFC", text)))
    factor = max(round(_CELL * scale), _ROWS) / _ROWS
    size = max(round(bitmap.shape[1] * factor), 1), round(_ROWS * factor)
    return np.asarray(cv2.resize(bitmap, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _bitmap(text: str) -> NDArray[np.uint8]:
    """Draw letters side by side, and marks over the letter that they belong to: (16, width), 0 or 255."""
    canvas = np.zeros((_ROWS, 16 * len(text) + 16), np.uint8)
    x = 0
    for place, character in enumerate(text):
        if character in (_JOINER, _NON_JOINER):
            continue
        glyph = _glyph(ord(character))
        width = glyph.shape[1]
        if unicodedata.category(character).startswith("M"):
            # Reversed runs have a mark before its letter, others behind it.
            following = next((c for c in text[place:] if not unicodedata.category(c).startswith("M")), "")
            left = x if _runs_left(following) else max(x - width, 0)
            canvas[:, left : left + width] |= glyph
            continue
        canvas[:, x : x + width] |= glyph
        x += width
    return canvas[:, : max(x, 8)]


def _runs_left(character: str) -> bool:
    return bool(character) and unicodedata.bidirectional(character) in ("R", "AL")


def _in_display_order(text: str) -> str:
    """Join Arabic letters, and reverse the runs that are read from right to left."""
    kinds = "".join(
        "R" if _runs_left(c)
        else "m" if unicodedata.category(c).startswith("M")
        else "L" if unicodedata.bidirectional(c) in ("L", "EN", "AN")
        else " "
        for c in text
    )  # fmt: skip
    parts, end = [], 0
    for run in re.finditer("Rm*(?:[ mR]*Rm*)?", kinds):
        parts += [text[end : run.start()], _join(text[run.start() : run.end()])[::-1]]
        end = run.end()
    return "".join((*parts, text[end:]))


def _join(text: str) -> str:
    """Replace Arabic letters by the forms that they take beside their neighbors."""
    forms, letters = _arabic_forms(), [c for c in text if not unicodedata.category(c).startswith("M")]
    if not any(c in forms for c in letters):
        return text
    joined, previous_joins, position = [], False, 0
    while position < len(text):
        character = text[position]
        pair = text[position : position + 2]
        unit = pair if pair in forms else character
        own = forms.get(unit, {})
        following = next(
            (c for c in text[position + len(unit) :] if not unicodedata.category(c).startswith("M")), ""
        )
        if unicodedata.category(character).startswith("M"):
            joined.append(character)
        else:
            back = previous_joins and "final" in own
            ahead = "initial" in own and ("final" in forms.get(following, {}) or following == _JOINER)
            kind = ("medial" if ahead else "final") if back else ("initial" if ahead else "isolated")
            joined.append(own.get(kind, unit))
            previous_joins = character == _JOINER or "initial" in own
        position += len(unit)
    return "".join(joined)


@cache
def _arabic_forms() -> dict[str, dict[str, str]]:
    """Presentation forms of Arabic letters and of lam with alef: {letter: {"initial": form, ...}}."""
    forms: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFBD3), *range(0xFE80, 0xFEFD)):
        kind, _, letters = unicodedata.decomposition(chr(code)).partition("> ")
        text = "".join(chr(int(letter, 16)) for letter in letters.split())
        if len(text) == 1 or text[:1] == "\u0644":
            forms.setdefault(text, {})[kind.removeprefix("<")] = chr(code)
    return forms


@lru_cache(maxsize=1024)
def _glyph(code: int) -> NDArray[np.uint8]:
    """Glyph of a code point, (16, 8 or 16), 0 or 255; that of U+FFFD if the font has none."""
    codes, starts, bits = _font()
    place = int(np.searchsorted(codes, min(code, 0xFFFF)))
    if place == len(codes) or codes[place] != code:
        return _glyph(_REPLACEMENT)
    rows = bits[starts[place] : starts[place + 1]].reshape(_ROWS, -1)
    return np.unpackbits(rows, axis=1) * np.uint8(255)


@cache
def _font() -> tuple[NDArray[np.uint16], NDArray[np.int64], NDArray[np.uint8]]:
    """Code points in order, the start of each glyph, and all bits, one row of 8 or 16 after the other."""
    data = lzma.decompress(files("edgeloop.edge.draw").joinpath("unifont.xz").read_bytes())
    (count,) = struct.unpack_from("<I", data)
    codes = np.frombuffer(data, "<u2", count, 4)
    widths = np.frombuffer(data, np.uint8, count, 4 + 2 * count)
    starts = np.concatenate(([0], np.cumsum(widths, dtype=np.int64) * _ROWS))
    return codes, starts, np.frombuffer(data, np.uint8, offset=4 + 3 * count)

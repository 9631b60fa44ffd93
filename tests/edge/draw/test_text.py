"""Text in any script, drawn alike by every version of OpenCV."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.draw.text import put_text, text_size

WHITE = (255, 255, 255)
OWN_SIZE = 16 / 30  # at which a pixel of the font is one of the image


def drawn(text: str, scale: float = OWN_SIZE) -> np.ndarray:
    (width, above), below = text_size(text, scale)
    canvas = np.zeros((above + below, width, 3), np.uint8)
    put_text(canvas, text, (0, above), scale, WHITE)
    return canvas[..., 0]


def ink(text: str) -> float:
    return float(drawn(text).mean())


@pytest.mark.parametrize(
    ("text", "other"),
    [
        pytest.param("Löwe", "Lowe", id="German"),
        pytest.param("猫", "狗", id="Chinese"),
        pytest.param("ねこ", "いぬ", id="Japanese"),
        pytest.param("고양이", "강아지", id="Korean"),
        pytest.param("кошка", "собака", id="Russian"),
        pytest.param("γάτα", "σκύλος", id="Greek"),
        pytest.param("قطة", "كلب", id="Arabic"),
        pytest.param("חתול", "כלב", id="Hebrew"),
        pytest.param("बिल्ली", "कुत्ता", id="Hindi"),
        pytest.param("แมว", "หมา", id="Thai"),
        pytest.param("გ", "დ", id="Georgian"),
    ],
)
def test_letters_of_a_script_differ_and_are_no_question_marks(text: str, other: str) -> None:
    assert drawn(text).max() > 200
    for wrong in (other, "?" * len(text), "\ufffd" * len(text)):
        assert drawn(text).shape != drawn(wrong).shape or (drawn(text) != drawn(wrong)).any()


def test_arabic_letters_are_joined_and_run_from_right_to_left() -> None:
    beh, joined = drawn("ب"), drawn("ببب")
    assert joined.shape[1] <= 3 * beh.shape[1]
    apart = np.hstack([beh] * 3)
    assert joined.shape != apart.shape or (joined != apart).any()
    # Lam and alef are one letter, and the number after the word stays at the right.
    assert drawn("لا").shape[1] < drawn("ل").shape[1] + drawn("\u0627").shape[1]
    both = drawn("قطة 12")
    digits = drawn("\u06dd 12")[:, -16:]
    assert (both[:, -16:] == digits).all()


def test_hebrew_runs_from_right_to_left() -> None:
    aleph = drawn("א")
    assert (drawn("אב")[:, -aleph.shape[1] :] == aleph).all()


def test_marks_are_drawn_over_their_letter() -> None:
    assert drawn("ที่").shape == drawn("ท").shape
    assert ink("ที่") > ink("ท")


def test_an_outline_surrounds_the_letter() -> None:
    canvas = np.zeros((60, 60, 3), np.uint8)
    put_text(canvas, "ბ", (20, 40), 1.0, WHITE, 3)
    inner = np.zeros_like(canvas)
    put_text(inner, "ბ", (20, 40), 1.0, WHITE)
    assert (canvas >= inner).all()
    assert canvas.sum() > 1.5 * inner.sum()


@settings(max_examples=50, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.integers(-80, 80),
    st.integers(-80, 80),
    st.floats(0.3, 3),
)
def test_any_text_at_any_place_is_drawn_or_clipped(text: str, x: int, y: int, scale: float) -> None:
    (width, above), below = text_size(text, scale)
    assert width >= 0
    assert above >= 0
    assert below >= 0
    put_text(np.zeros((40, 50, 3), np.uint8), text, (x, y), scale, WHITE, 3)

"""Files of the store with any content: parsed, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.service.store.shadow_figures import ShadowFigures, read_figures
from edgeloop.edge.service.store.store_state import InstalledModel, StoreState, read_state
from edgeloop.models.errors import DataError, EdgeloopError

MODEL = InstalledModel(digest="0" * 64, origin="x.onnx")
STATE = StoreState().with_current(MODEL, "installed").model_dump_json().encode()
FIGURES = ShadowFigures(current="a", candidate="b", classes={"nut": (1, 2)}).model_dump_json().encode()


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """Content of which a part is replaced by other bytes."""
    places = st.integers(0, len(content))
    return st.tuples(places, places, st.binary(max_size=8)).map(
        lambda cut: content[: min(cut[:2])] + cut[2] + content[max(cut[:2]) :]
    )


@pytest.mark.parametrize(("read", "content"), [(read_state, STATE), (read_figures, FIGURES)])
def test_any_content_is_parsed_or_refused(read: Callable[[Path], object], content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file.json"

        @settings(max_examples=50, deadline=None)
        @given(st.binary(max_size=40) | damaged(content) | st.just(b"[" * 100_000))
        def check(data: bytes) -> None:
            path.write_bytes(data)
            said = ""
            try:
                read(path)
            except DataError as error:
                said = str(error)
            assert said == "" or said.startswith(str(path))
            assert "\n" not in said

        check()


@pytest.mark.parametrize("read", [read_state, read_figures])
def test_a_folder_in_place_of_a_file(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(EdgeloopError, match="cannot be read"):
        read(tmp_path)

"""Bound buffers, on onnxruntime's CPU build: the same code with buffers on the CPU in place of a GPU."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.engines.accelerators.device_buffers import MOST_SETS, DeviceBuffers, has_fixed_shapes
from edgeloop.edge.engines.accelerators.page_lock import PageLock, loaded_runtime
from edgeloop.edge.engines.session import Session
from edgeloop.models.errors import ModelError
from edgeloop.models.facts.tensor_info import TensorInfo
from tests.meter import SIDE, ModelWriter

CAPTURED = pytest.mark.parametrize(
    "captured", [False, True], ids=["outputs on the host", "all on the device"]
)


class RecordedRuntime:
    """CUDA's runtime as far as it locks pages, recorded."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.locked: list[tuple[int, int]] = []
        self.refuses = refuses

    def cudaHostRegister(self, pointer: object, size: object, flags: int) -> int:  # noqa: N802
        assert flags == 1
        if self.refuses:
            return 2
        self.locked.append((pointer.value, size.value))  # type: ignore[attr-defined]
        return 0

    def cudaHostUnregister(self, pointer: object) -> int:  # noqa: N802
        self.locked = [each for each in self.locked if each[0] != pointer.value]  # type: ignore[attr-defined]
        return 0


def picture(value: float) -> NDArray[np.float32]:
    return np.full((1, 3, SIDE, SIDE), value, np.float32)


def buffers(session: Session, **settings: object) -> DeviceBuffers:
    return DeviceBuffers(
        session._session,
        session.inputs,
        session.outputs,
        device="cpu",
        **settings,  # type: ignore[arg-type]
    )


@CAPTURED
def test_bound_buffers_give_what_the_session_gives(block_model: Path, captured: bool) -> None:
    session = Session(block_model, provider="cpu")
    bound = buffers(session, captured=captured)
    random = np.random.default_rng(0)
    for _ in range(5):
        image = random.random((1, 3, 128, 128), np.float32)
        for ours, theirs in zip(bound.run([image]), session.run(image), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert bound.sets == 1


@CAPTURED
def test_outputs_stay_valid_after_the_next_call(write_model: ModelWriter, captured: bool) -> None:
    bound = buffers(Session(write_model()), captured=captured)
    first = bound.run([picture(0.25)])
    bound.run([picture(0.75)])
    assert first[0][0, 0, 4] == 0.25


@CAPTURED
def test_threads_do_not_get_the_results_of_each_other(write_model: ModelWriter, captured: bool) -> None:
    bound = buffers(Session(write_model(), threads=1), captured=captured)
    together = threading.Barrier(8)

    def ask(number: int) -> list[float]:
        together.wait()
        return [float(bound.run([picture(number / 8)])[0][0, 0, 4]) for _ in range(40)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    for number, values in enumerate(found):
        assert values == pytest.approx([number / 8] * 40, abs=1e-6)
    assert 1 <= bound.sets <= (1 if captured else MOST_SETS)


def test_a_call_that_fails_gives_its_buffers_back(write_model: ModelWriter) -> None:
    bound = buffers(Session(write_model()), captured=True)
    for _ in range(3):
        with pytest.raises(
            ModelError, match=r"input 'images': got float32 of dimensions \(1, 3, 32, 32\), exp"
        ):
            bound.run([np.zeros((1, 3, 32, 32), np.float32)])
    assert bound.run([picture(0.5)])[0][0, 0, 4] == 0.5


def test_an_input_of_another_type_is_an_error(write_model: ModelWriter) -> None:
    bound = buffers(Session(write_model(dtype="uint8")))
    with pytest.raises(ModelError, match=r"got float32 .* expected uint8"):
        bound.run([picture(0.5)])


def test_an_input_that_is_no_block_of_memory_is_copied(write_model: ModelWriter) -> None:
    session = Session(write_model(shape=[1, SIDE, SIDE, 3]))
    turned = np.random.default_rng(1).random((1, 3, SIDE, SIDE), np.float32).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(buffers(session).run([turned])[0], session.run(turned)[0])


def test_pages_of_inputs_and_outputs_are_locked_once_and_let_go(write_model: ModelWriter) -> None:
    runtime = RecordedRuntime()
    bound = buffers(Session(write_model()), runtime=runtime)
    image = picture(0.5)
    for _ in range(3):
        bound.run([image])
    assert (image.ctypes.data, image.nbytes) in runtime.locked
    assert len(runtime.locked) == bound.pages.count == 2  # the image and the output
    bound.close()
    assert (runtime.locked, bound.pages.count) == ([], 0)


def test_locked_pages_are_bounded_and_their_arrays_are_kept() -> None:
    runtime = RecordedRuntime()
    pages = PageLock(runtime)
    locked = [pages.add(np.zeros(1000)) for _ in range(40)]
    assert sum(locked) == len(runtime.locked) == len({address for address, _ in runtime.locked}) == 16


def test_pages_that_cannot_be_locked_are_asked_for_once() -> None:
    pages = PageLock(RecordedRuntime(refuses=True))
    array = np.zeros(10)
    assert [pages.add(array), pages.add(array), pages.count] == [False, False, 0]
    assert not PageLock(None).add(array)


def test_the_runtime_is_that_of_this_process(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text("7f0000-7f1000 r-xp 00000000 08:01 12  /usr/lib/libc.so.6\n")
    assert loaded_runtime(maps) is None
    maps.write_text("7f0000-7f1000 r-xp 00000000 08:01 12  /nowhere at all/libcudart.so.12.4\n")
    with pytest.raises(
        OSError, match=r"nowhere at all/libcudart\.so\.12\.4"
    ):  # it is that file, and no other
        loaded_runtime(maps)
    assert loaded_runtime(tmp_path / "none") is None


def test_open_shapes_are_not_fixed() -> None:
    fixed, opened = TensorInfo("a", (1, 3), "float32"), TensorInfo("b", (None, 3), "float32")
    assert has_fixed_shapes([fixed])
    assert not has_fixed_shapes([fixed, opened])

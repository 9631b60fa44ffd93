"""Image files as phones, cameras and accidents leave them."""

from __future__ import annotations

import logging
import os
import struct
import zlib
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeloop.edge.host import image_bytes
from edgeloop.edge.host.image_bytes import HEIF_HINT, decode_image, image_fault
from edgeloop.edge.host.opencv import open_writer, read_image, write_image
from edgeloop.edge.sources import open_source
from edgeloop.models.errors import DataError, UnavailableError

IMAGE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8), (9, 9), 3)
# 64x48 pixels, RGB (202, 119, 39) at the left top and (21, 20, 220) from (10, 10) to (40, 30).
HEIC = b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJp"
    "bG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAAJ4AAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAAB"
    "AAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEA"
    "AQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAA"
    "FGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhp"
    "cG1hAAAAAAAAAAEAAQWBAgMFhAAAAKZtZGF0AAAAmigBrwng8IiC5v2JZYf/5Xcgej3anIaA5IR2/6VPZTBKb/n//5bANrpVpDZ2ppbq"
    "d/n/7Yfr6YkYebNoZbRDgJeEyqZSwK2AblGA2KS+oSemZPtz7/rLP2JUOyYmKeDDd+6H1AZKjZ4BNbSz0IdvsErt/frjXzgzaVfemW3r"
    "v+aqkIJ+CicGwL4Z/GL6JcencdIHpGcRSUISu+A="
)


def encoded(suffix: str, image: NDArray[np.integer] = IMAGE) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def jpeg_header(width: int, height: int) -> bytes:
    data = bytearray(encoded(".jpg"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def jpeg_with_thumbnail() -> bytes:
    """Make a JPEG whose first segment holds another one, as cameras write it."""
    whole = encoded(".jpg")
    thumbnail = encoded(".jpg", IMAGE[:16, :16])
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + whole[2:]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(".jpg"), id="plain"),
        pytest.param(encoded(".jpg") + b"ftypmp42" + bytes(50) + b"\xff\xda" + bytes(50), id="motion photo"),
        pytest.param(encoded(".jpg") + encoded(".jpg")[:500], id="cut second picture"),
        pytest.param(encoded(".jpg") + b"\xff\xe1\x00", id="half a segment behind"),
        pytest.param(jpeg_with_thumbnail(), id="thumbnail"),
        pytest.param(
            cv2.imencode(".jpg", IMAGE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes(), id="progressive"
        ),
        pytest.param(
            cv2.imencode(".jpg", IMAGE, [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes(), id="restarts"
        ),
        pytest.param(encoded(".png") + b"appended", id="png with bytes behind"),
    ],
)
def test_bytes_behind_an_image_are_no_damage(data: bytes) -> None:
    image = decode_image(data, "a")
    assert image is not None
    assert image.shape == IMAGE.shape


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(".jpg")[:-2], id="without its end"),
        pytest.param(encoded(".jpg")[:400], id="half"),
        pytest.param(encoded(".jpg")[:600] + bytes(900), id="zeros for the rest"),
        pytest.param(jpeg_with_thumbnail()[:-300], id="only the thumbnail is whole"),
        pytest.param(encoded(".png")[:-200], id="png"),
        pytest.param(b"", id="empty"),
        pytest.param(png_header(40000, 30000), id="png header beyond what OpenCV takes"),
        pytest.param(png_header(32000, 32000), id="png header of 1 gigapixel"),
        pytest.param(jpeg_header(32000, 32000), id="jpeg header of 1 gigapixel"),
        pytest.param(jpeg_header(0, 0), id="jpeg header of nothing"),
    ],
)
def test_an_image_that_is_not_whole_is_none(data: bytes) -> None:
    assert decode_image(data, "a") is None


@pytest.mark.parametrize(
    ("bits", "shift"), [(8, 0), (10, 2), (12, 4), (14, 6), (16, 8)], ids=lambda value: str(value)
)
def test_16_bit_files_keep_the_top_bits_of_their_content(
    bits: int, shift: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_bytes, "_told_bits", set())
    monkeypatch.setattr(image_bytes, "_folder_bits", {})
    content = np.linspace(0, 2**bits - 1, 64 * 48).reshape(48, 64).astype(np.uint16)
    for _ in range(2):
        image = decode_image(encoded(".png", content), "a.png")
        assert image is not None
        assert np.array_equal(image[:, :, 0], content >> shift)
    assert ["16-bit" in record.getMessage() for record in caplog.records] == [True]


def test_the_depth_of_a_folder_only_grows(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_bytes, "_told_bits", set())
    monkeypatch.setattr(image_bytes, "_folder_bits", {})
    content = np.full((48, 64), 1000, np.uint16)
    hot = content.copy()
    hot[0, 0] = 4000

    def brightness(name: str, image: NDArray[np.uint16]) -> int:
        decoded = decode_image(encoded(".png", image), name)
        assert decoded is not None
        return int(decoded[9, 9, 0])

    frames = [("a/1.png", content), ("a/2.png", hot), ("a/3.png", content), ("b/1.png", content)]
    assert [brightness(*frame) for frame in frames] == [250, 62, 62, 250]
    first, grown = (record.getMessage() for record in caplog.records)
    assert first.startswith("a/1.png: a 16-bit image with 10 bits of content;")
    assert grown.startswith("a/2.png: a 16-bit image with 12 bits of content, after images with 10 bits")


def test_heic_is_read_if_a_decoder_is_there() -> None:
    pytest.importorskip("pi_heif")
    image = decode_image(HEIC, "a.heic")
    assert image is not None
    assert image.shape == (48, 64, 3)
    assert image[20, 20].tolist() == [220, 20, 21]


def test_heic_without_a_decoder_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_bytes, "_HEIC_DECODERS", ())
    (tmp_path / "a.heic").write_bytes(HEIC)
    (tmp_path / "renamed.jpg").write_bytes(HEIC)
    assert decode_image(HEIC, "a.heic") is None
    assert HEIF_HINT in image_fault(tmp_path / "renamed.jpg")
    with pytest.raises(DataError, match="HEIC"), open_source(str(tmp_path / "a.heic")) as source:
        list(source)


def test_avif_is_read_where_opencv_reads_it() -> None:
    if not cv2.haveImageWriter(".avif"):
        pytest.skip("OpenCV without AVIF")
    image = decode_image(encoded(".avif"), "a.avif")
    assert image is not None
    assert image.shape == IMAGE.shape


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_upright(orientation: int) -> None:
    image, image_ops, features = (
        pytest.importorskip(f"PIL.{name}") for name in ("Image", "ImageOps", "features")
    )
    if not features.check("avif"):
        pytest.skip("Pillow writes no AVIF here")
    picture = image.fromarray(IMAGE[:, :, ::-1])
    exif = image.Exif()
    exif[0x0112] = orientation
    file = BytesIO()
    picture.save(file, "avif", exif=exif, quality=100)
    file.seek(0)
    expected = np.asarray(image_ops.exif_transpose(image.open(file)).convert("RGB"))[:, :, ::-1]
    found = decode_image(file.getvalue(), "a.avif")
    assert found is not None
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 3


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    write_image(folder / "a.png", IMAGE)
    assert np.array_equal(read_image(folder / "a.png"), IMAGE)  # type: ignore[arg-type]
    with open_source(str(folder)) as source:
        assert [frame.source for frame in source] == [f"{tmp_path}/caf%E9/a.png"]
    writer = open_writer(folder / "a.avi", fps=10, size=(64, 48))
    assert writer is not None
    writer.write(IMAGE)
    writer.release()
    with open_source(str(folder / "a.avi")) as source:
        assert [frame.image.shape for frame in source] == [(48, 64, 3)]


def test_an_image_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be written"):
        write_image(tmp_path / "gone" / "a.png", IMAGE)


SEEDS = [
    jpeg_with_thumbnail(),
    HEIC,
    encoded(".png", IMAGE.astype(np.uint16) * 257),
    *map(encoded, (".jpg", ".png", ".bmp", ".tif", ".webp", ".ppm")),
]


@settings(max_examples=200, deadline=None)
@given(
    data=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 3000),
    behind=st.binary(max_size=20),
)
def test_no_bytes_do_more_than_give_no_image(
    data: bytes, changes: list[tuple[int, int]], cut: int, behind: bytes
) -> None:
    logging.disable(logging.WARNING)
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value
    image = decode_image(bytes(changed[: len(changed) - cut]) + behind, "fuzzed")
    assert image is None or (image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3)
    logging.disable(logging.NOTSET)

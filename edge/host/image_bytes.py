"""Decoding of image files."""

from __future__ import annotations

import logging
import os
import re
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["HEIF_HINT", "decode_image", "image_fault", "reads_avif", "reads_heic"]

log = logging.getLogger(__name__)

Image = NDArray[np.uint8]

HEIF_HINT = "pip install 'edgeloop[heif]'"
_HEIC_DECODERS = ("pi_heif", "pillow_heif")
_AVIF_BRANDS = re.compile(rb"avi[fs]")
_HEIC_BRANDS = re.compile(rb"hei[cxms]|hev[cx]|mif1|msf1")
# Start of a JPEG segment: neither a stuffed zero of compressed data, nor a marker without a length.
_SEGMENT = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
_END_OF_IMAGE = 0xD9
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Compressed as far as JPEG goes, a byte holds some 350 equal pixels.
_JPEG_PIXELS_A_BYTE = 1000
_CONTENT_BITS = (8, 10, 12, 14, 16)
_told_bits: set[int] = set()
_folder_bits: dict[str, int] = {}  # the same for all images of a folder, but for those before a brighter one


def reads_heic() -> bool:
    """True if a package that decodes HEIC is installed."""
    return any(find_spec(name) for name in _HEIC_DECODERS)


def reads_avif() -> bool:
    """True if OpenCV or Pillow decodes AVIF."""
    return bool(cv2.haveImageWriter(".avif")) or _pillow_reads_avif()


def decode_image(data: bytes, name: str) -> Image | None:
    """Decode one image.

    Bytes after the end of a JPEG are ignored: phones and panorama apps append footage and tables there. Of
    16-bit images the top 8 bits of the content are kept, which are the top bits of 10 or 12 if no pixel of
    the image, and of those read before from its folder, is brighter; the log says so, and when one is.

    Args:
        data: Contents of a file.
        name: File name for the log.

    Returns:
        HxWx3 uint8 BGR, upright by its EXIF orientation; None if there is no complete image.
    """
    if not data or (data.startswith(b"\xff\xd8") and not _is_whole_jpeg(data)):
        return None
    family = _heif_family(data)
    if family == "HEIC":
        return _decode_heic(data)
    image = _decode_opencv(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        return _decode_avif(data) if family == "AVIF" else None
    if image.dtype == np.uint16:
        return _top_bits(image, name)
    if image.dtype != np.uint8:
        image = _decode_opencv(data, cv2.IMREAD_COLOR)
    if image is None:
        return None
    return _upright(np.asarray(image, np.uint8), data) if family == "AVIF" else np.asarray(image, np.uint8)


def image_fault(path: Path) -> str:
    """Describe why a file gives no image."""
    try:
        with path.open("rb") as file:
            family = _heif_family(file.read(64))
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    if (family == "HEIC" and not reads_heic()) or (family == "AVIF" and not reads_avif()):
        return f"a picture of the kind {family}; to read it: {HEIF_HINT}"
    return "not an image that can be read (corrupt or cut off)"


def _is_whole_jpeg(data: bytes) -> bool:
    """True if a JPEG reaches its end marker, and is of a size that its bytes can hold.

    libjpeg fills what is missing with gray and reports success.
    """
    at = 2
    while found := _SEGMENT.search(data, at):
        kind, at = found[1][0], found.end()
        if kind == _END_OF_IMAGE:
            return True
        if kind in _FRAME_HEADERS:
            height, width = (int.from_bytes(data[at + k : at + k + 2], "big") for k in (3, 5))
            if height * width > _JPEG_PIXELS_A_BYTE * len(data):
                return False
        at += int.from_bytes(data[at : at + 2], "big")
    return False


def _decode_opencv(data: bytes, flags: int) -> NDArray[np.integer] | None:
    try:
        image: NDArray[np.integer] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError):  # of a size beyond OpenCV's limit, or this machine's
        return None
    return image


def _top_bits(image: NDArray[np.integer], name: str) -> Image:
    """Keep the top 8 bits of the content of a 16-bit image, or of the brightest so far in its folder."""
    used, folder = int(image.max()).bit_length(), os.path.dirname(name)  # noqa: PTH120  any text is a name
    own, before = next(bits for bits in _CONTENT_BITS if used <= bits), _folder_bits.get(folder, 0)
    bits = _folder_bits[folder] = max(own, before)
    grew = 0 < before < bits
    if grew or bits not in _told_bits:
        _told_bits.add(bits)
        content = "" if bits == 16 else f" with {bits} bits of content"
        after = f", after images with {before} bits, which were read brighter" if grew else ""
        told = "%s: a 16-bit image%s%s; the top 8 bits are read, here and of others like it"
        log.warning(told, name, content, after)
    return np.asarray(image // 2 ** (bits - 8), np.uint8)


def _heif_family(data: bytes) -> Literal["AVIF", "HEIC"] | None:
    """Tell the two formats from the brands in the first box of the file."""
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 64)] if data[4:8] == b"ftyp" else b""
    if _AVIF_BRANDS.search(brands):
        return "AVIF"
    return "HEIC" if _HEIC_BRANDS.search(brands) else None


def _upright(image: Image, data: bytes) -> Image:
    """Turn an AVIF as its properties `irot` and `imir` say, which OpenCV ignores."""
    if (place := data.find(b"irot")) >= 0:
        image = np.rot90(image, data[place + 4] & 3)
    if (place := data.find(b"imir")) >= 0:
        image = image[:, ::-1] if data[place + 4] & 1 else image[::-1]
    return np.ascontiguousarray(image)


def _decode_heic(data: bytes) -> Image | None:
    name = next(filter(find_spec, _HEIC_DECODERS), None)
    if name is None:
        return None
    try:
        picture = import_module(name).read_heif(BytesIO(data), bgr_mode=True)
        image = np.asarray(picture, np.uint8)  # a view of memory that `picture` owns
        return np.atleast_3d(image)[:, :, [0, 1, 2] if image.ndim == 3 else [0, 0, 0]].copy()
    except Exception:  # whatever the bytes lead libheif to
        return None


def _pillow_reads_avif() -> bool:
    return bool(find_spec("PIL")) and bool(import_module("PIL.features").check("avif"))


def _decode_avif(data: bytes) -> Image | None:
    if not _pillow_reads_avif():
        return None
    try:
        with import_module("PIL.Image").open(BytesIO(data)) as image:
            upright = import_module("PIL.ImageOps").exif_transpose(image)
            return np.ascontiguousarray(np.asarray(upright.convert("RGB"))[:, :, ::-1])
    except Exception:  # whatever the bytes lead libavif to
        return None

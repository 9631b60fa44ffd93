"""Download of segment-anything's checkpoints into the user's cache, resumable and checked.

The hash in each file name is the start of its MD5, the only digest that was published for all three.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from edgeloop.labeling.step_progress import Progress, no_progress
from edgeloop.models.errors import ModelError, UnavailableError
from edgeloop.models.weights.cache import cache_folder

__all__ = ["OFFICIAL", "Checkpoint", "fetch"]

_ADDRESS = "https://dl.fbaipublicfiles.com/segment_anything"
_ADDRESS_VARIABLE = "EDGELOOP_SAM_URL"  # base address of a mirror
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An official checkpoint.

    Attributes:
        file: File name, on the server and in the cache.
        md5: MD5 of the file, 32 hexadecimal digits.
        size: Bytes; for the progress bar only.
    """

    file: str
    md5: str
    size: int


OFFICIAL: Mapping[str, Checkpoint] = MappingProxyType(
    {
        "vit_b": Checkpoint("sam_vit_b_01ec64.pth", "01ec64d29a2fca3f0661936605ae66f8", 375_042_383),
        "vit_l": Checkpoint("sam_vit_l_0b3195.pth", "0b3195507c641ddb6910d2bb5adee89c", 1_249_524_607),
        "vit_h": Checkpoint("sam_vit_h_4b8939.pth", "4b8939a88964f0f4ff5f5b2642c598a6", 2_564_550_879),
    }
)


def fetch(checkpoint: Checkpoint, *, offline: bool = False, progress: Progress = no_progress) -> Path:
    """Find a checkpoint in the user's cache, or download it there; resume a broken download.

    Its digest is checked after the download only. `progress` counts bytes of an earlier try as done.

    Raises:
        UnavailableError: It is not in the cache and cannot be downloaded, or the connection broke off.
        ModelError: The file that came is not the checkpoint; nothing of it is kept.
    """
    folder = cache_folder()
    path, part = folder / checkpoint.file, folder / f"{checkpoint.file}.part"
    if path.is_file():
        return path
    address = f"{os.environ.get(_ADDRESS_VARIABLE, _ADDRESS).rstrip('/')}/{checkpoint.file}"
    if offline:
        raise UnavailableError(
            f"{path}: not in the cache, and --offline forbids to fetch it; put {address} there yourself"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with progress(checkpoint.size, f"Fetching {checkpoint.file}", in_bytes=True) as advance:
        _download(address, part, advance)
    found = _md5(part)
    if found != checkpoint.md5:
        part.unlink()
        raise ModelError(
            f"{address}: expected MD5 {checkpoint.md5[:6]}..., got {found[:6]}...; nothing was kept"
        )
    part.replace(path)
    return path


def _download(address: str, part: Path, advance: Callable[[int], None]) -> None:
    """Append the missing bytes to a partial file."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        with urlopen(Request(address, headers=headers), timeout=_TIMEOUT_S) as response:
            resumed = response.status == 206
            if resumed:
                advance(have)
            expected = int(response.headers["Content-Length"]) if response.headers["Content-Length"] else None
            received = 0
            with part.open("ab" if resumed else "wb") as file:
                while chunk := response.read1(_CHUNK_BYTES):
                    file.write(chunk)
                    received += len(chunk)
                    advance(len(chunk))
    except HTTPError as error:
        if error.code == 416:  # the partial file is complete; its digest is checked next
            return
        raise UnavailableError(f"{address}: the server answers {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:  # URLError and TimeoutError are OSErrors
        raise UnavailableError(f"{address}: cannot be fetched ({error}); the same command goes on") from error
    if expected is not None and received < expected:
        raise UnavailableError(
            f"{address}: broke off after {received} of {expected} bytes; the same command goes on"
        )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

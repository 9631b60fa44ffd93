"""segment-anything's own checkpoints: fetched once into the user's cache, checked, never unpickled as code.

The hash in each file's name is the start of its MD5, the only digest that was published for all three.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from types import MappingProxyType
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from segment_anything import sam_model_registry

from edgeloop.labeling.sam.segmenter import SamSegmenter
from edgeloop.models.errors import ModelError, NoInputError, UnavailableError
from edgeloop.models.weights.cache import cache_folder

__all__ = ["OFFICIAL", "Checkpoint", "fetch", "load_checkpoint"]

_ADDRESS = "https://dl.fbaipublicfiles.com/segment_anything"
_ADDRESS_VARIABLE = "EDGELOOP_SAM_URL"  # for those who keep a copy on a server of their own
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 20
_EMBED_DIMS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}

Advance = Callable[[int], None]
Bar = Callable[[int, str], AbstractContextManager[Advance]]
"""Opens a progress bar of so many bytes under a name, and gives what to call with the bytes that came."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An official checkpoint.

    Attributes:
        file: Name of the file, on the server and in the cache.
        md5: Of its bytes, 32 hexadecimal digits.
        size: In bytes; for the progress bar only.
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


def no_bar(_size: int, _name: str) -> AbstractContextManager[Advance]:
    """A progress bar that shows nothing."""
    return nullcontext(lambda _: None)


def fetch(checkpoint: Checkpoint, *, offline: bool = False, bar: Bar = no_bar) -> Path:
    """Find a checkpoint in the user's cache, or fetch it there; a download that broke off goes on.

    Args:
        checkpoint: Which one.
        offline: Never reach out.
        bar: Opened when something has to be fetched; the bytes of an earlier try count as come.

    Returns:
        The file, whose digest has been checked when it was fetched.

    Raises:
        UnavailableError: It is not in the cache and cannot be fetched, or the connection broke off.
        ModelError: What came is not the checkpoint; nothing of it is kept.
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
    with bar(checkpoint.size, f"Fetching {checkpoint.file}") as advance:
        _download(address, part, advance)
    found = _md5(part)
    if found != checkpoint.md5:
        part.unlink()
        raise ModelError(
            f"{address}: expected MD5 {checkpoint.md5[:6]}..., got {found[:6]}...; nothing was kept"
        )
    part.replace(path)
    return path


def load_checkpoint(path: Path) -> SamSegmenter:
    """Load a checkpoint of segment-anything; which model it is shows in its tensors.

    Args:
        path: A `.pth` file.

    Returns:
        The segmenter, in evaluation mode on the CPU.

    Raises:
        NoInputError: There is no such file.
        ModelError: It is damaged, holds more than tensors, or is of another model.
    """
    if not path.is_file():
        raise NoInputError(f"{path}: no such checkpoint")
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        kind = _EMBED_DIMS[weights["image_encoder.pos_embed"].shape[-1]]
        model = sam_model_registry[kind]()
        model.load_state_dict(weights)
    except (pickle.UnpicklingError, EOFError, OSError) as error:
        raise ModelError(f"{path}: damaged, or not a file of tensors; get the checkpoint again") from error
    except (KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(f"{path}: not a checkpoint of segment-anything (vit_b, vit_l or vit_h)") from error
    return SamSegmenter(model.eval())


def _download(address: str, part: Path, advance: Advance) -> None:
    """Fetch what is still missing of a file."""
    have = part.stat().st_size if part.is_file() else 0
    try:
        with closing(_request(address, have)) as response:
            resumed = response.status == 206
            if resumed:
                advance(have)
            expected = int(response.headers["Content-Length"]) if response.headers["Content-Length"] else None
            received = 0
            with part.open("ab" if resumed else "wb") as file:
                for chunk in _chunks(response):
                    file.write(chunk)
                    received += len(chunk)
                    advance(len(chunk))
    except HTTPError as error:
        if error.code == 416:  # nothing is missing; the digest will tell
            return
        raise UnavailableError(f"{address}: the server answers {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:  # URLError and TimeoutError are OSErrors
        raise UnavailableError(f"{address}: cannot be fetched ({error}); the same command goes on") from error
    if expected is not None and received < expected:
        raise UnavailableError(
            f"{address}: broke off after {received} of {expected} bytes; the same command goes on"
        )


def _request(address: str, start: int) -> HTTPResponse:
    headers = {"Range": f"bytes={start}-"} if start else {}
    response: HTTPResponse = urlopen(Request(address, headers=headers), timeout=_TIMEOUT_S)
    return response


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read1(_CHUNK_BYTES):
        yield chunk


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

"""Frames in object storage, read through fsspec."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from edgeloop.edge.frames.folder import FRAME_LIST, FrameEntry, list_frames
from edgeloop.edge.source_name import shown_name
from edgeloop.edge.sources.images import is_image, warn_of_unread_files
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError, UnavailableError, UsageError

__all__ = ["AddressStore"]

_EXTRA = "'edgeloop[storage]'"
_EXTRA_PACKAGES = frozenset({"fsspec", "s3fs"})
_CHECK_S = 30.0
_READ_S = 60.0
_LONGEST_NAME = 250  # bytes; file systems take 255
_TAGS = ("ETag", "etag", "md5Hash")
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")
_ADDRESS = re.compile(r"(?P<protocol>[a-z][a-z0-9+.-]*)://(?P<place>[^?]*)", re.I | re.S)


class AddressStore:
    """See `FrameStore`: a folder such as s3://bucket/folder.

    Credentials are not part of it: every machine takes them from its own environment, as the package of the
    protocol does (s3fs, gcsfs, adlfs). The folder is listed once.
    """

    def __init__(self, address: str) -> None:
        """Remember the address; nothing is opened yet.

        Raises:
            UsageError: It holds a password, or is no address of one folder.
        """
        self._address = address
        self._opened: tuple[Any, str] | None = None
        self._listed: tuple[dict[str, str], list[str]] | None = None
        found = _ADDRESS.fullmatch(address)
        if found is None or "::" in address or found["protocol"].lower() in ("http", "https"):
            raise UsageError(
                f"{self}: expected a folder, or one in object storage such as s3://bucket/folder"
            )
        if ":" in found["place"].partition("/")[0].rpartition("@")[0]:
            raise UsageError(
                f"{self}: a password in the address is not used; leave it out, and set it in the environment"
            )

    def __str__(self) -> str:
        """See `FrameStore.__str__`."""
        return shown_name(self._address)

    def __reduce__(self) -> tuple[type[AddressStore], tuple[str]]:
        """Pickle the address alone."""
        return AddressStore, (self._address,)

    def entries(self) -> tuple[FrameEntry, ...]:
        """See `FrameStore.entries`.

        Raises:
            NoInputError: There is no such bucket or folder, or no frame in it.
            DataError: frames.jsonl is malformed, two frames have the same name, or a name is too long.
            UsageError: No package reads this protocol.
            UnavailableError: A package is missing, or the storage refuses access or does not answer.
        """
        stamps, folders = self._listing()
        lines = None
        if FRAME_LIST in stamps:
            try:
                lines = self.read(FRAME_LIST)
            except OSError as error:
                raise UnavailableError(f"{self}/{FRAME_LIST}: cannot be read ({error.strerror})") from error
        subfolders = {Path(name) for name in folders}
        warn_of_unread_files(str(self), (*map(Path, stamps), *subfolders), subfolders.__contains__)
        entries = list_frames(str(self), stamps, lines)
        for entry in entries:
            if len(os.fsencode(entry.file)) > _LONGEST_NAME:
                raise DataError(f"{self}: the name {entry.file[:40]}... is too long for a file; shorten it")
        return entries

    def images(self) -> list[str]:
        """List the names of all images, sorted; errors as of `entries`."""
        return sorted(name for name in self._listing()[0] if is_image(Path(name)))

    def read(self, file: str) -> bytes:
        """See `FrameStore.read`.

        Raises:
            OSError: This image cannot be read.
            NoInputError: The folder is gone.
            UsageError: No package reads this protocol.
            UnavailableError: A package is missing, or the storage refuses access or does not answer.
        """
        _, root = self._open()
        try:
            data: bytes = self._call("cat_file", f"{root}/{file}", timeout_s=_READ_S)
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
        except Exception as error:
            self._check()
            raise OSError(errno.EIO, _reason(error)) from error
        return data

    def stamp(self, file: str) -> str:
        """See `FrameStore.stamp`: tag of the content, else size and time, from the one listing."""
        return self._listing()[0].get(file, "")

    def _open(self) -> tuple[Any, str]:
        """File system of fsspec, and the folder as it names it."""
        if self._opened is None:
            protocol = self._address.partition("://")[0]
            try:
                fsspec = import_module("fsspec")
            except ImportError as error:
                raise UnavailableError(
                    f"{self}: the package {error.name} is not installed; pip install {_EXTRA}"
                ) from error
            try:
                file_system, root = fsspec.core.url_to_fs(self._address, skip_instance_cache=True)
            except ImportError as error:
                raise UnavailableError(f"{self}: {_missing(protocol, error)}") from error
            except Exception as error:
                if protocol.lower() in fsspec.available_protocols():
                    raise self._refusal(error) from error
                raise UsageError(
                    f"{self}: frames are not read from {protocol}://; expected a folder, or one in object "
                    "storage such as s3://bucket/folder"
                ) from error
            if not root.strip("/"):
                raise NoInputError(f"{self}: names no bucket; expected an address such as s3://bucket/folder")
            self._opened = file_system, root.rstrip("/")
        return self._opened

    def _call(self, method: str, path: str, *, timeout_s: float | None, **settings: Any) -> Any:
        """Call a method of the file system, for at most so many seconds if it is one that can be stopped."""
        file_system, _ = self._open()
        if not file_system.async_impl:
            return getattr(file_system, method)(path, **settings)
        sync = import_module("fsspec.asyn").sync
        function = getattr(file_system, f"_{method}")
        return sync(file_system.loop, function, path, timeout=timeout_s, **settings)

    def _check(self) -> None:
        """Raise NoInputError or UnavailableError unless the folder can be looked at."""
        file_system, root = self._open()
        file_system.invalidate_cache()
        try:
            self._call("info", root, timeout_s=_CHECK_S)
        except Exception as error:
            raise self._refusal(error) from error

    def _listing(self) -> tuple[dict[str, str], list[str]]:
        """Stamp of each file by its name, and the names of the subfolders."""
        if self._listed is None:
            self._check()
            _, root = self._open()
            try:
                found = self._call("ls", root, timeout_s=None, detail=True)
            except Exception as error:
                raise self._refusal(error) from error
            if [info["name"] for info in found if info["type"] == "file"] == [root]:
                raise NoInputError(f"{self}: is a file; expected the folder that it is in")
            named = [(info["name"].rstrip("/").rpartition("/")[2], info) for info in found]
            inside = [(name, info) for name, info in named if info["name"].rstrip("/") != root]
            self._listed = (
                {name: _stamp(info) for name, info in inside if info["type"] == "file"},
                [name for name, info in inside if info["type"] == "directory"],
            )
        return self._listed

    def _refusal(self, error: Exception) -> EdgeloopError:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return NoInputError(
                f"{self}: no such bucket or folder; expected frames as `edgeloop collect` writes them"
            )
        reason = _reason(error)
        if isinstance(error, PermissionError) or "credential" in f"{type(error).__name__} {reason}".lower():
            return UnavailableError(
                f"{self}: access is refused ({reason}); set credentials in the environment of this machine"
            )
        return UnavailableError(f"{self}: cannot be read ({reason})")


def _missing(protocol: str, error: ImportError) -> str:
    """Name the package that is missing for a protocol."""
    known: Mapping[str, Mapping[str, str]] = import_module("fsspec.registry").known_implementations
    package = known.get(protocol.lower(), {}).get("class", "").partition(".")[0]
    if package in ("", "fsspec"):
        return f"the packages for {protocol}:// are not installed ({_reason(error)})"
    wanted = _EXTRA if package in _EXTRA_PACKAGES else package
    return f"the package {package} is not installed; pip install {wanted}"


def _stamp(info: Mapping[str, Any]) -> str:
    return _first(info, _TAGS) or f"{info.get('size')}-{_first(info, _TIMES)}"


def _first(info: Mapping[str, Any], keys: Iterable[str]) -> str:
    return next((str(value) for key in keys if (value := info.get(key))), "")


def _reason(error: Exception) -> str:
    """First line of an error, without what an address in it hides."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    told = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
    return re.sub(r"[a-z][a-z0-9+.-]*://[^\s\"'<>]+", lambda found: shown_name(found[0]), told, flags=re.I)

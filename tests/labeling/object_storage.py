"""S3 on this machine, with a count of what is asked of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from urllib.request import Request, urlopen

import pytest
from moto.server import ThreadedMotoServer

_REQUEST = re.compile(r"(GET|HEAD|PUT) /([^/ ?]+)/?([^ ?]*)\??([^ ]*) HTTP")


@dataclass
class ObjectStorage:
    """Server of one bucket.

    Attributes:
        endpoint: Its address.
        stop: Stops it.
        bucket: Name of the bucket.
        read: Key of every object that was read, in order.
        listings: Number of pages of listings that were asked for.
    """

    endpoint: str
    stop: Callable[[], None]
    bucket: str = "footage"
    read: list[str] = field(default_factory=list)
    listings: int = 0

    def upload(self, folder: Path, prefix: str) -> str:
        """Upload the files of a folder; the address of the copy."""
        for path in sorted(folder.iterdir()):
            self.put(f"{prefix}/{path.name}", path.read_bytes())
        return f"s3://{self.bucket}/{prefix}"

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        self._client().put_object(Bucket=self.bucket, Key=key, Body=data)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._client().delete_object(Bucket=self.bucket, Key=key)

    def _client(self) -> Any:
        return import_module("boto3").client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def note(self, line: str) -> None:
        """Count a line of the server's log."""
        if (found := _REQUEST.search(line)) is None or found[1] != "GET":
            return
        if "list-type" in found[4]:
            self.listings += 1
        elif found[3]:
            self.read.append(unquote(found[3]))


class _Requests(logging.Handler):
    def __init__(self, storage: ObjectStorage) -> None:
        super().__init__()
        self._storage = storage

    def emit(self, record: logging.LogRecord) -> None:
        self._storage.note(record.getMessage())


@contextmanager
def serve_objects(home: Path) -> Iterator[ObjectStorage]:
    """Serve an empty bucket, which the environment names and has the credentials of."""
    log = logging.getLogger("werkzeug")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        storage = ObjectStorage(endpoint, server.stop)
        handler = _Requests(storage)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(log, "level", logging.INFO)
            patched.setattr(log, "propagate", False)
            patched.setattr(log, "handlers", [handler])
            patched.setenv("HOME", str(home))  # no ~/.aws
            patched.setenv("AWS_ENDPOINT_URL", storage.endpoint)
            patched.setenv("AWS_ACCESS_KEY_ID", "test")
            patched.setenv("AWS_SECRET_ACCESS_KEY", "test")
            patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
            patched.setenv("AWS_EC2_METADATA_DISABLED", "true")
            urlopen(Request(f"{endpoint}/moto-api/reset", method="POST")).close()  # one state a process
            storage._client().create_bucket(Bucket=storage.bucket)
            yield storage
    finally:
        server.stop()

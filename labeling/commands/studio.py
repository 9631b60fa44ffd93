"""`edgeloop studio`: a local page to draw, label, review and train."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

__all__ = ["studio"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_INTERRUPTED = 130
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(context_settings={"show_default": True})
@click.argument("frames", type=_FOLDER)
@click.option(
    "-e",
    "--exemplars",
    type=click.Path(path_type=Path),
    help="Boxes to begin with, as for `edgeloop label`. They are copied; the file is not changed.",
)
@click.option(
    "-o",
    "--out",
    type=_FOLDER,
    help="Folder of everything that is made: exemplars.json, dataset, run, detector.onnx, zones.json.  "
    "[default: FRAMES.studio]",
)
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the page.  [default: any free port]")
@click.option(
    "--host",
    default=_LOOPBACK[0],
    help="Address to listen on. On another than 127.0.0.1, whoever knows the key sees the frames, starts "
    "trainings, and opens files, cameras and addresses that this machine can reach, over a network without "
    "encryption; needs --key.",
)
@click.option("--key", metavar="TEXT", help="Secret in the address of the page.  [default: random]")
def studio(
    frames: Path, exemplars: Path | None, out: Path | None, port: int | None, host: str, key: str | None
) -> None:
    """Draw exemplars, label, review and train on a page of this machine.

    FRAMES is a folder that `edgeloop collect` wrote, or any folder of images; it is only read. Whatever is
    drawn is saved at once in OUT/exemplars.json, which `edgeloop label -e` takes. Ctrl-C ends the page; the
    same command goes on.
    """
    if host not in _LOOPBACK and key is None:
        raise click.UsageError(
            f"--host {host} lets other machines in; state a --key of at least 16 letters or digits"
        )
    if key is not None and (len(key) < 16 or not key.isascii() or not key.isalnum()):
        raise click.UsageError("--key: expected at least 16 letters or digits")
    from edgeloop.labeling.studio.studio_app import serve_studio  # loads OpenCV; --help does without

    tell = partial(click.echo, err=True)
    if serve_studio(frames, out, exemplars, host=host, port=port, key=key, tell=tell):
        click.get_current_context().exit(_INTERRUPTED)

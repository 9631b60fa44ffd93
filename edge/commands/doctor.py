"""`edgeloop doctor`: providers, codecs, cameras and packages of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from edgeloop.edge.doctor.examine import Health

__all__ = ["doctor"]

T = TypeVar("T")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> None:
    """Check what this machine can run.

    Runs a small model on each execution provider in a process of its own, loads every other engine, names
    what to install for the accelerators it finds, writes and reads a frame with each video codec, and lists
    cameras, OpenCV's back ends and missing optional packages.
    """
    from edgeloop.edge.doctor.examine import examine  # loads onnxruntime and OpenCV; --help does without

    health = examine()
    if as_json:
        click.echo(json.dumps(asdict(health), indent=2))
        return
    for topic, text in _lines(health):
        click.echo(f"{topic:<10}  {text}")


def _lines(health: Health) -> Iterator[tuple[str, str]]:
    machine, opencv = health.machine, health.opencv
    yield "machine", f"{machine.system}, {machine.architecture}, Python {machine.python}"
    yield "", f"{machine.processor}, {machine.cores} cores, {machine.memory_gb} GB memory"
    yield "packages", ", ".join(f"{name} {version}" for name, version in health.packages.items())
    working = {provider.name for provider in health.providers if provider.works}
    engines = {engine.name: f"{engine.suffix} files" for engine in health.engines if engine.works}
    for topic, accelerator in _titled("hardware", health.accelerators):
        usable = [f"--provider {name}" for name in accelerator.providers if name in working]
        usable += [files for name, files in engines.items() if name == accelerator.engine]
        yield topic, f"{_mark(bool(usable))} {accelerator.name}: {', '.join(usable) or accelerator.advice}"
    if not health.accelerators:
        yield "hardware", "no accelerator found; models run on the CPU"
    for topic, provider in _titled("providers", health.providers):
        yield topic, f"{_mark(provider.works)} {provider.name}{_because(provider.reason)}"
    for topic, engine in _titled("engines", health.engines):
        version = f" {engine.version}" if engine.version else ""
        devices = (
            f": {engine.suffix or '.onnx'} files, --provider {' or '.join(engine.devices)}"
            if engine.works
            else ""
        )
        yield topic, f"{_mark(engine.works)} {engine.name}{version}{devices}{_because(engine.reason)}"
    for topic, camera in _titled("cameras", health.cameras):
        reason = "" if camera.readable else "no permission; add this user to the group `video`"
        yield topic, f"{_mark(camera.readable)} {camera.path} {camera.name}{_because(reason)}"
    if not health.cameras:
        yield "cameras", "none found; streams, files and synth:conveyor need none"
    yield (
        "opencv",
        f"cameras {', '.join(opencv.camera_backends)}; streams {', '.join(opencv.stream_backends)}",
    )
    yield "", f"writes {', '.join(opencv.writes) or 'no video'}; reads {', '.join(opencv.reads) or 'none'}"
    reason = "" if health.screen else "no screen; use --video instead of --show"
    yield "window", f"{_mark(health.screen)} {opencv.window_toolkit}{_because(reason)}"
    for topic, extra in _titled("extras", health.extras):
        reason = f"pip install 'edgeloop[{extra.name}]' (lacks {', '.join(extra.missing)})"
        yield topic, f"{_mark(not extra.missing)} {extra.name}{_because(reason if extra.missing else '')}"


def _titled(title: str, items: Sequence[T]) -> Iterator[tuple[str, T]]:
    """Pair the first item with the title and the others with an empty one."""
    return ((title if row == 0 else "", item) for row, item in enumerate(items))


def _mark(works: bool) -> str:
    return "+" if works else "-"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""

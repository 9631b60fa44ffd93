"""Report of a run: figures on stderr for people, the same as JSON for programs, and the exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeloop.edge.loop.summary import RunSummary, TotalSummary
from edgeloop.edge.source_name import hide_secrets
from edgeloop.models.errors import EdgeloopError, UnavailableError, file_remedy

if TYPE_CHECKING:
    from edgeloop.edge.loop.stream import Stream
    from edgeloop.edge.runtime.frame_detector import FrameDetector

__all__ = ["raise_failure", "report_run"]


def report_run(streams: Sequence[Stream], path: Path | None, detector: FrameDetector) -> None:
    """Print the figures of a run on stderr, and write them as JSON.

    Args:
        streams: Sources of the run, of which at least one had a frame.
        path: JSON file to write; None for none.
        detector: The model that ran on them.
    """
    figures = _summarize(streams, detector)
    for line in _lines(figures):
        click.echo(line, err=True)
    if path is not None:
        path.write_text(json.dumps(figures.as_dict(), indent=2) + "\n")


def raise_failure(streams: Sequence[Stream]) -> None:
    """Raise the error of the sources that failed, if any did.

    Args:
        streams: Sources of the run.

    Raises:
        EdgeloopError: The error of the only source; of several, one of the first error's kind that names all.
    """
    errors = [error for error in map(_failure, streams) if error is not None]
    if not errors:
        return
    if len(streams) == 1:
        raise errors[0]
    raise type(errors[0])(f"{len(errors)} of {len(streams)} sources failed: {'; '.join(map(str, errors))}")


def _failure(stream: Stream) -> EdgeloopError | None:
    """Error of a stream; one of foreign code names the source, for the command line knows its own by kind."""
    error = stream.error
    if error is None or isinstance(error, EdgeloopError):
        return error
    if isinstance(error, OSError) and (remedy := file_remedy(error)):
        place = f"{error.filename}: " if error.filename else ""
        failure: EdgeloopError = UnavailableError(f"{stream.source.name}: {place}{error.strerror}; {remedy}")
    else:
        said = str(error).partition("\n")[0]
        failure = EdgeloopError(f"{stream.source.name}: {type(error).__name__}: {said}")
    failure.__cause__ = error
    return failure


def _summarize(streams: Sequence[Stream], detector: FrameDetector) -> RunSummary | TotalSummary:
    errors = [
        None if failure is None else hide_secrets(str(failure), sys.argv[1:])
        for failure in map(_failure, streams)
    ]
    figures = [
        replace(stream.summary(detector), error=error) for stream, error in zip(streams, errors, strict=True)
    ]
    if len(streams) == 1:
        return figures[0]
    meters = [stream.meter for stream in streams if stream.meter.frames]
    seconds = max(meter.ended_at for meter in meters) - min(meter.started_at for meter in meters)
    return TotalSummary.of(figures, seconds)


def _lines(figures: RunSummary | TotalSummary) -> Iterator[str]:
    for source in figures.sources if isinstance(figures, TotalSummary) else [figures]:
        yield from _source(source)
    if isinstance(figures, TotalSummary):
        yield f"{_rate(figures)}  (all {len(figures.sources)} sources on {figures.provider})"
        yield f"  lost      {figures.dropped} dropped, {figures.stale} stale, {figures.skipped} unreadable"
    yield f"  memory    {figures.peak_memory_mb:.0f} MB at most"


def _source(figures: RunSummary) -> Iterator[str]:
    yield f"{_rate(figures)}  ({figures.source} on {figures.provider})"
    if figures.latency_ms:
        yield f"  latency   {figures.latency_ms} from capture to result"
        stages = "  ".join(f"{stage} {spent:.1f}" for stage, spent in figures.stages_ms.items())
        yield f"  stages    {stages} ms"
    yield f"  lost      {figures.dropped} dropped, {figures.stale} stale, {figures.skipped} unreadable"
    if figures.unchanged is not None:
        yield f"  unchanged {figures.unchanged} frames, not detected again"
    if figures.drift is not None:
        yield f"  drift     {_drift(figures.drift)}"
    found = ", ".join(f"{count} {name}" for name, count in figures.detections.items())
    yield f"  found     {found or 'nothing'}"
    for zone, classes in (figures.zones or {}).items():
        counts = (_zone(name, t.entered, t.inside, t.dwell_s) for name, t in classes.items())
        yield f"  zone      {zone}: {'; '.join(counts) or 'nothing entered'}"
    for line, crossed in (figures.lines or {}).items():
        ways = (f"{name} {count['in']} in, {count['out']} out" for name, count in crossed.items())
        yield f"  line      {line}: {'; '.join(ways) or 'nothing crossed'}"
    if figures.error is not None:
        yield f"  failed    {figures.error}"


def _drift(shares: Mapping[str, float]) -> str:
    looks = f"{shares['looks']:.0f} look{'' if shares['looks'] == 1 else 's'}"
    kinds = (f"{share:.0%} {kind}" for kind, share in shares.items() if kind != "looks" and share)
    return f"{looks}: {', '.join(kinds)}"


def _zone(name: str, entered: int, inside: int, dwell_s: float | None) -> str:
    stay = "" if dwell_s is None else f", stay {dwell_s:.1f} s on average"
    return f"{name} {entered} entered, {inside} inside{stay}"


def _rate(figures: RunSummary | TotalSummary) -> str:
    frames = f"{figures.frames} frame{'' if figures.frames == 1 else 's'}"
    return f"{frames} in {figures.seconds:.1f} s, {figures.fps:.1f} fps"

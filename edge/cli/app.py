"""The `edgeloop` command: finds its verbs, and turns every error into one line and an exit code.

Verbs are entry points (group `edgeloop.verbs`) and each is imported only when it is called, so that
`edgeloop run` pays for nothing that training needs, and `--help` for nothing at all.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NoReturn

import click

from edgeloop.edge.cli.environment import prepare_environment
from edgeloop.models.errors import EdgeloopError, UnavailableError

__all__ = ["cli", "main"]

SUMMARIES = {
    "demo": "The whole loop on a built-in scene, no camera and no download.",
    "collect": "Keep sharp, different frames of a source.",
    "label": "Label frames with SAM from boxes on a few of them.",
    "stats": "Count what is in a dataset; refuse leaks from train to val.",
    "audit": "Estimate how good labels are, by looking at a sample of them.",
    "train": "Train a compact detector on a dataset.",
    "export": "Export a trained detector as one ONNX bundle.",
    "run": "Run a detector on cameras, streams, videos or folders.",
    "bench": "Measure the loop against the bare model.",
    "inspect": "Say what a model file is.",
    "verify": "Prove that a bundle computes here what it should.",
    "doctor": "Say what this machine can do.",
}
"""Our own verbs in the order of the work, with what `--help` says of them without importing them."""

EXTRAS = {"edgeloop.labeling": "label", "edgeloop.export": "export"}
"""The optional extra that brings what a package of ours needs."""

LIBRARIES = {"cv2": "on Debian: apt install libgl1 libglib2.0-0"}
"""Where the system libraries come from that a package needs and pip does not bring."""


class _Verbs(click.Group):
    """A group whose commands are found through entry points and imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = _verbs()
        return [name for name in SUMMARIES if name in found] + sorted(found.keys() - SUMMARIES.keys())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        verb = _verbs().get(name)
        prepare_environment(name)
        return None if verb is None else _load(verb)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        with formatter.section("Verbs"):
            formatter.write_dl([(name, SUMMARIES.get(name, "From another package.")) for name in names])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ImportError as error:
            verb = _verbs().get(ctx.invoked_subcommand or "")
            if verb is None or not _optional(error):
                raise
            raise _missing(verb, error) from error
        except BrokenPipeError:
            # Whoever read our results has seen enough, which is no error. Python flushes stdout once more
            # when it leaves, and that must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None


class _Stderr(logging.Handler):
    """Warnings of our packages as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        _say(f"{record.levelname.lower()}: {record.getMessage()}")


_HANDLER = _Stderr()


@click.group(
    cls=_Verbs,
    subcommand_metavar="VERB ...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="edgeloop", prog_name="edgeloop", message="%(prog)s %(version)s")
def cli() -> None:
    """From a camera and a handful of examples to a detector that runs on the device itself.

    SOURCE is a camera (0), a video or image file, a folder or glob of images, an rtsp:// or http:// address,
    or a built-in scene (synth:conveyor). Results go to stdout; progress and messages to stderr.
    """


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    prepare_environment()
    logging.getLogger("edgeloop").addHandler(_HANDLER)
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        code = cli.main(prog_name="edgeloop", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return 130
    except EdgeloopError as error:
        _trace()
        _say(f"error: {error}")
        return error.exit_code
    except Exception as error:  # the last line of defence: nobody should have to read a traceback
        _trace()
        _say(f"error: {type(error).__name__}: {_first_line(error)} (EDGELOOP_DEBUG=1 shows where)")
        return EdgeloopError.exit_code
    return code if isinstance(code, int) else 0


def _verbs() -> dict[str, EntryPoint]:
    return {verb.name: verb for verb in entry_points(group="edgeloop.verbs")}


def _load(verb: EntryPoint) -> click.Command:
    try:
        command = verb.load()
    except ImportError as error:
        if not _optional(error):
            raise
        raise _missing(verb, error) from error
    if not isinstance(command, click.Command):
        raise EdgeloopError(f"edgeloop {verb.name}: {verb.value} is not a click command")
    return command


def _optional(error: ImportError) -> bool:
    """Whether an import failed for want of somebody else's package; ours are always there or at fault."""
    return _package(error) != "edgeloop"


def _missing(verb: EntryPoint, error: ImportError) -> UnavailableError:
    """What to install so that a verb can run."""
    package = _package(error)
    if isinstance(error, ModuleNotFoundError):
        extra = EXTRAS.get(".".join(verb.module.split(".")[:2]))
        wanted = f"edgeloop[{extra}]" if extra else "edgeloop"
        return UnavailableError(
            f"edgeloop {verb.name}: the package {package} is not installed; pip install '{wanted}'"
        )
    remedy = LIBRARIES.get(package, f"pip install --force-reinstall {package}")
    return UnavailableError(
        f"edgeloop {verb.name}: the package {package} cannot be loaded ({_first_line(error)}); {remedy}"
    )


def _package(error: ImportError) -> str:
    return (error.name or "").partition(".")[0]


def _trace() -> None:
    if os.environ.get("EDGELOOP_DEBUG"):
        traceback.print_exc()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def _say(text: str) -> None:
    # On a terminal the line may still hold a status that is being rewritten.
    fresh = "\r\x1b[K" if sys.stderr.isatty() else ""
    click.echo(f"{fresh}edgeloop: {text}", err=True)

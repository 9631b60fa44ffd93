"""The `edgeloop` command: finds its verbs, and turns every error into one line and an exit code.

Verbs are entry points (group `edgeloop.verbs`). Each is imported only when it is called, so that
`edgeloop run` loads nothing that training needs, and `--help` no verb at all.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NoReturn

import click

from edgeloop.edge.cli.environment import prepare_environment
from edgeloop.edge.source_name import hide_secrets
from edgeloop.models.errors import EdgeloopError, UnavailableError, file_remedy

__all__ = ["cli", "main"]

SUMMARIES = {
    "demo": "Run the whole loop on a built-in scene: no camera, no download.",
    "teach": "Answer at once with a teacher, until its student takes over.",
    "collect": "Keep sharp, different frames of a source.",
    "suggest": "Name the frames that are most worth boxing.",
    "studio": "Draw, label, review and train on a page of this machine.",
    "label": "Label frames with SAM from boxes on a few of them.",
    "stats": "Count what is in a dataset; refuse leaks from train to val.",
    "audit": "Estimate label quality from a sample that a person checks.",
    "train": "Train a compact detector on a dataset.",
    "export": "Export a trained detector as one ONNX bundle.",
    "mine": "Find what a device missed, and estimate its recall.",
    "improve": "Make the next generation of a detector from what its device kept.",
    "history": "Show where each generation came from, and what it gained.",
    "run": "Run a detector on cameras, streams, videos or folders.",
    "serve": "Run cameras and models by themselves, from a configuration file.",
    "check": "Try everything that the configuration of a service names.",
    "install": "Verify a model and make it the current one of the service.",
    "shadow": "Let the service compare a model with the current one.",
    "promote": "Make the compared model the current one, if the rules hold.",
    "rollback": "Make the previous model the current one again.",
    "bench": "Measure the loop against the bare model.",
    "inspect": "Show what a model file is and how it would be run.",
    "verify": "Check that a bundle computes the same here as where it was made.",
    "doctor": "Check what this machine can run.",
}
"""Our own verbs in the order of the work, with the line that `--help` shows without importing them."""

EXTRAS = {"serve": "serve", "check": "serve", "edgeloop.labeling": "label", "edgeloop.export": "export"}
"""Optional extra that installs the requirements of a verb, or of a package of ours."""

LIBRARIES = {"cv2": "on Debian: apt install libgl1 libglib2.0-0"}
"""Remedy for the system libraries that a package needs and pip does not install."""


class _Verbs(click.Group):
    """Group of commands that are found through entry points and imported when they are called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        found = _verbs()
        return [name for name in SUMMARIES if name in found] + sorted(found.keys() - SUMMARIES.keys())

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
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
            if verb is None or _package(error) == "edgeloop":  # a fault of ours: nothing to install
                raise
            raise _missing_package(verb, error) from error
        except BrokenPipeError:
            # The reader of our results has closed the pipe, which is no error. Python flushes stdout once
            # more when it exits, and that must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None


class _Stderr(logging.Handler):
    """Handler that prints warnings of our packages like messages of the command line."""

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
    """Run the command line and exit with its code."""
    prepare_environment()
    logging.getLogger("edgeloop").addHandler(_HANDLER)
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        if "EDGELOOP_PROGRESS_FD" in os.environ:
            from edgeloop.edge.cli.progress_events import open_progress_events  # only programs need it

            open_progress_events()
        # click would take the source `-?width=640&height=480` for an option.
        words = [f"pipe:{word[1:]}" if word.startswith("-?") else word for word in sys.argv[1:]]
        code = cli.main(words, prog_name="edgeloop", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(hide_secrets(shown.getvalue(), sys.argv[1:]), err=True, nl=False)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return 130
    except EdgeloopError as error:
        _print_traceback()
        _say(f"error: {error}")
        return error.exit_code
    except Exception as error:  # nobody should have to read a traceback
        _print_traceback()
        if isinstance(error, OSError) and (remedy := file_remedy(error)):
            place = f"{error.filename}: " if error.filename else ""
            _say(f"error: {place}{error.strerror}; {remedy}")
            return UnavailableError.exit_code
        _say(f"error: {type(error).__name__}: {_first_line(error)} (EDGELOOP_DEBUG=1 shows where)")
        return EdgeloopError.exit_code
    return code if isinstance(code, int) else 0


def _verbs() -> dict[str, EntryPoint]:
    return {verb.name: verb for verb in entry_points(group="edgeloop.verbs")}


def _load(verb: EntryPoint) -> click.Command:
    try:
        command = verb.load()
    except ImportError as error:
        if _package(error) == "edgeloop":
            raise
        raise _missing_package(verb, error) from error
    if not isinstance(command, click.Command):
        raise EdgeloopError(f"edgeloop {verb.name}: {verb.value} is not a click command")
    return command


def _missing_package(verb: EntryPoint, error: ImportError) -> UnavailableError:
    """Build the error that names what to install so that a verb can run."""
    package = _package(error)
    if isinstance(error, ModuleNotFoundError):
        extra = EXTRAS.get(verb.name) or EXTRAS.get(".".join(verb.module.split(".")[:2]))
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


def _print_traceback() -> None:
    if os.environ.get("EDGELOOP_DEBUG"):
        click.echo(hide_secrets(traceback.format_exc(), sys.argv[1:]), err=True)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def _say(text: str) -> None:
    # On a terminal the line may still show the status of a run.
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    click.echo(f"{clear}edgeloop: {hide_secrets(text, sys.argv[1:])}", err=True)

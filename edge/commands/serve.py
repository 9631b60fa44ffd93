"""`edgeloop serve`: run cameras and models by themselves, from one configuration file."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import click

from edgeloop.edge.cli.signals import stopped_by_signals
from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.edge.host.malloc import share_heaps
from edgeloop.edge.service.config.config_file import config_warnings, read_config
from edgeloop.edge.service.logs import start_log
from edgeloop.edge.service.service import run_service
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError, UnavailableError, UsageError

__all__ = ["serve"]

_EXIT_CODES = {
    UsageError.exit_code: DataError.exit_code,  # of a word in the file, not on the command line
    NoInputError.exit_code: UnavailableError.exit_code,  # may be there later, as on a disk that is mounted
}

log = logging.getLogger(__name__)


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
def serve(config: Path) -> None:
    """Run cameras and models by themselves, until a signal ends it.

    CONFIG is a TOML file; `edgeloop check CONFIG` tries all that it names. SIGTERM, SIGINT or SIGHUP ends the
    service in good order. A camera or broker that is away is waited for. Exit code 65: the file or a model is
    wrong. Exit code 69: a model is missing, or the state folder or the port is in use.
    """
    share_heaps()
    settings = read_config(config)
    start_log(settings)
    code = _run(config, settings)
    # Python's own end would let daemon threads in native code abort the process.
    sys.stderr.flush()
    os._exit(code)


def _run(config: Path, settings: ServiceConfig) -> int:
    """Run the service. Returns the exit code, and logs why it ended."""
    try:
        with stopped_by_signals(_end_start), ExitStack() as held:
            _take_state(settings.state, held)
            _say_start(config, settings)
            for warning in config_warnings(config, settings):
                log.warning("%s", warning, extra={"event": "config-doubt"})
            run_service(settings)
            log.info("the service has ended", extra={"event": "ended"})
            return 0
    except SystemExit:
        log.info("the service has ended before it ran", extra={"event": "ended"})
        return 0
    except EdgeloopError as error:
        log.error("%s", error, exc_info=bool(os.environ.get("EDGELOOP_DEBUG")), extra={"event": "failed"})
        return _EXIT_CODES.get(error.exit_code, error.exit_code)
    except Exception as error:  # a fault of ours; the log clears it of secrets
        log.error("the service failed", exc_info=error, extra={"event": "failed"})
        return EdgeloopError.exit_code


def _end_start() -> None:
    """End the process while it starts; once the service runs, it has its own way to end."""
    raise SystemExit(0)


def _take_state(state: Path, held: ExitStack) -> None:
    """Create the state folder if it is missing, and lock it."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        held.enter_context(locked_folder(state, f"state {state}: another `edgeloop serve` uses it"))
    except OSError as error:
        raise UnavailableError(
            f"state {state}: cannot be used ({error.strerror}); name a folder that this user may write"
        ) from error
    except DataError as error:  # no fault of the file, so that systemd tries again
        raise UnavailableError(str(error)) from error


def _say_start(config: Path, settings: ServiceConfig) -> None:
    log.info(
        "edgeloop %s: %s, cameras %s, models %s",
        version("edgeloop"),
        config,
        ", ".join(settings.cameras),
        ", ".join(settings.models),
        extra={"event": "started"},
    )

"""`edgeloop check`: try everything that the configuration of a service names."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgeloop.edge.service.check.attempt import CheckResult
from edgeloop.edge.service.check.run_checks import run_checks
from edgeloop.edge.service.config.config_file import read_config
from edgeloop.edge.service.config.config_schema import config_schema
from edgeloop.models.errors import DataError, UnavailableError, UsageError

__all__ = ["check"]


@click.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--schema", is_flag=True, help="Print the JSON schema of CONFIG, for editors, and check nothing."
)
def check(config: Path | None, as_json: bool, schema: bool) -> None:
    """Try everything that the configuration of a service names.

    CONFIG is the file for `edgeloop serve`. Every camera is opened until it gives frames, every model is
    loaded and runs its golden sample, zones are compared with the frames, the broker and the hosts of
    webhooks are reached, and the state folder and the port are tried, all at the same time. Nothing is
    changed or sent. Exit code 0: all is well. Exit code 65: the file or a model is wrong. Exit code 69:
    something is not there.
    """
    if schema:
        click.echo(config_schema(), nl=False)
        return
    if config is None:
        raise UsageError("check: expected a configuration, got none")
    settings = read_config(config)
    results: list[CheckResult] = []
    for result in run_checks(config, settings):
        results.append(result)
        if not as_json:
            click.echo(_line(result))
    codes = {result.code for result in results} - {0}
    if as_json:
        click.echo(_json(results, ok=not codes))
    if codes:
        failed = sum(result.status == "failed" for result in results)
        message = f"{config}: {failed} of {len(results)} checks failed"
        raise DataError(message) if DataError.exit_code in codes else UnavailableError(message)


def _line(result: CheckResult) -> str:
    status = "FAILED" if result.status == "failed" else result.status
    return f"{status:<7}  {f'{result.part} {result.name}'.strip():<16}  {result.text}"


def _json(results: list[CheckResult], *, ok: bool) -> str:
    checks = [
        {"part": each.part, "name": each.name, "status": each.status, "text": each.text} for each in results
    ]
    return json.dumps({"ok": ok, "checks": checks}, indent=2, ensure_ascii=False)

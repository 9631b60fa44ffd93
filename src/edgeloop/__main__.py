"""Run the `edgeloop` command: `python -m edgeloop`."""

from edgeloop.edge.cli.app import main

main()

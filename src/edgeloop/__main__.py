"""Run the `edgeloop` command: `python -m edgeloop`."""

from edgeloop.edge.cli import main

main()

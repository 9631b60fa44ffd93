"""`python -m edge` is `edgeloop`, for whoever has the package on the path but no script."""

from edge.cli import main

main()

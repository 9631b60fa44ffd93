"""Stand-in for a verb: counts to a number in a file, is interrupted like one, and goes on.

usage: stand_in_verb.py FILE COUNT | stand_in_verb.py fail MESSAGE CODE
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from edgeloop.edge.cli.progress import progress_bar
from edgeloop.edge.cli.progress_events import open_progress_events


def main() -> int:
    """Run it and return its exit code."""
    open_progress_events()
    if sys.argv[1] == "fail":
        print(f"edgeloop: error: {sys.argv[2]}", file=sys.stderr)
        return int(sys.argv[3])
    file, count = Path(sys.argv[1]), int(sys.argv[2])
    done = int(file.read_text()) if file.exists() else 0
    try:
        with progress_bar(count, "Counting", initial=done) as advance:
            while done < count:
                time.sleep(0.02)
                done += 1
                file.write_text(str(done))
                advance(1)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

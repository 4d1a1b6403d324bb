"""``python branches.py DATA MOST``: tell the branches of the compiled core with one way only.

They were always, or never, taken; it fails if they are more than MOST.
`coverage` itself tells them of Python only; but the lines that came after one another it knows.
"""

import re
import sys
from pathlib import Path

from coverage import CoverageData

CONDITION = re.compile(r"\s*(if|elif|while|for)\b")


def partial(data):
    """Return the lines of the compiled core from which only one way was taken."""
    (name,) = (name for name in data.measured_files() if name.endswith("_core.pyx"))
    ways = {}
    for before, after in data.arcs(name):
        ways.setdefault(before, set()).add(after)
    lines = Path(name).read_text().splitlines()
    branches = [i for i, line in enumerate(lines, 1) if i in ways and CONDITION.match(line)]
    return branches, [(i, lines[i - 1].strip()) for i in branches if len(ways[i]) < 2]


if __name__ == "__main__":
    data = CoverageData(sys.argv[1])
    data.read()
    branches, missed = partial(data)
    print(f"_core.pyx: {len(missed)} of {len(branches)} branches have one way only")
    for line, text in missed:
        print(f"  {line}: {text}")
    sys.exit(len(missed) > int(sys.argv[2]))

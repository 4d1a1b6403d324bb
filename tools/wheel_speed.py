"""Fail if a wheel is slower than another one: ``python tools/wheel_speed.py RELEASED PLAIN``.

What the compiler is told for a release must not cost speed.  Processes that send on either wheel
take turns, and the best slices count.  A machine that is busy can still favour one of them, so
only a wheel that was too slow in each of three attempts fails.
"""

import subprocess
import sys
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path

LIMIT = 1.05
ATTEMPTS = 3
ROUNDS = 300

# Times as many sends as each line that it reads says, to one receiver and to ten.
WORKER = """
import sys, timeit
sys.path.insert(0, sys.argv[1])
import fastsig

assert fastsig.compiled and fastsig.__file__.startswith(sys.argv[1]), fastsig.__file__

def receiver_of(n):
    def receiver(sender=None, task_id=None, task=None, **kwargs):
        return n
    return receiver

receivers = [receiver_of(n) for n in range(10)]
one, ten = fastsig.Signal(name="one"), fastsig.Signal(name="ten")
one.connect(receivers[0])
for receiver in receivers:
    ten.connect(receiver)
timer = timeit.Timer(
    "one(sender=None, task_id=1, task=2, args=3); ten(sender=None, task_id=1, task=2, args=3)",
    globals={"one": one.send, "ten": ten.send},
)
for line in sys.stdin:
    print(timer.timeit(int(line)), flush=True)
"""


class Worker:
    """A process that sends on what an unpacked wheel holds."""

    def __init__(self, folder, stack):
        command = [sys.executable, "-I", "-c", WORKER, str(folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = stack.enter_context(subprocess.Popen(command, **pipes))
        stack.callback(self.process.stdin.close)

    def seconds(self, times):
        """Return how long it takes to send so often."""
        self.process.stdin.write(f"{times}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def ratio(folders):
    """Return how much longer a send takes on the first of two wheels than on the other."""
    with ExitStack() as stack:
        workers = [Worker(folder, stack) for folder in folders]
        best = [min(worker.seconds(1000) for _ in range(10)) for worker in workers]
        for _ in range(ROUNDS):
            best = [min(old, each.seconds(1000)) for old, each in zip(best, workers, strict=True)]
    return best[0] / best[1]


def main(released, plain):
    """Compare two wheels; return the exit status."""
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / "released", Path(name) / "plain"]
        for folder, wheel in zip(folders, (released, plain), strict=True):
            zipfile.ZipFile(wheel).extractall(folder)
        for _ in range(ATTEMPTS):
            found = ratio(folders)
            print(f"a send on {Path(released).name} / on a plain build: {found:.3f}", flush=True)
            if found <= LIMIT:
                return 0
    print(f"too slow: the limit is {LIMIT}")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Real processes to test with: a Redis server, and Celery's commands with what they recorded."""

import json
import os
import shutil
import signal as os_signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import redis

PATIENCE = 60


class Redis:
    """A Redis server of one's own, on a free port of this machine; a context manager."""

    def __init__(self, folder):
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("redis-server is not installed (Debian: redis-server)")
        for _ in range(5):  # another program may take the port before the server does
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            command = [program, "--bind", "127.0.0.1", "--port", str(self.port)]
            self.process = subprocess.Popen(
                [*command, "--dir", str(folder), "--save", "", "--databases", "64"],
                stdout=subprocess.DEVNULL,
            )
            if self._answers():
                return
            self.stop()
        raise RuntimeError("redis-server does not start")

    def _answers(self):
        with redis.Redis(port=self.port) as client:
            while self.process.poll() is None:
                try:
                    return client.info("server")["process_id"] == self.process.pid
                except redis.ConnectionError:
                    time.sleep(0.02)
        return False

    def url(self, database):
        return f"redis://127.0.0.1:{self.port}/{database}"

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.stop()


class Site:
    """A folder with Celery processes that share a broker, and the record of their signals.

    Everything in it runs `worker_app`.  It is a context manager, which ends what still runs.
    """

    def __init__(self, folder, environment, broker="filesystem://", app="worker_app", path=()):
        self.folder = folder
        self.app = app
        for name in ("outbox", "queue", "processed", "control"):
            (folder / name).mkdir()
        self.environment = {
            **environment,
            "WORKER_APP": str(folder),
            "WORKER_BROKER": broker,
            "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), *map(str, path))),
        }
        self.files = broker == "filesystem://"
        self.processes = []
        self.clients = []
        self.lines = []
        self.read = 0

    def start(self, *command, **environment):
        """Start a command of Celery; return its process."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", self.app, *command],
                env={**self.environment, **environment},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def worker(self, pool, *options, **environment):
        """Start a worker without what makes starting slow; return its process."""
        quick = ("--without-gossip", "--without-mingle", "--loglevel=INFO")
        return self.start("worker", f"--pool={pool}", *quick, *options, **environment)

    def client(self, program, patience=PATIENCE, **environment):
        """Run a program that publishes; return its pid."""
        process = subprocess.Popen(
            [sys.executable, "-c", f"from {self.app} import *\n{program}"],
            env={**self.environment, **environment},
            cwd=self.folder,
        )
        self.clients.append(process.pid)
        if process.wait(patience):
            raise RuntimeError(f"a client failed: {program}")
        return process.pid

    def events(self, signal=None, handler="any"):
        """Return what was recorded by now, in order, of one signal or of all."""
        path = self.folder / "record"
        if path.exists():
            with path.open("rb") as file:
                file.seek(self.read)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self.read += len(line)
                    self.lines.append(json.loads(line))
        return [
            line
            for line in self.lines
            if line["handler"] == handler and signal in (None, line["signal"])
        ]

    def role(self, event):
        """Return what kind of process an event is from: worker, beat, client, pool, ..."""
        for process in self.processes:
            if event["pid"] == process.pid:
                return process.args[5]
            if event["parent"] == process.pid:
                return "pool" if "PoolWorker" in event["process"] else "embedded beat"
        assert event["pid"] in self.clients, event
        return "client"

    def wait(self, seconds=PATIENCE, /, **counts):
        """Wait until signals were recorded so often, or so long; return whether they were."""
        deadline = time.monotonic() + seconds
        while any(len(self.events(name)) < count for name, count in counts.items()):
            if time.monotonic() > deadline:
                return False
            if self.files:
                self._deliver()
            time.sleep(0.05)
        return True

    def _deliver(self):
        """Put what was sent through files into the queue."""
        # kombu's worker may read a file that kombu's client is still writing: so it is renamed,
        # which is atomic, once it is complete.
        for message in sorted((self.folder / "outbox").iterdir()):
            if message.read_bytes().endswith(b"}"):
                message.rename(self.folder / "queue" / message.name)

    def stop(self, *processes):
        """Stop processes as one does; return their exit statuses."""
        for process in processes:
            process.send_signal(os_signal.SIGTERM)
        return [process.wait(PATIENCE) for process in processes]

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *details):
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, os_signal.SIGKILL)
                process.wait()

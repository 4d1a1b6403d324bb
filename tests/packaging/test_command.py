"""``python -m fastsig``: its output, and the demo."""

import os
import re
import signal as os_signal
import subprocess
import sys
import time

import pytest


def command(environment, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "fastsig", *arguments],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
        **options,
    )


WITHOUT_CELERY = "import sys; sys.modules['celery'] = None; sys.argv[1:] = {}; "
MAIN = "import runpy; runpy.run_module('fastsig', run_name='__main__')"


def test_info(environment, core, fastsig):
    pytest.importorskip("celery.signals")
    done = command(environment)
    assert done.returncode == 0
    lines = dict(line.split(None, 1) for line in done.stdout.splitlines())
    assert lines["fastsig"] == fastsig.__version__
    assert lines["python"].endswith(sys.version.split()[0])
    assert lines["core"].startswith("compiled" if core == "compiled" else "pure Python (")
    assert "switched off" in lines["core"] or core == "compiled"
    assert lines["celery"].endswith("dispatches through fastsig")


def test_info_when_celery_is_left_alone(environment):
    pytest.importorskip("celery.signals")
    assert "not changed" in command({**environment, "FASTSIG_CELERY": "0"}).stdout


def test_info_when_the_core_is_missing(environment):
    program = (
        "import sys; sys.modules['fastsig.engine._compiled.send'] = None; sys.argv[1:] = []; "
        + MAIN
    )
    environment = {
        **environment,
        "FASTSIG_NO_EXTENSIONS": "0",
        "FASTSIG_REQUIRE_EXTENSIONS": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    assert "pure Python (the compiled one is missing" in done.stdout


def test_without_celery(environment):
    for arguments, status in ((["demo"], 1), ([], 0)):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_CELERY.format(arguments) + MAIN],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status
        text = done.stderr if arguments else done.stdout
        assert "python -m pip install 'celery>=5.4'" in text
        if arguments:
            assert len(text.splitlines()) == 1


def test_unknown_command(environment):
    done = command(environment, "no-such-thing")
    assert done.returncode == 2
    assert "no-such-thing" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no prefork pool")
class TestDemo:
    @pytest.fixture(autouse=True)
    def _celery(self):
        pytest.importorskip("celery.signals")

    @pytest.fixture
    def environment(self, environment, tmp_path):
        return {**environment, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}

    def test_demo(self, environment, core, tmp_path):
        done = command(environment, "demo", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"on its {'compiled' if core == 'compiled' else 'pure Python'} core" in done.stdout
        fired = {
            name: int(count)
            for name, count in re.findall(
                r"^(\w+) +(\d+)  (?:all there|none due)", done.stdout, re.M
            )
        }
        assert fired == {
            "task_sent": 24,
            "task_prerun": 24,
            "task_postrun": 24,
            "worker_init": 1,
            "worker_ready": 1,
            "worker_process_init": 2,
            "worker_shutdown": 1,
        }
        assert "RuntimeError" in done.stdout
        assert "connected with sender=greet" in done.stdout
        assert len(re.findall(r"ns, Celery's own code +\d+ ns", done.stdout)) == 3
        assert list(tmp_path.iterdir()) == []

    def test_worker_that_dies(self, environment, tmp_path):
        (tmp_path / "sitecustomize.py").write_text(
            "import os\n"
            "if 'FASTSIG_DEMO_WORKER' in os.environ:\n"
            "    os.write(2, b'no worker today')\n"
            "    os._exit(1)  # PyPy goes on after sys.exit here\n"
        )
        done = command({**environment, "PYTHONPATH": str(tmp_path)}, "demo", cwd=tmp_path)
        assert done.returncode == 1
        assert "the worker died" in done.stderr
        assert "no worker today" in done.stderr
        assert done.stderr.strip().startswith("the worker died with status 1; the end of")
        assert [path.name for path in tmp_path.iterdir() if path.is_dir()] in ([], ["__pycache__"])

    def test_interrupt(self, environment, tmp_path):
        demo = subprocess.Popen(
            [sys.executable, "-u", "-m", "fastsig", "demo"],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in demo.stdout:
            if "worker_process_init" in line:
                break
        (folder,) = tmp_path.glob("fastsig-demo-*")
        demo.send_signal(os_signal.SIGINT)
        _, errors = demo.communicate(timeout=60)
        assert demo.returncode == 130
        assert errors.strip().endswith("interrupted; the worker is stopped")
        assert list(tmp_path.iterdir()) == []
        deadline = time.monotonic() + 10
        while processes_that_mention(folder.name):
            assert time.monotonic() < deadline, "a process is left behind"
            time.sleep(0.1)


def processes_that_mention(text):
    if not os.path.isdir("/proc"):
        return []
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                found += [pid] if text.encode() in file.read() else []
        except OSError:
            continue
    return found

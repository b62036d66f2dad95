"""scripts/run.py: Snakemake as `make demo` shows it, on a terminal and off one."""

import os
import platform
import pty
import re
import signal
import subprocess
import sys
import termios
import time

import pytest

from support import ROOT

SNAKEFILE = """
rule all:
    input: "results/comparison.md"
    localrule: True

rule long:
    output: "results/comparison.md"
    log: "logs/train/seed-1.log"
    message: "Train a net"
    script: "train.py"
"""
TRAIN = """
import sys, time
sys.path.insert(0, {scripts!r})
from repro.errors import UserError
from repro.system import logs
logger = logs.set_up(snakemake.log[0])
logger.info("epoch %d of %d", 3, 7)
logger.warning("mind the step")
open("started", "w").close()
time.sleep({seconds})
{then}
with open(snakemake.output[0], "w") as table:
    table.write("| figure | verdict |\\n| --- | --- |\\n| accuracy | holds |\\n")
"""


@pytest.fixture
def command(tmp_path):
    """Return a way to lay out a workflow of one job and get the command that runs it."""

    def lay(seconds=1.5, then=""):
        (tmp_path / "Snakefile").write_text(SNAKEFILE)
        (tmp_path / "train.py").write_text(
            TRAIN.format(scripts=str(ROOT / "scripts"), seconds=seconds, then=then)
        )
        return [sys.executable, str(ROOT / "scripts/run.py"), "results", "--cores", "1"]

    return lay


def piped(command, folder, **env):
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def on_terminal(command, folder, columns=80, interrupt=False):
    """Run on a terminal of its own; return exit code and all that it was sent."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, columns))
    process = subprocess.Popen(
        ["env", "--default-signal=INT", "TERM=xterm", *command],
        cwd=folder,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    if interrupt:
        while not (folder / "started").exists():
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C: to all of them
    said = b""
    while True:
        try:
            said += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    return process.wait(), said.decode()


@pytest.mark.heavy
def test_on_a_terminal_a_line_moves_and_what_ends_stays(command, tmp_path):
    status, said = on_terminal(command(), tmp_path)
    assert status == 0
    assert re.search(r"\r\x1b\[2K0/2 · about .* left · Train a net 3/7", said)
    assert re.search(r"1/2  Train a net  \(\d+ s\)", said)
    assert "WARNING train/seed-1: mind the step" in said
    assert "epoch" not in said
    assert "Reason" not in said
    assert "  accuracy  holds" in said
    assert said.rstrip().endswith("Report: results/report.html")
    assert "INFO train/seed-1: epoch 3 of 7" in (tmp_path / "logs/train/seed-1.log").read_text()


@pytest.mark.heavy
def test_off_a_terminal_lines_are_plain_and_a_dead_runs_lock_goes(command, tmp_path):
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text(f"results/comparison.md\n# a run: on {platform.node()}\n")
    done = piped(command(), tmp_path)
    assert "its lock is taken off" in done.stderr
    assert done.returncode == 0
    assert "\x1b" not in done.stderr + done.stdout
    assert re.search(r"^1/2  Train a net  \(\d+ s\)$", done.stderr, re.M)
    assert "| accuracy | holds |" in done.stdout


@pytest.mark.heavy
def test_a_lock_of_another_run_is_told_in_words(command, tmp_path):
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/comparison.md\n")
    done = piped(command(), tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Another run is at work in this folder: wait until it has ended")
    assert "Directory cannot be locked" not in done.stderr


@pytest.mark.heavy
def test_quiet_is_the_table_and_the_page(command, tmp_path):
    done = piped(command(), tmp_path, QUIET="1")
    assert done.stderr == ""
    assert done.stdout.splitlines()[2:] == [
        "| accuracy | holds |",
        "",
        "Report: results/report.html",
    ]


@pytest.mark.heavy
@pytest.mark.parametrize("quiet", ["", "1"])
@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("raise UserError('no rate fits')", "ERROR train/seed-1: no rate fits"),
        ("import os; os.write(2, b'out of luck\\n'); os._exit(3)", "out of luck"),
        ("raise RuntimeError('a bug')", "RuntimeError: a bug"),
        ("import os; os.kill(os.getpid(), 9)", "Failed (ended by SIGKILL; not enough memory?)"),
    ],
)
def test_a_failing_job_shows_its_words_once(command, tmp_path, then, words, quiet):
    done = piped(command(seconds=0, then=then), tmp_path, QUIET=quiet)
    assert done.returncode == 1
    assert done.stderr.count(words) == 1
    assert re.search(r"^Failed.*: Train a net; its log: logs/train/seed-1.log$", done.stderr, re.M)
    assert "Exception" not in done.stderr.replace("RuntimeError", "")
    assert done.stdout == ""


@pytest.mark.heavy
def test_ctrl_c_says_how_to_go_on(command, tmp_path):
    status, said = on_terminal(command(seconds=60), tmp_path, interrupt=True)
    assert status == 130
    assert "Interrupted. The same command goes on where it stopped." in said
    assert "Traceback" not in said


@pytest.mark.heavy
def test_a_wrong_command_and_a_wrong_snakefile_say_what_is_wrong(command, tmp_path):
    run = command()
    assert "unrecognized arguments: --no-such" in piped([*run, "--no-such"], tmp_path).stderr
    (tmp_path / "Snakefile").write_text("raise ValueError('not this')\n")
    done = piped(run, tmp_path)
    assert done.returncode == 1
    assert "not this" in done.stderr

"""A small file system of its own for a test, gone when the test's process ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from support import ROOT

# What "sh" does before it runs what follows: a tmpfs on the folder $1 of the size $2.
MOUNT = 'mount -t tmpfs -o size="$2" none "$1" || exit 77; '


def in_namespace(
    script: str, arguments: Sequence[object], folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a shell script that may mount; skip the test where that cannot be.

    Args:
        script: for "sh"; ends with 77 where a mount fails.
        arguments: its "$1" and so on.
        folder: where it runs.
        environment: what is changed.
    """
    if not shutil.which("unshare"):
        pytest.skip("needs unshare, to mount a small file system")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip("cannot mount a small file system here")
    return done


def python_on_disk(code: str, folder: Path, size: str) -> str:
    """Run Python in ``folder``, where the folder "disk" is a file system of its own; return stdout.

    In the code ``mount(options)`` mounts it anew: "size=64m" to make space, "ro" for read-only.
    """
    (folder / "disk").mkdir()
    start = """
        import subprocess

        def mount(options):
            subprocess.run(["mount", "-o", f"remount,{options}", "disk"], check=True)
    """
    whole = textwrap.dedent(start) + textwrap.dedent(code)
    done = in_namespace(MOUNT + 'exec "$3" -c "$4"', ["disk", size, sys.executable, whole], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

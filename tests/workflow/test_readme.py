"""README's commands: each plans, or is a target that there is; test_pictures walks its own two."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from support import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
# As a line of a block, or in a table or a sentence.
COMMANDS = re.findall(r"^((?:make|snakemake) .*?) *(?:#.*)?$", TEXT, re.M)
COMMANDS += re.findall(r"`((?:make|snakemake) [^`]*)`", TEXT)


def of(program: str) -> list[str]:
    return sorted({each for each in COMMANDS if each.startswith(f"{program} ")})


def test_readme_has_commands_of_both_kinds():
    assert len(of("make")) > 10
    assert len(of("snakemake")) > 5


@pytest.mark.parametrize("command", of("make"))
def test_make_knows_its_target(command):
    target = shlex.split(command.replace("…", "x"))[1]
    assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.heavy
@pytest.mark.parametrize("command", of("snakemake"))
def test_it_plans(project, command):
    """With README's own my.yaml, on what ships; nothing is run."""
    (laid_over,) = re.findall(r"```yaml\n(# my\.yaml\n.*?)```", TEXT, re.S)
    (project.folder / "my.yaml").write_text(laid_over, encoding="utf-8")
    words = [sys.executable, "-m", "snakemake", "-n", "--quiet", "all", *shlex.split(command)[1:]]
    done = subprocess.run(
        words, cwd=project.folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("Unlocked" if "--unlock" in words else "Job stats") in done.stdout + done.stderr

"""envs/*.yaml, requirements.in and requirements.lock say the same."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from repro.system.code_inputs import code_of
from support import ROOT

SCRIPTS = ROOT / "scripts"
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.M)
# Where the name to import is not the name to install.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}


def pins(text: str) -> dict[str, str]:
    return {name.lower(): version for name, version in PIN.findall(text)}


LOCK = pins((ROOT / "requirements.lock").read_text())
ENVIRONMENTS = {
    file.stem: pins("\n".join(yaml.safe_load(file.read_text())["dependencies"][-1]["pip"]))
    for file in sorted((ROOT / "envs").glob("*.yaml"))
}


def rules_by_script() -> dict[str, str]:
    """Return the environment of each script named in the rules."""
    found = {}
    for file in (ROOT / "rules").glob("*.smk"):
        for body in re.split(r"\n *rule\b", file.read_text()):
            environment = re.search(r"\.\./envs/(.+?)\.yaml", body)
            script = re.search(r"scripts/(.+?)\.py", body)
            if environment and script:
                if "{" in script[1]:  # one rule a framework: train_numpy in numpy, ...
                    found |= {f"train_{name}": name for name in ("numpy", "torch")}
                else:
                    found[script[1]] = environment[1]
    return found


def third_party(script: str) -> set[str]:
    imported = set()
    for file in code_of(SCRIPTS / f"{script}.py", (SCRIPTS,)):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).partition(".")[0])
    own = {"repro", "snakemake", *sys.stdlib_module_names}
    return {DISTRIBUTIONS.get(name, name) for name in imported - own}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_pins_the_versions_of_the_lock(name):
    assert ENVIRONMENTS[name]
    assert ENVIRONMENTS[name].items() <= LOCK.items()


def test_lock_holds_everything_asked_for():
    asked = re.findall(r"^([A-Za-z][\w-]*)", (ROOT / "requirements.in").read_text(), re.M)
    assert {name.lower() for name in asked} <= set(LOCK)


@pytest.mark.parametrize("script", sorted(file.stem for file in SCRIPTS.glob("[a-z]*.py")))
def test_every_script_finds_its_imports_in_its_environment(script):
    environment = rules_by_script().get(script)
    if environment is None:
        assert script in (ROOT / "Makefile").read_text(), f"no rule and no command uses {script}"
        return
    missing = third_party(script) - set(ENVIRONMENTS[environment])
    assert not missing, f"envs/{environment}.yaml lacks {sorted(missing)}"


def test_no_environment_is_unused():
    used = set(
        re.findall(
            r"envs/(\w+)\.yaml", "".join(f.read_text() for f in Path(ROOT / "rules").glob("*.smk"))
        )
    )
    assert set(ENVIRONMENTS) <= used | {"numpy", "torch"}

"""Change a module's code bit by bit, and show the changes that no fast test of it notices.

    make mutants MODULES="evaluation/metrics comparison/claims" SECONDS=600

A change is called a mutant; it is killed by a test that fails. mutmut makes the mutants, and runs
for each the tests that reach the function it is in. It works in a copy, the folder ``.mutants``,
where the diffs of the survivors are left: ``.mutants/MODULE/survivors.diff``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from support import ROOT

WORK = ROOT / ".mutants"
MUTMUT = Path(sys.executable).with_name("mutmut")

# The modules of the report's protocol, each with the files of its fast tests.
TESTS = {
    "mnist/split": ("mnist/test_images", "test_scripts"),
    "mnist/net": ("mnist/test_net", "mnist/test_numpy_trainer"),
    "mnist/products": ("mnist/test_products", "mnist/test_numpy_trainer"),
    "mnist/recipe": ("mnist/test_recipe", "mnist/test_numpy_trainer"),
    "mnist/training": ("mnist/test_training", "test_scripts"),
    "mnist/numpy_trainer": ("mnist/test_numpy_trainer", "mnist/test_training"),
    "mnist/torch_trainer": (
        "mnist/test_torch_trainer",
        "mnist/test_training",
        "prediction/test_digits",
    ),
    "flowers/archive": ("flowers/test_archive",),
    "flowers/split": ("flowers/test_split",),
    "features/extraction": ("features/test_extraction", "test_scripts"),
    "heads/training": ("heads/test_training", "prediction/test_heads", "test_scripts"),
    "heads/notebook": ("heads/test_notebook",),
    "evaluation/metrics": ("evaluation/test_metrics", "evaluation/test_tables"),
    "evaluation/tables": ("evaluation/test_tables",),
    "comparison/compare": ("comparison/test_compare",),
    "comparison/claims": ("comparison/test_claims",),
    "comparison/statistics": ("comparison/test_statistics",),
    "comparison/overview": ("comparison/test_overview",),
}

# A word in a message, in a log or in an error is no part of the protocol.
WORDS = (r'^\s*f?"[^"]*"$', r'^\s*f"', r"^\s*raise ", r"^\s*log(ger)?\.")
# Hypothesis's profile "ci" draws the same examples each time, and lets them take their time.
# Left out are tests that take seconds, or start processes that look for the library elsewhere.
LEFT_OUT = "not killed and not compile and not any_shape and not real_photographs"

SETTINGS = """[mutmut]
source_paths=repro
only_mutate=repro/{module}.py
also_copy=
    bench
    scripts
    resources
    rules
    config
    Snakefile
    config.yaml
do_not_mutate_patterns=
    {words}
pytest_add_cli_args_test_selection=
    {tests}
pytest_add_cli_args=
    --hypothesis-profile=ci
    -k
    {left_out}
use_git_change_detection=false
process_isolation=forkserver
debug=true
"""

# Its command for one, for all: loading it takes longer than a diff.
SHOW_ALL = """
import sys
from mutmut.__main__ import show
for name in sys.argv[1:]:
    show.callback(name)
"""

OUTCOMES = ("killed", "timeout", "survived", "no tests", "not checked")


def lay_out(module: str) -> Path:
    """Copy what mutmut needs into a folder of its own, the library at its top."""
    folder = WORK / module
    shutil.rmtree(folder, ignore_errors=True)
    leave = shutil.ignore_patterns("__pycache__", "repro", "workflow", "slurm")
    for name in ("bench", "scripts", "tests", "resources", "rules", "config"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    shutil.copytree(ROOT / "scripts/repro", folder / "repro")
    for name in ("Snakefile", "config.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    settings = SETTINGS.format(
        module=module,
        words="\n    ".join(WORDS),
        tests="\n    ".join(f"tests/{name}.py" for name in TESTS[module]),
        left_out=LEFT_OUT,
    )
    (folder / "setup.cfg").write_text(settings, encoding="utf-8")
    # Python looks for nothing in a folder that was not there when it began.
    (folder / "mutants").mkdir()
    return folder


def run(module: str, seconds: float, children: int) -> Counter[str]:
    """Try a module's mutants for a time; return how many came to what."""
    folder = lay_out(module)
    # Children with several threads each would wait for one another; and a test's own processes
    # find the library where the test does.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder / "mutants")}
    command = [MUTMUT, "run", "--max-children", str(children)]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            failed = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            process.wait()
            failed = 0
    if failed:
        sys.exit(f"{folder / 'log.txt'}: mutmut ended with {failed}; its last lines say why")
    outcomes = {
        name.strip(): outcome.strip()
        for line in _output(folder, [MUTMUT, "results", "--all", "true"]).splitlines()
        for name, _, outcome in [line.rpartition(":")]
    }
    survivors = [name for name, outcome in outcomes.items() if outcome in ("survived", "no tests")]
    diffs = _output(folder, [sys.executable, "-c", SHOW_ALL, *survivors])
    (folder / "survivors.diff").write_text(diffs, encoding="utf-8")
    return Counter(outcomes.values())


def _output(folder: Path, command: list[str | Path]) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Print a table with a row for each module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(TESTS)}; all without one")
    parser.add_argument("--seconds", type=float, default=600, help="at most, for each module")
    parser.add_argument("--children", type=int, default=os.cpu_count(), help="mutants at a time")
    options = parser.parse_args()
    if strange := set(options.modules) - set(TESTS):
        parser.error(f"no tests are known of {sorted(strange)[0]}; expected {', '.join(TESTS)}")
    # In the background it would be ignored, by mutmut too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"| module | mutants | {' | '.join(OUTCOMES)} |")
    print(f"| --- |{' ---: |' * (1 + len(OUTCOMES))}")
    for module in options.modules or TESTS:
        counts = run(module, options.seconds, options.children)
        row = (module, counts.total(), *(counts[outcome] for outcome in OUTCOMES))
        print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main()

"""A whole small run where the environment is set for other programs."""

from __future__ import annotations

import pytest

# Each ended a job in the middle of a library, or a figure in a file nobody asked for.
STRANGE = {
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "LC_ALL": "POSIX",
    "SOURCE_DATE_EPOCH": "today",
    "OMP_NUM_THREADS": "many",
    "CUDA_VISIBLE_DEVICES": "all of them",
    "COLUMNS": "wide",
    "TZ": "Nowhere/Land:1",
    "TMPDIR": "/nowhere",
    "MPLCONFIGDIR": "/proc/nowhere",
    "GIT_DIR": "/nowhere",
}


@pytest.mark.heavy(minutes=0.5)
@pytest.mark.fault(
    "strange machines",
    "an environment set for other programs: warnings as errors, ASCII files, a date that is no "
    "number, threads and cards that are none",
    "the run ends with the results it has elsewhere",
)
def test_an_environment_that_is_set_for_others(project, happened):
    changes = {"models": ["numpy_1hidden"]}
    files = ["metrics.csv", "comparison.csv", "runs/numpy_1hidden/seed-123/predictions.npz"]
    project.snakemake(
        "--", "results/report.html", "results/ro-crate-metadata.json", changes=changes, env=STRANGE
    )
    strange = [(project.folder / "results" / name).read_bytes() for name in files]
    again = ["-R", "train_numpy_1hidden", "--", *(f"results/{name}" for name in files)]
    project.snakemake(*again, changes=changes)
    assert [(project.folder / "results" / name).read_bytes() for name in files] == strange
    happened("the page is written; tables and predictions are those of a plain environment")

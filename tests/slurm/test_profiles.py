"""Profiles without a cluster: they plan, and ask for what jobs were measured to take."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from shutil import which

import pytest
import yaml
from slurm_support import TARGET, make_slurm_project, results_of
from snakemake.api import SnakemakeApi
from snakemake.io import is_flagged
from snakemake.settings.types import (
    ConfigSettings,
    OutputSettings,
    ResourceSettings,
    StorageSettings,
)

from support import ROOT

sys.path.insert(0, str(ROOT / "profiles"))
from measured import asked, used


@pytest.fixture(scope="module")
def plan():
    """What every rule of the full configuration asks for, at the first and the second attempt."""
    return asked([]), asked([], attempt=2)


def test_every_rule_asks_for_memory_and_time_that_grow(plan):
    first, second = plan
    jobs = {name: ask for name, ask in first.items() if not ask.local}
    assert jobs.keys() >= {"extract_images", "train_numpy_1hidden", "features_resnet152"}
    for name, ask in jobs.items():
        assert 1000 <= ask.memory_mb <= 16_000, name
        assert 10 <= ask.minutes <= 720, name
        assert 1 <= ask.threads <= 4, name
        assert second[name].memory_mb == 2 * ask.memory_mb, name
        assert second[name].minutes == 2 * ask.minutes, name


def test_jobs_are_what_trains_or_goes_through_all_images(plan):
    first, _ = plan
    jobs = {name for name, ask in first.items() if not ask.local}
    assert all(
        name.startswith(("train_", "features_", "extract_images", "draw_flowers")) for name in jobs
    )
    assert all(ask.local for ask in first.values() if ask.minutes <= 10)


def test_each_shard_asks_for_a_gpu_and_the_join_runs_where_snakemake_runs(tmp_path):
    more = tmp_path / "shards.yaml"
    more.write_text("models: [resnet152_adapted]\nflowers: {shards: 4}\n")
    plan = asked([more])
    for rule in ("features_resnet152_adapted", "adapt_resnet152_adapted"):
        assert plan[rule].gpus == 1
        assert not plan[rule].local
    assert plan["join_resnet152_adapted"].gpus == 0
    assert plan["join_resnet152_adapted"].local


def test_measured_takes_the_most_of_a_rules_jobs(tmp_path):
    header = "s\th:m:s\tmax_rss\tmax_vms\n"
    (tmp_path / "train").mkdir()
    (tmp_path / "train/a.tsv").write_text(f"{header}1.5\t0:00:01\t100.0\t1\n")
    (tmp_path / "train/b.tsv").write_text(f"{header}0.5\t0:00:00\t300.0\t1\n")
    (tmp_path / "draw.tsv").write_text(f"{header}0.1\t0:00:00\tNA\tNA\n")
    assert used(tmp_path) == {"train": (2, 300.0, 1.5), "draw": (1, 0.0, 0.1)}


@pytest.mark.parametrize("profile", ["slurm", "workstation", "kubernetes"])
def test_a_profile_plans(profile, tmp_path):
    settings = yaml.safe_load((ROOT / "profiles" / profile / "config.yaml").read_text())
    executor = settings.get("executor", "local").replace("-", "_")
    needed = [] if executor == "local" else [f"snakemake_executor_plugin_{executor}"]
    if profile == "kubernetes":
        # A folder takes the place of the bucket.
        needed.append("snakemake_storage_plugin_fs")
        (tmp_path / "bucket").mkdir()
    for plugin in needed:
        if importlib.util.find_spec(plugin) is None:
            pytest.skip(f"{plugin.replace('_', '-')} is not installed")
    project = make_slurm_project(tmp_path / "project", ["numpy_1hidden", "tiny"])
    more = []
    if profile == "kubernetes":
        more += ["--default-storage-provider", "fs"]
        more += ["--default-storage-prefix", str(tmp_path / "bucket")]
    said = project.run("-n", *more, profile=profile)
    assert "This was a dry-run" in said
    assert "train_tiny" in said
    assert "train_numpy_1hidden" in said


def needs_a_folder_for_a_bucket():
    if importlib.util.find_spec("snakemake_storage_plugin_fs") is None or not which("rsync"):
        pytest.skip("snakemake-storage-plugin-fs or rsync is not installed")


def test_files_of_the_checkout_stay_out_of_a_bucket(tmp_path):
    """And do not bind their jobs to where Snakemake runs, as the flag `local` would."""
    needs_a_folder_for_a_bucket()
    with SnakemakeApi(OutputSettings(dryrun=True)) as api:
        plan = api.workflow(
            ResourceSettings(),
            ConfigSettings(configfiles=[ROOT / "config/demo.yaml"]),
            StorageSettings(
                default_storage_provider="fs",
                default_storage_prefix=str(tmp_path),
                shared_fs_usage=frozenset(),
            ),
            snakefile=ROOT / "Snakefile",
        )
        plan.dag()
        rules = [rule for rule in plan._workflow.rules if rule.has_products()]
        shipped = [
            (rule.name, file)
            for rule in rules
            for file in rule.input
            if isinstance(file, str) and not is_flagged(file, "storage_object")
        ]
        with_code = {rule for rule, file in shipped if file.endswith(".py")}
        assert {rule.name for rule in rules if rule.script} - with_code == {"fetch"}
        for rule, file in shipped:
            assert Path(file).parts[0] in (
                *("scripts", "resources", "rules", "envs", "docs", "Snakefile"),
            )
            assert not is_flagged(file, "local"), rule


@pytest.mark.heavy
def test_results_that_go_through_a_bucket_are_the_same(tmp_path):
    """A folder takes the bucket's place; nothing but it is shared, as on Kubernetes."""
    needs_a_folder_for_a_bucket()
    models, bucket = ["numpy_1hidden", "tiny"], tmp_path / "bucket"
    bucket.mkdir()
    local, remote = (make_slurm_project(tmp_path / name, models) for name in ("local", "remote"))
    local.run("--cores", "2", "--", TARGET, profile="default")
    through = ["--cores", "2", "--shared-fs-usage", "none", "--default-storage-provider", "fs"]
    through += ["--default-storage-prefix", str(bucket), "--", TARGET]
    remote.run(*through, profile="default")
    assert results_of(bucket) == results_of(local.folder)
    assert not results_of(remote.folder)
    assert not list(bucket.rglob("*.py"))
    assert "Nothing to be done" in remote.run(*through, profile="default")
    # A later run brings the photographs it shows.
    remote.run(*through[:-1], "results/figures/tiny/gallery.png", profile="default")

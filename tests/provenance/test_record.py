"""What is written down of a run: right, whole, and nothing private."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from pathlib import Path

import pytest
import yaml

from repro.errors import UserError
from repro.plan import Plan
from repro.provenance import record
from support import of_another_user


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def make_project(folder: Path) -> Path:
    (folder / "scripts/repro").mkdir(parents=True)
    (folder / "Snakefile").write_text("rule all:\n")
    (folder / "scripts/train.py").write_text("import repro\n")
    (folder / "README.md").write_text("Read me\n")
    (folder / ".gitignore").write_text("/data/\n")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


@pytest.fixture
def checkout(project: Path) -> Path:
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "-m", "all")
    return project


@pytest.fixture
def config(root: Path) -> dict:
    return yaml.safe_load((root / "config.yaml").read_text())


class TestCode:
    def test_a_clean_checkout(self, checkout):
        found = record.code(checkout)
        assert found["commit"] == git(checkout, "rev-parse", "HEAD").strip()
        assert found["dirty"] is False
        assert found["changed"] == []

    @pytest.mark.parametrize("name", ["scripts/train.py", "scripts/new one.py"])
    def test_a_changed_and_a_new_file_make_it_dirty(self, checkout, name):
        (checkout / name).write_text("changed\n")
        found = record.code(checkout)
        assert found["dirty"] is True
        assert found["changed"] == [name]

    def test_a_renamed_file_is_named_once(self, checkout):
        git(checkout, "mv", "README.md", "ABOUT.md")
        assert record.code(checkout)["changed"] == ["ABOUT.md"]

    def test_ignored_files_do_not_count(self, checkout):
        (checkout / "data").mkdir()
        (checkout / "data/huge").write_text("x")
        assert record.code(checkout)["dirty"] is False

    def test_of_what_is_not_tracked_only_code_counts(self, checkout):
        """A configuration of one's own lies beside the code; it changes none of it."""
        (checkout / "my.yaml").write_text("models: []\n")
        (checkout / "docs").mkdir()
        (checkout / "docs/notes.md").write_text("x")
        assert record.code(checkout)["dirty"] is False
        (checkout / "rules").mkdir()
        (checkout / "rules/mine.smk").write_text("x")
        assert record.code(checkout)["changed"] == ["rules/mine.smk"]

    def test_a_staged_and_a_missing_file_count(self, checkout):
        (checkout / "README.md").write_text("Other words\n")
        git(checkout, "add", "README.md")
        (checkout / "scripts/train.py").unlink()
        assert record.code(checkout)["changed"] == ["README.md", "scripts/train.py"]

    def test_a_checkout_within_a_larger_one_is_judged_by_its_own_files(self, tmp_path):
        project = make_project(tmp_path / "part")
        (tmp_path / "beside").write_text("x")
        git(tmp_path, "init", "--quiet")
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--quiet", "-m", "all")
        (tmp_path / "beside").write_text("y")
        assert record.code(project)["dirty"] is False
        (project / "Snakefile").write_text("rule other:\n")
        assert record.code(project)["changed"] == ["Snakefile"]

    def test_the_files_and_their_hash(self, checkout):
        found = record.code(checkout)
        assert list(found["files"]) == ["Snakefile", "scripts/train.py"]
        assert found["sha256"] == record.hash_of_value(found["files"])

    def test_a_repository_named_by_the_environment_is_not_asked(
        self, checkout, tmp_path, monkeypatch
    ):
        """As inside a hook of git's, or where dotfiles are kept in a bare repository."""
        expected = record.code(checkout)
        other = make_project(tmp_path / "other")
        git(other, "init", "--quiet")
        git(other, "add", "--all")
        git(other, "commit", "--quiet", "-m", "another")
        monkeypatch.setenv("GIT_DIR", str(other / ".git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(other))
        monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
        assert record.code(checkout) == expected

    def test_no_checkout_says_so(self, project):
        found = record.code(project)
        assert found["commit"] is found["dirty"] is None
        assert found["note"].startswith("not a git repository")
        assert len(found["sha256"]) == 64

    def test_gits_reason_is_passed_on_without_paths(self, checkout, tmp_path, monkeypatch):
        of_another_user(tmp_path, monkeypatch)
        note = "detected dubious ownership in repository at \u2026"
        assert record.code(checkout)["note"] == note

    def test_a_copy_inside_another_repository_is_no_checkout(self, tmp_path):
        git(tmp_path, "init", "--quiet")
        (tmp_path / "other").write_text("x")
        git(tmp_path, "add", "other")
        git(tmp_path, "commit", "--quiet", "-m", "other")
        found = record.code(make_project(tmp_path / "copy"))
        assert found["commit"] is None
        assert found["note"] == "not a git checkout: git does not track the Snakefile"

    def test_nothing_committed_says_so(self, project):
        git(project, "init", "--quiet")
        git(project, "add", "--all")
        note = record.code(project)["note"]
        assert note == "your current branch \u2026 does not have any commits yet"

    def test_no_git_says_so(self, checkout, monkeypatch):
        monkeypatch.setenv("PATH", "")
        assert record.code(checkout)["note"] == "git is not installed"


class TestHashOfCode:
    def test_follows_content_and_name(self, project):
        before = record.code(project)["sha256"]
        (project / "scripts/train.py").write_text("import repro  # edited\n")
        edited = record.code(project)["sha256"]
        (project / "scripts/train.py").rename(project / "scripts/learn.py")
        assert len({before, edited, record.code(project)["sha256"]}) == 3

    @pytest.mark.parametrize(
        "name",
        [
            *("Snakefile", "rules/mnist.smk", "scripts/train.py", "scripts/repro/mnist/net.py"),
            *("scripts/repro/flowers/synthetic.py", "envs/numpy.yaml", "resources/reported.yaml"),
            *("resources/reported/resnet152_history.csv", "resources/page/page.css"),
        ],
    )
    def test_sees_everything_that_makes_results(self, project, name):
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        hashes = []
        for text in ("one\n", "two\n"):
            file.write_text(text)
            hashes.append(record.code(project)["sha256"])
        file.unlink()
        assert len({*hashes, record.code(project)["sha256"]}) == 3

    def test_ignores_time_documents_and_caches(self, project):
        before = record.hashes_of_code(project)
        os.utime(project / "Snakefile", (0, 0))
        (project / "README.md").write_text("Other words\n")
        (project / "scripts/repro/__pycache__").mkdir()
        (project / "scripts/repro/__pycache__/x.py").write_text("x")
        (project / "scripts/.train.py").write_text("an editor's")
        assert record.hashes_of_code(project) == before


class TestConfiguration:
    def test_folders_and_sources_are_left_out(self, config):
        config["results_dir"] = "/home/somebody/results"
        config["downloads"] = {
            "mine/102flowers.tgz": {"sha256": "0" * 64, "sources": [{"path": "/home/somebody/x"}]}
        }
        kept = record.what_is_computed(config)
        assert "somebody" not in json.dumps(kept)
        assert kept["downloads"] == {"mine/102flowers.tgz": {"sha256": "0" * 64}}
        assert kept["mnist"] == config["mnist"]

    def test_hash_is_about_what_is_computed_alone(self, config):
        def hash_of(**changes):
            changed = record.what_is_computed(config | changes)
            return record.hash_of_value(changed)

        reordered = dict(reversed(config.items()))
        assert hash_of() == hash_of(results_dir="elsewhere")
        assert hash_of() == record.hash_of_value(record.what_is_computed(reordered))
        assert hash_of() != hash_of(models=["numpy_1hidden"])

    def test_seeds_of_the_models_that_run(self, config):
        config["models"] = ["torch_2hidden"]
        assert record.seeds(Plan(config)) == {
            "mnist.split.seed": 123,
            "mnist.nets.torch_2hidden.seeds": config["mnist"]["nets"]["torch_2hidden"]["seeds"],
        }
        config["models"] = ["resnet152"]
        config["flowers"]["data"] = "generated"
        assert set(record.seeds(Plan(config))) == {
            "flowers.generated.seed",
            "flowers.split.seed",
            "flowers.nets.resnet152.seeds",
            "flowers.nets.resnet152.split_seeds",
        }
        config["flowers"]["nets"]["resnet152"]["seeds"] = [7]
        assert record.seeds(Plan(config))["flowers.nets.resnet152.seeds"] == [7]
        config["flowers"]["split"]["kind"] = "official"
        assert "flowers.split.seed" not in record.seeds(Plan(config))


class TestSplits:
    def test_number_and_hash_of_ids(self, tmp_path):
        file = tmp_path / "split.csv"
        file.write_text("id,label,split\n3,0,train\n1,0,train\n2,1,test\n")
        found = record.split_hashes(file)
        assert found["train"] == {
            "images": 2,
            "ids_sha256": hashlib.sha256(b"3\n1\n").hexdigest(),
        }
        assert found["validation"]["images"] == 0
        file.write_text("id,label,split\n1,0,train\n3,0,train\n2,1,test\n")
        assert record.split_hashes(file)["train"] != found["train"], "order counts"
        assert record.split_hashes(file)["test"] == found["test"]

    def test_another_file_is_refused_by_name(self, tmp_path):
        (tmp_path / "other.csv").write_text("a,b\n1,2\n")
        with pytest.raises(UserError, match=r"other\.csv: damaged, or not a split"):
            record.split_hashes(tmp_path / "other.csv")


MANIFEST = {
    "architecture": "timm:x",
    "weights_sha256": "ab",
    "weights_loaded": "by name",
    "parameters": 10,
    "width": 4,
    "protocol": {"name": "frozen"},
    "preprocess": {"resize": 256},
    "images": 100,
    "images_sha256": "cd",
    "batch_size": 32,
    "device": "cpu",
    "features_sha256": "ef",
    "damaged": {},
}


class TestFeatures:
    def write(self, folder: Path, **changes) -> Path:
        file = folder / "manifest.json"
        file.write_text(json.dumps(MANIFEST | changes))
        return file

    @pytest.mark.parametrize(
        ("changes", "passes"),
        [
            ({}, 100),
            ({"damaged": {"7": "bad", "9": "bad"}}, 98),
            ({"protocol": {"name": "adapted", "adapted_on": 32}}, 132),
        ],
    )
    def test_forward_passes(self, tmp_path, changes, passes):
        assert record.features(self.write(tmp_path, **changes))["forward_passes"] == passes

    def test_where_damaged_images_lie_is_left_out(self, tmp_path):
        path = "/home/somebody/x.jpg"
        found = record.features(self.write(tmp_path, damaged={"17": path, "9": path}))
        assert found["damaged"] == [9, 17]
        assert "somebody" not in json.dumps(found)

    def test_another_file_is_refused_by_name(self, tmp_path):
        (tmp_path / "manifest.json").write_text('{"images": 3}')
        with pytest.raises(
            UserError, match=r"manifest\.json: damaged, or not a manifest .* is missing"
        ):
            record.features(tmp_path / "manifest.json")


def test_passes_of_the_notebook_s_way():
    # 9 epochs of 8,189 images, and the training images once more.
    images = {"train": 4093, "validation": 2048, "test": 2048}
    assert record.notebook_passes(images, 9) == 73_701 + 4_093


class TestPackages:
    def test_are_those_of_the_environments(self, root):
        packages = record.packages_of(sorted((root / "envs").glob("*.yaml")))
        assert {"numpy", "torch", "snakemake"} <= set(packages)
        assert packages == sorted(set(packages))

    def test_versions(self):
        found = record.versions(["numpy", "no-such-package-at-all"])
        assert found["numpy"]
        assert found["no-such-package-at-all"] is None

    def test_another_file_is_refused_by_name(self, tmp_path):
        (tmp_path / "x.yaml").write_text("dependencies: [python]\n")
        with pytest.raises(UserError, match=r"x\.yaml: not an environment"):
            record.packages_of([tmp_path / "x.yaml"])


def test_hashes_of_files_by_relative_path(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/b.csv").write_bytes(b"b")
    (tmp_path / "a.csv").write_bytes(b"a")
    files = [tmp_path / "runs/b.csv", str(tmp_path / "a.csv")]
    assert record.hashes_of(files, tmp_path) == {
        "a.csv": hashlib.sha256(b"a").hexdigest(),
        "runs/b.csv": hashlib.sha256(b"b").hexdigest(),
    }
    assert list(record.hashes_of(str(tmp_path / "a.csv"), tmp_path)) == ["a.csv"]


def test_machine_tells_neither_names_nor_paths(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = record.machine()
    assert found["processor"]
    assert found["cores"] >= 1
    assert found["blas"]
    assert found["blas"][0]["threads"] >= 1
    assert found["thread_variables"]["OMP_NUM_THREADS"] == "3"
    text = json.dumps(found)
    assert "/lib" not in text
    assert platform.node() not in text


def test_graphics_cards_are_asked_for_by_model(tmp_path, monkeypatch):
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho NVIDIA H100\necho NVIDIA H100\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert record.graphics_cards() == ["NVIDIA H100", "NVIDIA H100"]
    fake.write_text("#!/bin/sh\necho no driver\nexit 9\n")
    assert record.graphics_cards() == []

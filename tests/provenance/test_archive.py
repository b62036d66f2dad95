"""An archive can be checked elsewhere, and whatever was changed in it is found and named."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from repro.comparison import claims, compare, reference, reported
from repro.errors import UserError
from repro.evaluation.tables import Run, metrics_table
from repro.history import read_history
from repro.predictions import Predictions
from repro.provenance import archive
from repro.provenance import record as provenance
from repro.system.files import hash_of, write_json
from support import ROOT, of_another_user

RUNS = (Run("net", "seed-7", 7), Run("net", "seed-8", 8), Run("flower", "split-2", 2))
CONFIG = {
    "report": "resources/reported.yaml",
    "rehearsal": False,
    "models": ["net", "flower"],
    "mnist": {"nets": {"net": {"title": "Net", "loss": "mse", "seeds": [7, 8]}}},
    "flowers": {
        "data": "oxford102",
        "nets": {"flower": {"title": "Flower", "seeds": [1], "split_seeds": [2]}},
    },
}
HISTORY = "epoch,split,loss,accuracy\n1,train,0.5,0.75\n1,validation,0.5,0.5\n1,test,0.5,0.5\n"
MODELS = {
    name: {
        "name": name,
        "title": name.title(),
        "part": part,
        "framework": "torch",
        "reported": counterpart,
        "recipe": "stated",
        "runs": runs,
        "comparable": True,
        "why_not": "",
    }
    for name, part, counterpart, runs in (
        ("net", "mnist", "numpy_1hidden", {"seed-7": "main", "seed-8": "main"}),
        ("flower", "flowers", "resnet152", {"split-2": "seed-2"}),
    )
}
NAMES = {name: list(model["runs"]) for name, model in MODELS.items()}
REFERENCE = "tests/workflow/tiny_report/reference"


def predictions(run: Run) -> Predictions:
    draw = np.random.default_rng(run.seed)
    scores = draw.random((60, 6))
    labels = np.arange(60) % 6
    kind = "sigmoid" if run.model == "net" else "log_softmax"
    scores = scores if kind == "sigmoid" else np.log(scores / scores.sum(1, keepdims=True))
    splits = np.repeat(["train", "validation", "test"], [30, 12, 18])
    return Predictions(np.arange(60), labels, splits, scores, kind, np.arange(6))


def write_crate(results: Path) -> None:
    """Write as much of a crate as an archive reads."""
    parts = [file for file in sorted(results.rglob("*")) if file.is_file()]
    graph = [
        {"@id": "./", "@type": "Dataset"},
        {"@id": "https://example.org/x.tgz", "@type": "File"},
        *(
            {
                "@id": part.relative_to(results).as_posix().replace(" ", "%20"),
                "@type": "File",
                "sha256": hash_of(part),
            }
            for part in parts
            if part.name != archive.METADATA
        ),
    ]
    write_json(results / archive.METADATA, {"@context": "", "@graph": graph})


def write_checkout(folder: Path) -> None:
    """Write a git checkout with as much code as an archive reads."""
    (folder / "scripts").mkdir(parents=True)
    (folder / "resources").mkdir()
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "Snakefile").write_text("rule all:\n")
    (folder / "scripts/train.py").write_text("train()\n")
    shutil.copy(ROOT / "resources/reported.yaml", folder / "resources")
    shutil.copytree(ROOT / REFERENCE, folder / "resources/reference")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    (folder / "private.yaml").write_text("x\n")


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True)


def write_results(results: Path, checkout: Path) -> None:
    tables = []
    for run in RUNS:
        folder = results / "runs" / run.model / run.name
        folder.mkdir(parents=True)
        (folder / "history.csv").write_text(HISTORY)
        predictions(run).save(folder / "predictions.npz")
        flower = run.model == "flower"
        history = folder / "history.csv" if flower else None
        loss = "nll" if flower else "mse"
        tables.append(metrics_table(predictions(run), run, loss, history))
    metrics = pd.concat(tables)
    metrics.to_csv(results / "metrics.csv", index=False)
    models = [compare.Model.of(entry) for entry in MODELS.values()]
    report = reported.load(checkout / "resources/reported.yaml")
    references = reference.load((checkout / "resources/reference").iterdir())
    compared = compare.compare(metrics, models, report, references)
    compared.to_csv(results / "comparison.csv", index=False)
    everything = [
        claims.Evidence(
            model,
            metrics[metrics["model"] == model.name],
            {
                run: read_history(results / f"runs/{model.name}/{run}/history.csv")
                for run in NAMES[model.name]
            },
            reference=references.get(model.reported),
        )
        for model in models
    ]
    claims.judge(report, everything).to_csv(results / "claims.csv", index=False)
    (results / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    identity = {"code": provenance.code(checkout), "models": MODELS, "runs": NAMES}
    write_json(results / "provenance.json", {"identity": identity})
    (results / "a page.html").write_text("<p>\n")
    write_crate(results)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_checkout(folder / "checkout")
    write_results(folder / "results", folder / "checkout")
    return folder


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A folder of results that a test may change."""
    return shutil.copytree(made / "results", tmp_path / "results")


@pytest.fixture
def checkout(made: Path, tmp_path: Path) -> Path:
    """The checkout whose code has made them."""
    return shutil.copytree(made / "checkout", tmp_path / "checkout")


@pytest.fixture
def packed(results: Path, checkout: Path, tmp_path: Path) -> Path:
    target = tmp_path / "archive.zip"
    archive.write(target, archive.results_files(results) | archive.code_files(checkout))
    return target


Change = Callable[[dict[str, bytes]], object]


def repack(path: Path, change: Change, *, with_manifest: bool = False) -> None:
    """Change the members of an archive, and its manifest with them where that is wanted."""
    with zipfile.ZipFile(path) as old:
        members = {info.filename: old.read(info) for info in old.infolist()}
    change(members)
    if with_manifest:
        crate = json.loads(members[f"results/{archive.METADATA}"])
        for entity in crate["@graph"]:
            name = "results/" + entity["@id"].replace("%20", " ")
            if "sha256" in entity and name in members:
                entity["sha256"] = hashlib.sha256(members[name]).hexdigest()
        members[f"results/{archive.METADATA}"] = json.dumps(crate).encode()
        hashes = {
            name: hashlib.sha256(content).hexdigest()
            for name, content in members.items()
            if name != archive.MANIFEST
        }
        lines = "".join(f"{sha256}  {name}\n" for name, sha256 in hashes.items())
        members[archive.MANIFEST] = lines.encode()
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)


class TestWriting:
    def test_holds_results_code_readme_and_manifest(self, packed):
        with zipfile.ZipFile(packed) as zipped:
            names = zipped.namelist()
            manifest = zipped.read(archive.MANIFEST).decode()
            mode = zipped.getinfo("code/run").external_attr >> 16
        assert {"code/Snakefile", "results/metrics.csv", "results/a page.html"} <= set(names)
        assert "code/private.yaml" not in names, "only what git tracks"
        assert {line.split("  ", 1)[1] for line in manifest.splitlines()} == set(names) - {
            archive.MANIFEST
        }
        assert mode & 0o111, "what could be executed still can"

    def test_same_files_same_bytes(self, packed, results, checkout, tmp_path):
        for file in [*results.rglob("*"), *checkout.iterdir()]:
            if file.is_file():
                file.touch()
        again = tmp_path / "again.zip"
        archive.write(again, archive.results_files(results) | archive.code_files(checkout))
        assert again.read_bytes() == packed.read_bytes()
        with zipfile.ZipFile(again) as found:
            assert {info.date_time[0] for info in found.infolist()} == {1980}

    def test_what_the_crate_does_not_list_stays_out(self, results):
        (results / "archive.zip").write_text("an older one")
        assert "results/archive.zip" not in archive.results_files(results)

    def test_a_result_changed_after_the_crate_is_refused_by_name(self, results):
        (results / "metrics.csv").write_text("model\n")
        with pytest.raises(UserError, match=r"metrics\.csv: was changed after"):
            archive.results_files(results)

    def test_a_missing_result_is_refused_by_name(self, results):
        (results / "metrics.csv").unlink()
        with pytest.raises(UserError, match=r"metrics\.csv: missing, but .* lists it"):
            archive.results_files(results)

    def test_no_crate_says_what_to_do(self, tmp_path):
        with pytest.raises(UserError, match="run the workflow, or name"):
            archive.results_files(tmp_path)

    def test_no_checkout_says_so(self, tmp_path):
        with pytest.raises(
            UserError, match=r"(?s)not a git repository.*Archive from a git checkout"
        ):
            archive.code_files(tmp_path)

    def test_gits_own_reason_is_passed_on(self, checkout, monkeypatch):
        of_another_user(checkout.parent, monkeypatch)
        with pytest.raises(UserError, match=r"(?s)dubious ownership.*--add safe\.directory"):
            archive.code_files(checkout)

    def test_a_repository_named_by_the_environment_is_not_packed(
        self, checkout, made, tmp_path, monkeypatch
    ):
        expected = archive.code_files(checkout)
        other = tmp_path / "other"
        other.mkdir()
        (other / "run").write_text("another\n")
        git(other, "init", "--quiet")
        git(other, "add", "--all")
        monkeypatch.setenv("GIT_DIR", str(other / ".git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(other))
        assert archive.code_files(checkout) == expected
        assert len(expected) == 8

    def test_code_that_is_not_tracked_is_packed_too(self, checkout):
        (checkout / "scripts/new.py").write_text("new()\n")
        assert "code/scripts/new.py" in archive.code_files(checkout)

    def test_which_code_was_changed_since_the_run(self, results, checkout):
        assert archive.changed_code(results, checkout) == []
        (checkout / "private.yaml").write_text("y\n")
        (checkout / "run").write_text("#!/bin/bash\n")
        assert archive.changed_code(results, checkout) == []
        (checkout / "scripts/train.py").write_text("train_better()\n")
        (checkout / "scripts/new.py").touch()
        (checkout / "resources/reported.yaml").unlink()
        changed = ["resources/reported.yaml", "scripts/new.py", "scripts/train.py"]
        assert archive.changed_code(results, checkout) == changed

    def test_a_run_that_does_not_tell_its_code_is_refused_by_name(self, results, checkout):
        write_json(results / "provenance.json", {"identity": {"code": {"sha256": "ab"}}})
        with pytest.raises(UserError, match=r"provenance\.json: .* which code has run.*files"):
            archive.changed_code(results, checkout)


class TestVerifying:
    def test_an_untouched_archive(self, packed, checkout):
        seen = []
        found = archive.verify(packed, checkout, on_run=seen.append)
        assert found.problems == found.notes == []
        with zipfile.ZipFile(packed) as zipped:
            assert found.files == len(zipped.namelist()) - 1
        assert found.runs == seen == [f"{run.model} {run.name}" for run in RUNS]
        report = reported.load(checkout / "resources/reported.yaml")
        assert found.rows["metrics.csv"] > 50
        assert found.rows["comparison.csv"] == len(report.figures)
        assert found.rows["claims.csv"] == len(report.claims)

    def test_it_says_that_other_code_has_checked(self, packed):
        found = archive.verify(packed, ROOT)
        assert found.problems == []
        (note,) = found.notes
        assert note.startswith("checked by other code than is packed")

    def test_it_can_lie_anywhere_without_the_results(self, packed, results, checkout):
        shutil.rmtree(results)
        shutil.rmtree(checkout)
        assert archive.verify(packed, ROOT).problems == []

    @pytest.mark.parametrize(
        "name", ["results/metrics.csv", "code/Snakefile", "results/runs/net/seed-7/predictions.npz"]
    )
    def test_a_changed_byte_is_found(self, packed, name):
        def change(members):
            members[name] = members[name][:-1] + bytes([members[name][-1] ^ 1])

        repack(packed, change)
        found = archive.verify(packed, ROOT).problems
        assert any(problem.startswith(f"{name}: has sha256") for problem in found)

    @pytest.mark.parametrize("name", ["results/config.yaml", "results/runs/net/seed-8/history.csv"])
    def test_a_missing_file_is_found(self, packed, name):
        repack(packed, lambda members: members.pop(name))
        found = archive.verify(packed, ROOT).problems
        assert f"{name}: is in {archive.MANIFEST} but not in the archive" in found

    def test_a_file_too_many_is_found(self, packed):
        repack(packed, lambda members: members.update({"results/new.csv": b"x"}))
        problem = f"results/new.csv: is not in {archive.MANIFEST}"
        assert archive.verify(packed, ROOT).problems == [problem]

    def test_better_figures_are_found_even_with_all_hashes_mended(self, packed):
        def improve(members):
            table = pd.read_csv(io.BytesIO(members["results/metrics.csv"]))
            best = (table["metric"] == "accuracy") & (table["split"] == "test")
            table.loc[best & (table["run"] == "seed-8"), "value"] += 1 / 18
            members["results/metrics.csv"] = table.to_csv(index=False).encode()

        repack(packed, improve, with_manifest=True)
        (problem,) = archive.verify(packed, ROOT).problems
        assert problem.startswith("results/metrics.csv, line ")
        assert "value is 0.2777777777777778; computed anew 0.2222222222222222" in problem

    @pytest.mark.parametrize(
        ("name", "column", "value"),
        [
            ("comparison.csv", "verdict", "to the digit"),
            ("comparison.csv", "reported", 0.5),
            ("claims.csv", "verdict", "holds"),
            ("claims.csv", "evidence", "very good"),
        ],
    )
    def test_another_verdict_is_found_even_with_all_hashes_mended(
        self, packed, name, column, value
    ):
        def improve(members):
            table = pd.read_csv(io.BytesIO(members[f"results/{name}"]))
            table.loc[2, column] = value
            members[f"results/{name}"] = table.to_csv(index=False).encode()

        repack(packed, improve, with_manifest=True)
        (problem,) = archive.verify(packed, ROOT).problems
        assert problem.startswith(f"results/{name}, line 4: {column} is {value}; computed anew ")

    def test_other_code_is_found_even_with_all_hashes_mended(self, packed):
        edited = {"code/scripts/train.py": b"train_better()\n"}
        repack(packed, lambda members: members.update(edited), with_manifest=True)
        assert archive.verify(packed, ROOT).problems == [
            "code: not what has run, by results/provenance.json: scripts/train.py"
        ]

    def test_another_hash_of_the_code_is_found_even_with_all_hashes_mended(self, packed):
        def change(members):
            record = json.loads(members["results/provenance.json"])
            record["identity"]["code"]["sha256"] = "0" * 64
            members["results/provenance.json"] = json.dumps(record).encode()

        repack(packed, change, with_manifest=True)
        (problem,) = archive.verify(packed, ROOT).problems
        assert "code.sha256 is not that of code.files" in problem

    def test_code_packed_as_it_is_is_noted(self, results, checkout, tmp_path):
        (checkout / "scripts/train.py").write_text("train_better()\n")
        target = tmp_path / "archive.zip"
        files = archive.results_files(results) | archive.code_files(checkout)
        archive.write(target, files, archive.changed_code(results, checkout))
        with zipfile.ZipFile(target) as zipped:
            readme = zipped.read(archive.README).decode()
        assert readme.startswith("Results, and code that was changed after it had made them.\n")
        assert "\n    code/scripts/train.py\n" in readme
        found = archive.verify(target, checkout)
        assert found.problems == []
        assert found.notes == [
            "code: not what has run, by results/provenance.json: scripts/train.py; "
            "README.txt says so"
        ]

    @pytest.mark.parametrize(
        ("metric", "split", "column", "change"),
        [
            # One image more of 70,000: the least that another run could differ by.
            ("accuracy", "test", "value", 1 / 70_000),
            ("accuracy", "test", "value", -1 / 70_000),
            ("loss", "validation", "value", 1 / 70_000),
            ("auc_ovr_softmax", "validation", "value", np.nan),
            ("accuracy", "train", "n", 1),
        ],
    )
    def test_the_least_change_of_a_figure_is_found(self, packed, metric, split, column, change):
        def edit(members):
            table = pd.read_csv(io.BytesIO(members["results/metrics.csv"]))
            row = (table["metric"] == metric) & (table["split"] == split)
            table.loc[row & (table["run"] == "split-2"), column] += change
            members["results/metrics.csv"] = table.to_csv(index=False).encode()

        repack(packed, edit, with_manifest=True)
        (problem,) = archive.verify(packed, ROOT).problems
        assert re.match(rf"results/metrics.csv, line \d+: {column} is .*; computed anew ", problem)

    def test_the_rounding_of_another_machine_is_no_change(self, packed):
        def edit(members):
            table = pd.read_csv(io.BytesIO(members["results/metrics.csv"]))
            table["value"] *= 1 + 1e-9
            members["results/metrics.csv"] = table.to_csv(index=False).encode()

        repack(packed, edit, with_manifest=True)
        assert archive.verify(packed, ROOT).problems == []

    def test_other_predictions_are_found_even_with_all_hashes_mended(self, packed, results):
        def swap(members):
            other = members["results/runs/net/seed-7/predictions.npz"]
            members["results/runs/net/seed-8/predictions.npz"] = other

        repack(packed, swap, with_manifest=True)
        table = pd.read_csv(results / "metrics.csv")
        own = {
            f"results/metrics.csv, line {row + 2}" for row in table.index[table["run"] == "seed-8"]
        }
        found = archive.verify(packed, ROOT).problems
        assert found
        assert {problem.partition(":")[0] for problem in found} <= own

    @pytest.mark.parametrize("run", ["net/seed-8", "flower/split-2"])
    def test_a_run_left_out_of_the_table_is_found(self, packed, run):
        def leave_out(members):
            table = pd.read_csv(io.BytesIO(members["results/metrics.csv"]))
            kept = table[table["run"] != run.partition("/")[2]]
            members["results/metrics.csv"] = kept.to_csv(index=False).encode()

        repack(packed, leave_out, with_manifest=True)
        (problem,) = archive.verify(packed, ROOT).problems
        assert problem.startswith("results/metrics.csv: has ")

    def test_a_run_left_out_everywhere_but_its_predictions_is_found(self, packed):
        def leave_out(members):
            table = pd.read_csv(io.BytesIO(members["results/metrics.csv"]))
            kept = table[table["run"] != "seed-8"]
            members["results/metrics.csv"] = kept.to_csv(index=False).encode()
            record = json.loads(members["results/provenance.json"])
            record["identity"]["runs"]["net"] = ["seed-7"]
            members["results/provenance.json"] = json.dumps(record).encode()

        repack(packed, leave_out, with_manifest=True)
        assert archive.verify(packed, ROOT).problems == [
            "results/runs/net/seed-8/predictions.npz: is of no run that provenance.json names"
        ]

    def test_a_metric_left_out_of_the_table_is_found(self, packed):
        def leave_out(members):
            table = pd.read_csv(io.BytesIO(members["results/metrics.csv"]))
            members["results/metrics.csv"] = table.iloc[:-1].to_csv(index=False).encode()

        repack(packed, leave_out, with_manifest=True)
        (problem,) = archive.verify(packed, ROOT).problems
        assert problem.startswith("results/metrics.csv: has ")

    @pytest.mark.parametrize(
        "content", [b"", b"no npz", b"PK\x03\x04 nor this"], ids=["empty", "text", "cut"]
    )
    def test_unreadable_predictions_are_named(self, packed, content):
        name = "results/runs/net/seed-7/predictions.npz"
        repack(packed, lambda members: members.update({name: content}), with_manifest=True)
        (problem,) = archive.verify(packed, ROOT).problems
        assert problem.startswith(
            f"results: cannot be computed anew ({name}: damaged, or not a predictions file"
        )

    @pytest.mark.parametrize(
        "name",
        ["../outside", "/etc/passwd", "results/../../outside", "C:/x", "results\\..\\x", "a//b"],
    )
    def test_names_that_lead_outside_are_found(self, packed, name, tmp_path):
        before = sorted(tmp_path.rglob("*"))
        repack(packed, lambda members: members.update({name: b"x"}), with_manifest=True)
        found = archive.verify(packed, ROOT).problems
        # On Windows the zip itself would have turned the backslashes round.
        assert any("leads out of the archive" in problem for problem in found)
        assert sorted(tmp_path.rglob("*")) == before

    def test_a_symbolic_link_is_found(self, packed):
        info = zipfile.ZipInfo("results/link")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        with zipfile.ZipFile(packed, "a") as zipped:
            zipped.writestr(info, "/etc/passwd")
        problem = "results/link: leads out of the archive; do not unpack it"
        assert problem in archive.verify(packed, ROOT).problems

    def test_a_name_given_twice_is_found(self, packed):
        with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(packed, "a") as zipped:
            zipped.writestr("code/Snakefile", "another\n")
        assert "code/Snakefile: is in the archive twice" in archive.verify(packed, ROOT).problems

    def test_a_damaged_member_is_named(self, packed):
        content = packed.read_bytes()
        with zipfile.ZipFile(packed) as zipped:
            info = zipped.getinfo("results/runs/net/seed-7/predictions.npz")
        middle = info.header_offset + 200
        damaged = bytes([content[middle] ^ 255])
        packed.write_bytes(content[:middle] + damaged + content[middle + 1 :])
        found = archive.verify(packed, ROOT).problems
        assert any(problem.startswith(f"{info.filename}: damaged") for problem in found)

    def test_a_cut_archive_is_refused(self, packed):
        packed.write_bytes(packed.read_bytes()[:2000])
        with pytest.raises(UserError, match=r"archive\.zip: damaged, or not a readable zip"):
            archive.verify(packed, ROOT)

    def test_another_zip_is_refused(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "other.zip", "w") as zipped:
            zipped.writestr("x", "y")
        with pytest.raises(UserError, match=r"other\.zip: has no manifest"):
            archive.verify(tmp_path / "other.zip", ROOT)


class TestCommandLine:
    def run(
        self, monkeypatch, script: str, *arguments: str, project: Path = ROOT
    ) -> int | str | None:
        """Return what the command exits with: 0, None, or the message it prints and exits 1."""
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        try:
            runpy.run_path(str(project / "scripts" / script), run_name="__main__")
        except SystemExit as end:
            return end.code
        return 0

    def test_a_good_archive(self, packed, monkeypatch, capsys):
        assert self.run(monkeypatch, "verify_archive.py", str(packed)) == 0
        said = capsys.readouterr().out
        assert "3 runs, computed anew from their predictions, give what is packed" in said

    def test_code_changed_after_the_run_is_refused_unless_told(
        self, results, checkout, monkeypatch, capsys
    ):
        """The whole way, from the checkout's own scripts to the zip and back."""
        for name in ("archive.py", "verify_archive.py"):
            shutil.copy(ROOT / "scripts" / name, checkout / "scripts")
        git(checkout, "add", "--all")
        record = {"identity": {"code": provenance.code(checkout), "models": MODELS, "runs": NAMES}}
        write_json(results / "provenance.json", record)
        write_crate(results)
        target = results / "archive.zip"

        def archived(*arguments: str) -> int | str | None:
            command = ("archive.py", "--results", str(results), *arguments)
            return self.run(monkeypatch, *command, project=checkout)

        assert archived() == 0
        target.unlink()
        (checkout / "scripts/train.py").write_text("train_better()\n")
        refused = str(archived())
        assert "the code was changed after this run: scripts/train.py. Run the" in refused
        assert "AS_IT_IS=1" in refused
        assert not target.exists()
        assert archived("--as-it-is") == 0
        assert "not what has run" in capsys.readouterr().out
        assert self.run(monkeypatch, "verify_archive.py", str(target), project=checkout) == 0
        assert "README.txt says so" in capsys.readouterr().out

    def test_a_changed_one_exits_with_1_and_names_the_file(self, packed, tmp_path):
        """In a process of its own, which a package of the same name must not enter."""
        repack(packed, lambda members: members.update({"code/Snakefile": b"rule other:\n"}))
        (tmp_path / "other/repro").mkdir(parents=True)
        (tmp_path / "other/repro/__init__.py").write_text("raise SystemExit('other code')\n")
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts/verify_archive.py"), str(packed)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "other")},
        )
        assert done.returncode == 1
        assert "code/Snakefile: has sha256" in done.stderr
        assert "Traceback" not in done.stderr

    def test_what_is_missing_is_named(self, tmp_path, monkeypatch):
        none = str(tmp_path / "none.zip")
        assert "no such file" in self.run(monkeypatch, "verify_archive.py", none)
        results = ("--results", str(tmp_path))
        assert "run the workflow, or name" in self.run(monkeypatch, "archive.py", *results)
        assert self.run(monkeypatch, "verify_archive.py", "") == 2

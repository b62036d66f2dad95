"""What is not the report's is found, whatever it is; what ships has nothing of it."""

from __future__ import annotations

import re

import pytest
import yaml

from oracle_verdicts import nets_that_run
from repro.comparison import changes, reported
from repro.fetch.registry import load_registry
from repro.plan import Plan
from repro.system.code_inputs import code_of
from support import ROOT, merged

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "config/schema.yaml").read_text())
REPORT = reported.load(ROOT / "resources/reported.yaml")
AS_DATA = yaml.safe_load((ROOT / "resources/reported.yaml").read_text())
FILES = yaml.safe_load((ROOT / "resources/registry.yaml").read_text())["files"]
# Keys of a net that say what it is called, how often it runs and what it is held against.
NOT_DECIDING = {
    *("title", "seeds", "split_seeds", "reported", "recipe", "longer_of", "like", "against"),
    "protocol",
}
NETS = [
    (part, name)
    for part in ("mnist", "flowers")
    for name, net in CONFIG[part]["nets"].items()
    if net["reported"]
]


def why_not(model, more=None):
    """Return why a model is not held against the report, with ``more`` over the shipped files."""
    config = merged(CONFIG, more or {})
    registry = load_registry([ROOT / "resources/registry.yaml"], config["downloads"])
    plan = Plan(config)
    found = changes.why_not(plan.nets[model], plan, registry, REPORT)
    assert type(found) is str
    return found


def of_net(model, **keys):
    part = "mnist" if model in CONFIG["mnist"]["nets"] else "flowers"
    return {part: {"nets": {model: keys}}}


def file(name, sha256="0" * 64):
    return {"downloads": {name: {"sha256": sha256, "sources": [{"path": "~/file"}]}}}


class TestWhatShips:
    @pytest.mark.parametrize(("part", "model"), NETS)
    def test_has_no_change(self, part, model):
        assert why_not(model) == ""

    def test_is_held_against_nothing_in_a_rehearsal(self):
        models = [model for part in ("mnist", "flowers") for model in CONFIG[part]["nets"]]
        assert {why_not(model, {"rehearsal": True}) for model in models} == {"rehearsal"}

    def test_neither_has_the_demo(self):
        demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
        found = {model: why_not(model, demo) for model in demo["models"]}
        assert found == {
            "numpy_1hidden": "",
            "numpy_2hidden": "",
            "torch_2hidden": "",
            "torch_2hidden_long": "not in the report",
            "efficientnet_lite0": "generated data",
        }

    def test_every_key_that_decides_is_held_against_the_report(self):
        definitions, parts = SCHEMA["$defs"], SCHEMA["properties"]
        nets = {
            part: {key for one in REPORT.models.values() if one.part == part for key in one.net}
            for part in ("mnist", "flowers")
        }
        assert set(definitions["mnist_net"]["properties"]) - NOT_DECIDING == nets["mnist"]
        assert set(definitions["flower_net"]["properties"]) - NOT_DECIDING == nets["flowers"]
        for part, seed in (("mnist", set()), ("flowers", {"seed"})):
            known = set(parts[part]["properties"]["split"]["properties"])
            assert known - seed == set(REPORT.parts[part].split)
        assert set(parts["flowers"]["properties"]["head"]["properties"]) == set(
            REPORT.parts["flowers"].head
        )


def another(value):
    """Return a value of the same kind that is not this one."""
    if isinstance(value, list):
        return [*value, 7] if isinstance(value[0], int) else "official"
    if value is None:
        return "official"
    return f"{value}_2" if isinstance(value, str) else value * 2 or 0.5


class TestChanges:
    @pytest.mark.parametrize(
        ("model", "more", "words"),
        [
            (
                "torch_2hidden",
                of_net("torch_2hidden", framework="numpy", initial_std=0.1),
                "changed: framework torch → numpy",
            ),
            (
                "numpy_2hidden",
                {"mnist": {"split": {"validation": 10000, "seed": 7}}},
                "changed: split.validation 5000 → 10000; split.seed 123 → 7",
            ),
            (
                "numpy_2hidden",
                {"mnist": {"split": {"kind": "official"}}},
                "changed: split.kind none → official",
            ),
            ("torch_2hidden", of_net("torch_2hidden", momentum=0.9), "changed: momentum 0 → 0.9"),
            (
                "numpy_1hidden",
                merged(file("mnist/t10k-labels-idx1-ubyte"), of_net("numpy_1hidden", epochs=2)),
                "other data: mnist/t10k-labels-idx1-ubyte; changed: epochs 50 → 2",
            ),
            (
                "resnet152",
                # The shares are not used then.
                {"flowers": {"split": {"validation": 0.1, "kind": "official"}}},
                "changed: split.kind stratified or random → official",
            ),
            (
                "numpy_1hidden",
                {"mnist": {"split": {"kind": "official", "test": 50}}},
                "changed: split.kind none → official",
            ),
            ("resnet152", of_net("resnet152", weights="none"), "changed: random weights"),
            (
                "resnet152",
                of_net("resnet152", weights="weights/efficientnet-lite0-57934424.pth"),
                "changed: other weights: weights/efficientnet-lite0-57934424.pth",
            ),
            ("resnet152", {"flowers": {"data": "generated"}}, "generated data"),
            # Pictures in folders, which have no downloads.
            ("resnet152", {"flowers": {"data": "mine"}}, "other data"),
            # Another net under the report's name, on other pictures under the registry's names.
            (
                "resnet152",
                merged(
                    merged(file("oxford102/102flowers.tgz"), file("oxford102/imagelabels.mat")),
                    of_net(
                        "resnet152",
                        architecture="torchvision:resnet18",
                        weights="none",
                        preprocess="own",
                    ),
                ),
                "other data; changed: random weights; architecture torchvision:resnet152 → "
                "torchvision:resnet18; preprocess report → own",
            ),
            # A net of the other part, which has none of the keys.
            (
                "efficientnet_lite0",
                of_net("efficientnet_lite0", reported="torch_2hidden"),
                "changed: framework torch → none; hidden [50, 50] → none",
            ),
        ],
    )
    def test_are_told(self, model, more, words):
        assert why_not(model, more).startswith(words)

    @pytest.mark.parametrize(("part", "model"), NETS)
    def test_of_any_key_and_of_any_file_are_those_that_the_oracle_finds(self, part, model):
        for more in variations(part, model):
            found = why_not(model, more)
            assert found
            assert found == by_the_oracle(model, more)


def variations(part, model):
    """Yield a change of each value that decides, and of each file."""
    net, of_part = CONFIG[part]["nets"][model], REPORT.parts[part]
    for key in REPORT.models[net["reported"]].net:
        value = another(net.get(key, 0))
        more = of_net(model, **{key: value})
        yield merged(more, file(value)) if key == "weights" else more
    for place, values in (("split", of_part.split), ("head", of_part.head)):
        for key, value in values.items():
            yield {part: {place: {key: another(value)}}}
    for name in of_part.data:
        yield file(f"{'mnist' if part == 'mnist' else 'oxford102'}/{name}")


def by_the_oracle(model, more):
    config = merged(CONFIG, {**more, "models": [model]})
    config["downloads"] = {
        name: {"sha256": entry.get("sha256") or entry["sha256_prefix"]}
        for name, entry in merged(FILES, config["downloads"]).items()
    }
    return nets_that_run(config, AS_DATA)[model]["why_not"]


class TestNoChange:
    @pytest.mark.parametrize(
        ("model", "more"),
        [
            ("numpy_1hidden", of_net("numpy_1hidden", seeds=[7, 8], title="Mine")),
            ("resnet152", {"flowers": {"seeds": [3], "split_seeds": [9], "split": {"seed": 4}}}),
            ("resnet152", {"flowers": {"split": {"kind": "random"}}}),
            ("resnet152", {"flowers": {"batch_size": 8, "shards": 4}}),
            ("resnet152", of_net("resnet152", protocol="notebook")),
            # The same bytes from elsewhere, or under another name.
            (
                "numpy_1hidden",
                {"downloads": {"mnist/train-images-idx3-ubyte": {"sources": [{"path": "~/x"}]}}},
            ),
            (
                "resnet152",
                merged(
                    of_net("resnet152", weights="weights/mine.pth"),
                    {
                        "downloads": {
                            "weights/mine.pth": {
                                "sha256_prefix": "394f9c45",
                                "sources": [{"path": "~/x"}],
                            }
                        }
                    },
                ),
            ),
            (
                "resnet152",
                merged(
                    {"flowers": {"data": "mine"}},
                    merged(
                        *(
                            file(f"mine/{name}", sha256)
                            for name, sha256 in REPORT.parts["flowers"].data.items()
                        )
                    ),
                ),
            ),
        ],
    )
    def test_is_told(self, model, more):
        assert why_not(model, more) == ""


def test_reading_the_snakefile_loads_no_statistics():
    """It is read once more in every job, and SciPy takes as long to load as all the rest."""
    scripts = ROOT / "scripts"
    files = code_of(scripts / "repro/comparison/changes.py", (scripts,))
    assert scripts / "repro/comparison/reported.py" in files
    for file in files:
        assert not re.search(r"^\s*(from|import) (scipy|sklearn)", file.read_text(), re.M), file


def test_a_longer_net_is_the_same_but_for_its_epochs():
    def unlike(**keys):
        config = merged(CONFIG, of_net("torch_2hidden_long", **keys))
        registry = load_registry([ROOT / "resources/registry.yaml"])
        plan = Plan(config)
        long = plan.nets["torch_2hidden_long"]
        return changes.changes(long, plan, registry, REPORT, of="torch_2hidden", but=("epochs",))

    assert unlike() == ()
    assert unlike(hidden=[64]) == ("hidden [50, 50] → [64]",)

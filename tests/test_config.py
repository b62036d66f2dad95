import math

import pytest
import yaml

from repro.config import check, check_names, check_repeats, fill_in, repeated_keys
from repro.errors import UserError
from support import ROOT, merged

SCHEMA = yaml.safe_load((ROOT / "config/schema.yaml").read_text())
DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())
DOWNLOADS = yaml.safe_load((ROOT / "resources/registry.yaml").read_text())["files"]


def check_all(config):
    fill_in(config)
    check(config, SCHEMA)
    reported = yaml.safe_load((ROOT / config["report"]).read_text())["models"]
    check_names(config, DOWNLOADS, reported)


@pytest.mark.parametrize("file", sorted(ROOT.glob("config/*.yaml")), ids=lambda file: file.name)
def test_shipped_configurations_are_valid(file):
    changes = {} if file.name == "schema.yaml" else yaml.safe_load(file.read_text())
    if file.name == "pictures.yaml":  # laid over only where there is a folder
        changes["flowers"]["folders"] = "mine"
    check_all(merged(DEFAULT, changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"modles": []}, ["'modles'", "known are", "models"]),
        ({"mnist": {"splt": {}}}, ["mnist", "'splt'", "nets, split"]),
        ({"mnist": {"nets": {"numpy_1hidden": {"epochs": 0}}}}, ["epochs: 0", "at least 1"]),
        (
            {"mnist": {"nets": {"numpy_1hidden": {"learning_rate": -1}}}},
            ["mnist.nets.numpy_1hidden.learning_rate: -1", "more than 0"],
        ),
        ({"mnist": {"nets": {"numpy_1hidden": {"epochs": "50"}}}}, ["'50'", "of type integer"]),
        ({"flowers": {"split": {"kind": "stratifed"}}}, ["'stratifed'", "stratified, random"]),
        ({"flowers": {"split": {"test": 0.8}}}, ["flowers.split", "sum to less than 1"]),
        ({"flowers": {"seeds": []}}, ["flowers.seeds: []", "at least 1 item"]),
        ({"flowers": {"seeds": [1, 1]}}, ["flowers.seeds", "without repetition"]),
        ({"models": ["resnet"]}, ["'resnet' is described nowhere", "resnet152"]),
        (
            {"flowers": {"nets": {"resnet152": {"weights": "resnet152.pth"}}}},
            ["flowers.nets.resnet152.weights", "'resnet152.pth'", "none"],
        ),
        (
            {"flowers": {"split": {"kind": "official"}, "split_seeds": [2]}},
            ["flowers.split_seeds", "must be []"],
        ),
        (
            {
                "flowers": {
                    "split": {"kind": "official"},
                    "split_seeds": [],
                    "nets": {"resnet152": {"split_seeds": [2, 3]}},
                }
            },
            ["flowers.nets.resnet152.split_seeds", "must be []"],
        ),
        ({"flowers": {"seeds": [1.0]}}, ["flowers.seeds.0: 1.0", "of type integer"]),
        ({"flowers": {"head": {"learning_rate": math.nan}}}, ["nan", "of type number"]),
        ({"flowers": {"head": {"learning_rate": math.inf}}}, ["inf", "of type number"]),
        ({"flowers": {"batch_size": 32.0}}, ["flowers.batch_size: 32.0", "of type integer"]),
        (
            {"flowers": {"nets": {"convnext_large": {"title": "ResNet-152"}}}},
            ["resnet152 and convnext_large are both titled 'ResNet-152'"],
        ),
        (
            {"mnist": {"nets": {"numpy_1hidden": {"loss": "cross_entropy"}}}},
            ["mnist.nets.numpy_1hidden", "linear with cross_entropy"],
        ),
        (
            {"mnist": {"nets": {"torch_2hidden_long": {"longer_of": "torch"}}}},
            ["mnist.nets.torch_2hidden_long.longer_of", "'torch' is no net", "torch_2hidden"],
        ),
        ({"flowers": {"data": "roses"}}, ["flowers.data: 'roses'", "roses/102flowers.tgz"]),
        (
            {"mnist": {"split": {"test": 60000, "validation": 9991}}},
            ["mnist.split", "too few of", "at most 69990"],
        ),
        (
            {"mnist": {"nets": {"numpy_1hidden": {"learning_rate": "1e-3"}}}},
            ["'1e-3' is a text to YAML", "write 0.001"],
        ),
        ({"mnist": {"nets": {"numpy_1hidden": {"hidden": "50"}}}}, ["write [50]", "--configfile"]),
        ({"flowers": {"split_seeds": ["2"]}}, ["'2' is a text", "integer", "write 2"]),
        ({"rehearsal": "yes"}, ["boolean (true or false); write true"]),
        (
            {"flowers": {"nets": {"resnet152": {"reported": "null"}}}},
            ["'null' here is a text", "--configfile"],
        ),
        (
            {"flowers": {"nets": {"resnet152": {"reported": "resnet_152"}}}},
            ["flowers.nets.resnet152.reported: 'resnet_152'", "null or one of", "resnet152"],
        ),
        ({"flowers": {"split_seeds": [1, 2]}}, ["flowers.split_seeds: 1 is flowers.split.seed"]),
        (
            {"flowers": {"nets": {"resnet152": {"split_seeds": [1]}}}},
            ["flowers.nets.resnet152.split_seeds: 1 is flowers.split.seed"],
        ),
        (
            {"mnist": {"nets": {"numpy_1hidden": {"title": "Net {x}"}}}},
            ["title: 'Net {x}'", "must be a text without braces"],
        ),
        (
            {"flowers": {"nets": {"resnet152": {"architecture": "timm:x; touch harm"}}}},
            ["flowers.nets.resnet152.architecture"],
        ),
        ({"results_dir": "res {x}"}, ["results_dir", "res {x}", "without braces"]),
        ({"results_dir": "$HOME/x"}, ["results_dir", "$HOME/x", "without $NAME"]),
        ({"data_dir": "  "}, ["data_dir"]),
        ({"results_dir": "."}, ["results_dir: '.'", "own files"]),
        ({"results_dir": "../x/.."}, ["results_dir", "own files"]),
        ({"logs_dir": "/"}, ["logs_dir", "own files"]),
        ({"prepared_dir": "./scripts/x"}, ["prepared_dir", "own files"]),
        (
            {"mnist": {"nets": {"wide": {"like": "numpy"}}}},
            ["mnist.nets.wide.like: 'numpy' is no net", "numpy_1hidden, numpy_2hidden"],
        ),
        (
            {"mnist": {"nets": {"wide": {"like": "resnet152"}}}},
            ["mnist.nets.wide.like: 'resnet152' is no net", "torch_2hidden_long, wide"],
        ),
        (
            {"flowers": {"nets": {"own": {"like": "own"}}}},
            ["flowers.nets.own.like: goes in a circle, own → own"],
        ),
        (
            {"mnist": {"nets": {"a": {"like": "b"}, "b": {"like": "c"}, "c": {"like": "b"}}}},
            ["mnist.nets.a.like", "a → b → c → b", "describe one of them whole"],
        ),
        ({"mnist": {"nets": {"wide": {"like": ["numpy_1hidden"]}}}}, ["mnist.nets.wide.like"]),
        (
            {"mnist": {"nets": {"wide": {"like": "numpy_1hidden", "widths": [100]}}}},
            ["mnist.nets.wide: unknown key 'widths'", "hidden"],
        ),
        (
            {"mnist": {"nets": {"wide": {"like": "torch_2hidden", "framework": "numpy"}}}},
            ["mnist.nets.wide.initial_std: missing"],
        ),
        ({"mnist": {"nets": ["wide"]}}, ["mnist.nets", "of type object"]),
        *(
            (
                {"mnist": {"nets": {"numpy_1hidden": {"against": other}}}},
                [f"mnist.nets.numpy_1hidden.against: '{other}' is no other net", "numpy_2hidden"],
            )
            for other in ("numpy_1hidden", "numpy", "resnet152")
        ),
        (
            {"flowers": {"nets": {"resnet152": {"against": "resnet152_notebook"}}}},
            ["flowers.nets.resnet152.against: resnet152_notebook does not run", "under models"],
        ),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(changes, words):
    with pytest.raises(UserError) as error:
        check_all(merged(DEFAULT, changes))
    for word in words:
        assert word in str(error.value)


def test_a_net_that_is_like_another_is_whole():
    config = merged(
        DEFAULT,
        {
            "mnist": {
                "nets": {
                    "wide": {"like": "numpy_1hidden", "hidden": [100]},
                    "brief": {"like": "wide", "epochs": 2, "seeds": [1]},
                    "named": {"like": "wide", "title": "Mine", "recipe": "inferred"},
                    "named_brief": {"like": "named", "epochs": 2},
                    "other": {"like": "wide", "framework": "torch"},
                    "tanh": {"like": "torch_2hidden_long", "activation": "tanh"},
                }
            },
            "flowers": {
                "nets": {"moved": {"like": "convnext_large_notebook", "protocol": "adapted"}}
            },
        },
    )
    check_all(config)
    nets, base = config["mnist"]["nets"], DEFAULT["mnist"]["nets"]["numpy_1hidden"]
    own = {"reported": None, "recipe": "own"}
    wide = {**base, **own, "hidden": [100], "like": "numpy_1hidden"}
    assert nets["wide"] == {**wide, "title": "NumPy, one hidden layer, hidden [100]"}
    brief = {**wide, "epochs": 2, "seeds": [1], "like": "wide"}
    title = "NumPy, one hidden layer, hidden [100], epochs 2"
    assert nets["brief"] == {**brief, "title": title}
    assert nets["named"] == {**wide, "title": "Mine", "recipe": "inferred", "like": "wide"}
    assert nets["named_brief"]["title"] == "Mine, epochs 2"
    assert nets["named_brief"]["recipe"] == "own"
    assert nets["other"]["framework"] == "torch"
    assert "initial_std" not in nets["other"]
    assert "longer_of" not in nets["tanh"]
    moved = config["flowers"]["nets"]["moved"]
    assert moved["title"] == "ConvNeXt-Large, as the notebook, protocol adapted"
    assert moved["split_seeds"] == []

    # As the saved configuration comes back, and without one value that stands in two places.
    assert "&id" not in yaml.safe_dump(config)
    again = merged(config, {})
    fill_in(again)
    assert again == config


def test_a_stratified_split_of_mnist_is_the_one_without_a_kind():
    config = merged(DEFAULT, {"mnist": {"split": {"kind": "stratified"}}})
    check_all(config)
    assert config == DEFAULT


def test_all_mistakes_are_listed_at_once():
    config = merged(DEFAULT, {"models": [], "flowers": {"batch_size": 0}, "x": 1})
    with pytest.raises(UserError) as error:
        check_all(config)
    assert str(error.value).count("\n  - ") == 3


def test_a_key_that_stands_twice_is_refused(tmp_path):
    once, twice = tmp_path / "once.yaml", tmp_path / "twice.yaml"
    once.write_text("flowers: {seeds: [1]}\nmodels: [a]\nmnist: {nets: {a: {seeds: [1]}}}\n")
    twice.write_text(
        "flowers: {seeds: [1], seeds: [2]}\nmodels: [a]\nflowers:\n  shards: 1\n  shards: 2\n"
    )
    check_repeats([once])
    with pytest.raises(UserError) as refused:
        check_repeats([once, twice])
    said = str(refused.value)
    assert f"{twice}: flowers: stands twice, in lines 1 and 3" in said
    assert "flowers.seeds: stands twice, in lines 1 and 1" in said
    assert "flowers.shards: stands twice, in lines 4 and 5" in said
    assert "once.yaml" not in said


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", '{\n\t"a": 1}', "a: &x {b: 1}\nc: {<<: *x, b: 2}\n"]
)
def test_nothing_stands_twice(text):
    assert repeated_keys(text) == []

"""Models, runs and splits as a configuration asks for them."""

import copy

import pytest
import yaml

from repro.plan import MAIN, MNIST_FILES, Plan, Run


@pytest.fixture(scope="module")
def shipped(root):
    return yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def config(shipped):
    return copy.deepcopy(shipped)


def test_a_net_has_a_run_a_seed_and_the_first_is_its_headline(config):
    config["mnist"]["nets"]["numpy_1hidden"]["seeds"] = [5, 3]
    model = Plan(config).nets["numpy_1hidden"]
    assert model.runs == (Run("seed-5", 5, MAIN, 5), Run("seed-3", 3, MAIN, 3))
    assert model.headline.name == "seed-5"
    assert model.run("seed-3").seed == 3
    with pytest.raises(KeyError):
        model.run("seed-4")


def test_a_flower_net_s_runs_on_other_splits_take_its_first_seed(config):
    config["flowers"] |= {"seeds": [8, 4], "split_seeds": [9]}
    config["flowers"]["nets"]["resnet152"]["split_seeds"] = [7, 6]
    plan = Plan(config)
    of_all = plan.nets["convnext_large"]
    assert [run.name for run in of_all.runs] == ["seed-8", "seed-4", "split-9"]
    assert of_all.run("split-9") == Run("split-9", 8, "seed-9", 9)
    assert plan.nets["resnet152"].splits == [MAIN, "seed-7", "seed-6"]
    assert plan.splits == [MAIN, "seed-7", "seed-6", "seed-9"]
    assert plan.split("seed-7") == {**config["flowers"]["split"], "seed": 7}
    assert plan.split(MAIN) == config["flowers"]["split"]


@pytest.mark.parametrize(
    ("protocol", "covers"), [("frozen", ["all"]), ("adapted", [MAIN, "seed-7"])]
)
def test_a_backbone_that_has_seen_a_split_runs_once_for_each(config, protocol, covers):
    config["flowers"]["nets"]["resnet152"] |= {
        "protocol": protocol,
        "seeds": [4, 8],
        "split_seeds": [7],
    }
    model = Plan(config).nets["resnet152"]
    assert model.covers == covers
    assert model.numbered_runs == [
        {"run": "seed-4", "seed": 4, "split": 0},
        {"run": "seed-8", "seed": 8, "split": 0},
        {"run": "split-7", "seed": 4, "split": 1},
    ]


def test_models_that_run_stand_in_the_configuration_s_order(config):
    config["models"] = ["resnet152", "torch_2hidden", "numpy_1hidden"]
    plan = Plan(config)
    assert [model.name for model in plan.models] == config["models"]
    assert [model.name for model in plan.of("mnist")] == ["torch_2hidden", "numpy_1hidden"]
    assert {model.name for model in plan.described("flowers")} == set(config["flowers"]["nets"])


@pytest.mark.parametrize(
    ("models", "flowers", "names"),
    [
        (["numpy_1hidden"], {}, [*MNIST_FILES.values()]),
        (["numpy_1hidden"], {"data": "generated"}, [*MNIST_FILES.values()]),
        (["resnet152"], {"data": "generated"}, ["weights/resnet152-394f9c45.pth"]),
        (
            ["resnet152"],
            {"data": "mine"},
            ["mine/102flowers.tgz", "mine/imagelabels.mat", "weights/resnet152-394f9c45.pth"],
        ),
        (
            ["resnet152", "resnet152_notebook"],
            {"split": {"kind": "official"}},
            [f"oxford102/{name}" for name in ("102flowers.tgz", "imagelabels.mat", "setid.mat")]
            + ["weights/resnet152-394f9c45.pth"],
        ),
    ],
)
def test_downloads_are_those_of_the_models_that_run(config, models, flowers, names):
    config["models"] = models
    config["flowers"] |= flowers
    assert Plan(config).downloads == names


@pytest.mark.parametrize(
    ("models", "data", "own"),
    [
        (["leaf"], "mine", True),
        (["leaf"], "oxford102", False),
        (["leaf", "resnet152"], "mine", False),
        (["leaf", "numpy_1hidden"], "mine", False),
    ],
)
def test_no_report_is_about_nets_of_one_s_own_on_pictures_of_one_s_own(config, models, data, own):
    nets = config["flowers"]["nets"]
    nets["leaf"] = {**nets["resnet152"], "reported": None}
    config["models"], config["flowers"]["data"] = models, data
    assert Plan(config).own_pictures == own
    assert (Plan(config).report == "resources/no_report.yaml") == own


def test_a_net_is_set_against_the_one_it_names_or_is_like_if_that_runs(config):
    net = config["mnist"]["nets"]["numpy_1hidden"]
    config["mnist"]["nets"] |= {
        "wide": {**net, "like": "numpy_1hidden"},
        "alone": {**net, "like": "numpy_1hidden", "against": None},
        "other": {**net, "like": "numpy_1hidden", "against": "wide"},
        "far": {**net, "like": "numpy_2hidden"},
    }
    config["models"] = ["other", "wide", "alone", "far", "numpy_1hidden"]
    pairs = [(one.name, other.name) for one, other in Plan(config).pairs]
    assert pairs == [("other", "wide"), ("wide", "numpy_1hidden")]
    assert {"like", "against"}.isdisjoint(Plan(config).nets["other"].recipe)


def test_titles_say_where_figures_are_not_the_report_s(config):
    config["flowers"]["data"] = "generated"
    plan = Plan(config)
    assert plan.nets["resnet152"].title == "ResNet-152 on drawn images"
    assert plan.nets["numpy_1hidden"].title == "NumPy, one hidden layer"
    rehearsal = Plan({**config, "rehearsal": True})
    assert rehearsal.nets["numpy_1hidden"].title == "NumPy, one hidden layer (rehearsal)"


def test_a_net_s_description_says_what_it_is_made_of(config):
    plan = Plan(config)
    numpy, torch = plan.nets["numpy_1hidden"], plan.nets["torch_2hidden"]
    adapted = plan.nets["resnet152_notebook"]
    assert (numpy.file, torch.file, adapted.file) == (
        *("model.npz", "model.safetensors", "model.safetensors"),
    )
    assert (numpy.loss, adapted.loss) == (config["mnist"]["nets"]["numpy_1hidden"]["loss"], "nll")
    assert plan.nets["resnet152"].keeps_features
    assert not adapted.keeps_features
    assert not numpy.keeps_features
    assert "title" not in numpy.recipe
    assert numpy.recipe["hidden"] == config["mnist"]["nets"]["numpy_1hidden"]["hidden"]
    assert plan.model_of_rule["train_torch_2hidden_long"] == "torch_2hidden_long"

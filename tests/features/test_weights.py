"""Files of weights in the forms they are met in: the features are the giving network's own."""

import re
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from official_weights import features_of, images, network, write
from repro.errors import UserError
from repro.features.backbones import build, create
from repro.features.fusion import FusedConv2d, FusedLinear, fused, relative_error
from repro.features.loaded import Loaded
from repro.rehearsal.official_form import official_state

SMALL = "torchvision:resnet18"


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Small passes in many threads wait more than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def resnet18():
    return network(SMALL)


@pytest.fixture(scope="module")
def expected(resnet18):
    return features_of(resnet18, images(64))


def saved(folder, state, name="w.pth"):
    torch.save(state, folder / name)
    return folder / name


def features(architecture, file, side=64):
    with torch.inference_mode():
        return build(architecture, file).module(images(side))


# --- the official form ---------------------------------------------------------------------------


def heavy(*values):
    return pytest.param(*values, marks=pytest.mark.heavy)


# The smallest of each of torchvision's families, and the architectures of config.yaml.
@pytest.mark.parametrize(
    ("architecture", "side"),
    [
        heavy("torchvision:resnet152", 64),
        heavy("torchvision:convnext_large", 64),
        ("timm:tf_efficientnet_lite0", 64),
        heavy("torchvision:alexnet", 64),
        heavy("torchvision:convnext_tiny", 64),
        ("torchvision:densenet121", 64),
        heavy("torchvision:efficientnet_b0", 64),
        heavy("torchvision:efficientnet_v2_s", 64),
        ("torchvision:googlenet", 64),
        heavy("torchvision:inception_v3", 96),
        heavy("torchvision:maxvit_t", 224),
        ("torchvision:mnasnet0_5", 64),
        heavy("torchvision:mobilenet_v2", 64),
        ("torchvision:mobilenet_v3_small", 64),
        heavy("torchvision:regnet_x_400mf", 64),
        ("torchvision:resnet18", 64),
        heavy("torchvision:resnext50_32x4d", 64),
        heavy("torchvision:shufflenet_v2_x0_5", 64),
        heavy("torchvision:swin_t", 64),
        heavy("torchvision:swin_v2_t", 64),
        heavy("torchvision:vgg11", 64),
        heavy("torchvision:vgg11_bn", 64),
        heavy("torchvision:vit_b_32", 224),
        heavy("torchvision:wide_resnet50_2", 64),
    ],
)
def test_features_from_an_official_file_are_those_of_its_network(architecture, side, tmp_path):
    whole = network(architecture)
    backbone = build(architecture, write(tmp_path, architecture, whole))
    wanted = features_of(whole, images(side))
    assert wanted.isfinite().all()
    assert wanted.std() > 0
    with torch.inference_mode():
        assert torch.equal(backbone.module(images(side)), wanted)
    assert backbone.weights_loaded == Loaded.BY_NAME
    assert len(backbone.weights_sha256) == 64


def test_the_official_form_is_older_than_the_network():
    with torch.device("meta"):
        resnet, densenet = (create(f"torchvision:{name}") for name in ("resnet152", "densenet121"))
    assert len(resnet.state_dict()) == 932
    state = official_state("torchvision:resnet152", resnet)
    assert len(state) == 777
    assert not hasattr(state, "_metadata")
    older = official_state("torchvision:densenet121", densenet)
    assert "features.denseblock1.denselayer1.norm.1.weight" in older


@pytest.mark.parametrize("legacy", [False, True])
def test_both_serialisations_are_read(resnet18, expected, tmp_path, legacy):
    file = write(tmp_path, SMALL, resnet18, legacy=legacy)
    assert (file.read_bytes()[:2] == b"PK") is not legacy
    assert torch.equal(features(SMALL, file), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_cast_and_it_is_said(resnet18, tmp_path, caplog, dtype):
    if dtype == torch.float16:
        file = write(tmp_path, SMALL, resnet18, half=True)
    else:
        state = resnet18.state_dict()
        cast = {n: t.to(dtype) if t.is_floating_point() else t for n, t in state.items()}
        file = saved(tmp_path, cast)
    caplog.set_level("INFO")
    loaded = build(SMALL, file).module.state_dict()
    for name, tensor in loaded.items():
        wanted = resnet18.state_dict()[name]
        assert torch.equal(tensor, wanted.to(dtype).to(wanted.dtype)), name
    assert f"{file.name}: {dtype} is cast to float32" in caplog.text


@pytest.mark.parametrize(
    "architecture", [SMALL, "torchvision:googlenet", "timm:tf_efficientnet_lite0"]
)
@torch.inference_mode()
def test_a_loaded_network_is_fused_like_any_other(architecture, tmp_path):
    whole = network(architecture)
    pixels = images(64).contiguous(memory_format=torch.channels_last)
    module = fused(build(architecture, write(tmp_path, architecture, whole)).module, pixels)
    assert any(isinstance(layer, FusedConv2d | FusedLinear) for layer in module.modules())
    assert relative_error(module(pixels), features_of(whole, pixels)) < 1e-5


# --- how others save -----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_prefixes_come_off(resnet18, expected, tmp_path, prefix, form):
    state = {f"{prefix}{name}": tensor for name, tensor in resnet18.state_dict().items()}
    file = tmp_path / f"w.{form}"
    if form == "pth":
        saved(tmp_path, state)
    else:
        save_file(state, file)
    backbone = build(SMALL, file)
    assert backbone.weights_loaded == Loaded.BY_NAME
    with torch.inference_mode():
        assert torch.equal(backbone.module(images(64)), expected)


# MNASNet asks for its version, which such a file has under another name, or not at all.
@pytest.mark.parametrize("form", ["parallel", "compiled inside", "plain", "safetensors"])
def test_a_network_that_asks_for_its_version_is_loaded(tmp_path, form):
    architecture = "torchvision:mnasnet0_5"
    whole = network(architecture)
    wanted = features_of(whole, images(64))
    state = whole.state_dict()
    file = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(state, file)
    elif form == "parallel":
        saved(tmp_path, nn.DataParallel(whole).state_dict())
    elif form == "plain":
        saved(tmp_path, dict(state))
    else:
        saved(tmp_path, {n.replace("layers.", "layers._orig_mod."): t for n, t in state.items()})
    assert torch.equal(features(architecture, file), wanted)


@pytest.mark.filterwarnings("ignore:A new version of MNASNet")
def test_the_version_in_the_file_counts(tmp_path):
    architecture = "torchvision:mnasnet0_5"
    state = network(architecture).state_dict()
    state._metadata[""]["version"] = 1  # the stem was wider then
    with pytest.raises(UserError, match=r"layers\.0\.weight has shape \[16, 3, 3, 3\] instead of"):
        build(architecture, saved(tmp_path, state))


@pytest.mark.parametrize("metadata", [7, {"": 3}, {"": {"version": "new"}}])
def test_versions_that_are_none_are_told_with_the_file(tmp_path, metadata):
    state = OrderedDict(network("torchvision:mnasnet0_5").state_dict())
    state._metadata = metadata
    with pytest.raises(UserError, match=r"w\.pth: these are not the weights of"):
        build("torchvision:mnasnet0_5", saved(tmp_path, state))


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_a_wrapped_state_dict_is_found(resnet18, expected, tmp_path, wrapper):
    file = saved(tmp_path, {wrapper: resnet18.state_dict(), "epoch": 3})
    assert torch.equal(features(SMALL, file), expected)


def test_names_that_timm_itself_maps_are_taken(tmp_path):
    architecture = "timm:convnext_atto"
    whole = network(architecture)
    # ConvNeXt's authors' names, which timm's own loader reads.
    changes = (
        (r"^stem", "downsample_layers.0"),
        (r"^stages\.(\d)\.downsample", r"downsample_layers.\1"),
        (r"\.blocks\.", "."),
        (r"conv_dw", "dwconv"),
        (r"mlp\.fc", "pwconv"),
        (r"^head\.norm", "norm"),
        (r"^head\.fc", "head"),
    )
    older = {}
    for name, tensor in whole.state_dict().items():
        for today, then in changes:
            name = re.sub(today, then, name)  # noqa: PLW2901
        older[name] = tensor
    backbone = build(architecture, saved(tmp_path, {"model": older}))
    assert backbone.weights_loaded == Loaded.BY_NAME
    with torch.inference_mode():
        assert torch.equal(backbone.module(images(64)), features_of(whole, images(64)))


# --- the classifier ------------------------------------------------------------------------------


def _of_another_size(state, layer):
    state[f"{layer}.weight"], state[f"{layer}.bias"] = torch.zeros(5, 3), torch.zeros(5)


def _absent(state, layer):
    del state[f"{layer}.weight"], state[f"{layer}.bias"]


def _of_two_layers(state, layer):
    _absent(state, layer)
    for number in (0, 2):
        state[f"{layer}.{number}.weight"] = torch.zeros(4, 4)


@pytest.mark.parametrize("change", [_of_another_size, _absent, _of_two_layers])
@pytest.mark.parametrize(
    ("architecture", "classifier"),
    [
        (SMALL, "fc"),
        ("torchvision:mobilenet_v3_small", "classifier.3"),
        ("timm:test_resnet", "fc"),
        ("timm:convnext_atto", "head.fc"),
    ],
)
def test_the_classifier_takes_no_part(architecture, classifier, change, tmp_path):
    whole = network(architecture)
    state = whole.state_dict()
    change(state, classifier)
    file = saved(tmp_path, state)
    assert torch.equal(features(architecture, file), features_of(whole, images(64)))


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_classifiers_take_no_part(name, tmp_path):
    architecture = f"torchvision:{name}"
    whole = network(architecture)
    kept = {n: t for n, t in whole.state_dict().items() if not n.lower().startswith("aux")}
    assert len(kept) < len(whole.state_dict())
    backbone = build(architecture, saved(tmp_path, kept))
    with torch.inference_mode():
        assert torch.equal(backbone.module(images(96)), features_of(whole, images(96)))
        # In training mode they would answer too, with more than one row of features an image.
        assert backbone.module.train()(images(96)).shape == (2, backbone.width)


# --- refused, in words ---------------------------------------------------------------------------


@pytest.mark.fault(
    "weights", "weights with a tensor missing, too many or of another shape", "refused, naming it"
)
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda s: s.pop("bn1.bias"), "bn1.bias is missing"),
        (lambda s: s.update(extra=torch.zeros(1)), "extra is not part of the network"),
        (
            lambda s: s.update({"bn1.bias": torch.zeros(7)}),
            "bn1.bias has shape [7] instead of [64]",
        ),
        (lambda s: s.update({"bn1.bias": torch.zeros(64, dtype=torch.uint8)}), "bn1.bias"),
        (lambda s: s.update({7: torch.zeros(7)}), "something other than arrays of numbers by name"),
    ],
)
def test_the_wrong_weights_are_refused_by_name(resnet18, tmp_path, change, problem):
    state = resnet18.state_dict()
    change(state)
    with pytest.raises(UserError, match=re.escape(problem)):
        build(SMALL, saved(tmp_path, state))


@pytest.mark.fault("weights", "weights of another network", "refused")
def test_weights_of_another_network_are_refused(resnet18, tmp_path):
    file = saved(tmp_path, resnet18.state_dict())
    with pytest.raises(UserError, match=r"not the weights of torchvision:resnet34: .* more"):
        build("torchvision:resnet34", file)


def test_counters_that_a_file_of_today_lacks_are_missing(resnet18, tmp_path):
    state = resnet18.state_dict()  # with today's versions, unlike the official file
    del state["bn1.num_batches_tracked"]
    with pytest.raises(UserError, match=r"bn1\.num_batches_tracked is missing"):
        build(SMALL, saved(tmp_path, state))


# --- by order ------------------------------------------------------------------------------------


def in_other_names(state):
    """Return the tensors as another implementation names them: the last parts are the field's."""
    return OrderedDict(
        (f"net.{number}.{name.rpartition('.')[2]}", tensor)
        for number, (name, tensor) in enumerate(state.items())
    )


@pytest.mark.parametrize("classifier", ["whole", "of 5 classes", "absent"])
@pytest.mark.parametrize("counted", [True, False])
def test_other_names_in_the_same_order_are_taken_and_it_is_said(
    resnet18, expected, tmp_path, *, caplog, classifier, counted
):
    state = resnet18.state_dict()
    if classifier == "of 5 classes":
        _of_another_size(state, "fc")
    elif classifier == "absent":
        _absent(state, "fc")
    if not counted:
        state = {n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}
    backbone = build(SMALL, saved(tmp_path, in_other_names(state)))
    assert backbone.weights_loaded == Loaded.BY_ORDER
    assert backbone.as_dict()["weights_loaded"] == "by order"
    with torch.inference_mode():
        assert torch.equal(backbone.module(images(64)), expected)
    assert f"w.pth: its {len(state)} tensors have other names" in caplog.text


@pytest.mark.fault(
    "weights", "a converted file whose BatchNorm has bias before weight", "refused, naming both"
)
@pytest.mark.parametrize(
    ("first", "second"),
    [("weight", "bias"), ("running_mean", "running_var")],
)
def test_the_same_shapes_of_other_kinds_are_refused(resnet18, tmp_path, first, second):
    names = list(resnet18.state_dict())
    i, j = names.index(f"bn1.{first}"), names.index(f"bn1.{second}")
    names[i], names[j] = names[j], names[i]
    state = {name: resnet18.state_dict()[name] for name in names}
    with pytest.raises(
        UserError,
        match=rf"no name agrees, and in order net\.{i}\.{second} stands where bn1\.{first} belongs",
    ):
        build(SMALL, saved(tmp_path, in_other_names(state)))


def test_same_shapes_in_another_order_are_not_guessed(resnet18, tmp_path):
    turned = dict(reversed(resnet18.state_dict().items()))
    with pytest.raises(UserError, match=r"conv1\.weight is missing"):
        build(SMALL, saved(tmp_path, in_other_names(turned)))

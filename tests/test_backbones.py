import pickle
import re
from pathlib import Path

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from repro import backbones
from repro.backbones import Preprocess, build
from repro.errors import UserError

SMALL = "torchvision:resnet18"


@pytest.fixture(scope="module")
def resnet18_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(backbones.create(SMALL, seed=3).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("architecture", "parameters", "width"),
    [
        ("torchvision:resnet152", 60_192_808, 2048),
        ("torchvision:convnext_large", 197_767_336, 1536),
        ("timm:tf_efficientnet_lite0", 4_652_008, 1280),
    ],
)
def test_the_networks_have_the_size_the_report_implies(architecture, parameters, width):
    with torch.device("meta"):
        network = backbones.create(architecture)
    assert sum(p.numel() for p in network.parameters()) == parameters
    module = backbones.without_classifier(architecture, network)
    assert backbones.feature_width(module, 224) == width


@pytest.mark.parametrize(
    "architecture",
    [
        "torchvision:vgg11",
        "torchvision:densenet121",
        "torchvision:mobilenet_v3_small",
        "torchvision:vit_b_16",
        "torchvision:swin_t",
        "torchvision:googlenet",
        "timm:resnet18",
        "timm:convnext_atto",
        "timm:vit_tiny_patch16_224",
        "timm:mobilenetv3_small_050",
    ],
)
@pytest.mark.filterwarnings("ignore:The default weight initialization")
def test_the_width_is_found_for_any_network(architecture):
    with torch.device("meta"):
        network = backbones.create(architecture)
    registry, name = backbones.split_name(architecture)
    module = backbones.without_classifier(architecture, network)
    last = [layer for layer in _whole(registry, name).modules() if isinstance(layer, nn.Linear)][-1]
    assert backbones.feature_width(module, 224) == last.in_features


def _whole(registry: str, name: str) -> nn.Module:
    with torch.device("meta"):
        if registry == "timm":
            return timm.create_model(name)
        return models.get_model(name)


def test_a_built_backbone_says_what_it_is_and_gives_rows_of_features():
    backbone = build(SMALL, None)
    assert (backbone.width, backbone.parameters) == (512, 11_689_512)
    assert backbone.weights_sha256 is None
    assert not backbone.module.training
    assert not any(p.requires_grad for p in backbone.module.parameters())
    with torch.inference_mode():
        assert backbone.module(torch.zeros(2, 3, 224, 224)).shape == (2, 512)


def test_a_convnext_keeps_the_norm_before_its_last_layer():
    with torch.device("meta"):
        network = backbones.create("torchvision:convnext_tiny")
    kept = backbones.without_classifier("torchvision:convnext_tiny", network).classifier
    assert [type(layer).__name__ for layer in kept] == ["LayerNorm2d", "Flatten", "Identity"]


def test_random_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = build(SMALL, None, seed=5).module.state_dict()
    state = torch.get_rng_state()
    again = build(SMALL, None, seed=5).module.state_dict()
    other = build(SMALL, None, seed=6).module.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_weights_are_loaded_from_a_file_and_hashed(resnet18_file):
    backbone = build(SMALL, resnet18_file)
    assert len(backbone.weights_sha256) == 64
    saved = torch.load(resnet18_file, weights_only=True)
    for name, tensor in backbone.module.state_dict().items():
        assert torch.equal(tensor, saved[name])


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_a_wrapped_state_dict_is_found(resnet18_file, tmp_path, wrapper):
    path = tmp_path / "wrapped.pth"
    torch.save({wrapper: torch.load(resnet18_file, weights_only=True), "epoch": 3}, path)
    found = build(SMALL, path).module.state_dict()
    expected = build(SMALL, resnet18_file).module.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_safetensors_are_read(tmp_path):
    from safetensors.torch import save_file

    state = backbones.create(SMALL, seed=4).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    loaded = build(SMALL, tmp_path / "w.safetensors").module.state_dict()
    assert torch.equal(loaded["conv1.weight"], state["conv1.weight"])


def test_a_network_with_buffers_outside_the_state_dict_is_built_whole(tmp_path):
    name = "timm:eva02_tiny_patch14_224"  # its rotary embedding is such a buffer
    fresh = backbones.create(name)
    extra = set(dict(fresh.named_buffers())) - set(fresh.state_dict())
    assert extra
    torch.save(fresh.state_dict(), tmp_path / "w.pth")
    loaded = build(name, tmp_path / "w.pth").module
    buffers = dict(loaded.named_buffers())
    for buffer in extra:
        assert torch.equal(buffers[buffer], dict(fresh.named_buffers())[buffer])


def test_other_names_in_the_same_order_are_taken_with_a_warning(tmp_path, caplog):
    state = backbones.create(SMALL, seed=3).state_dict()
    path = tmp_path / "renamed.pth"
    torch.save({f"net_{i}": tensor for i, tensor in enumerate(state.values())}, path)
    loaded = build(SMALL, path).module.state_dict()
    assert torch.equal(loaded["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])
    assert "renamed.pth: its 122 tensors have other names" in caplog.text


@pytest.mark.fault(
    "weights", "weights with a tensor missing, too many or of another shape", "refused, naming it"
)
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda s: s.pop("fc.bias"), "fc.bias is missing"),
        (lambda s: s.update(extra=torch.zeros(1)), "extra is not part of the network"),
        (
            lambda s: s.update({"fc.bias": torch.zeros(7)}),
            "fc.bias has shape (7,) instead of (1000,)",
        ),
    ],
)
def test_the_wrong_weights_are_refused_by_name(resnet18_file, tmp_path, change, problem):
    state = torch.load(resnet18_file, weights_only=True)
    change(state)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError, match=re.escape(problem)):
        build(SMALL, tmp_path / "w.pth")


@pytest.mark.fault("weights", "weights of another network", "refused")
def test_weights_of_another_network_are_refused(resnet18_file):
    with pytest.raises(UserError, match=r"not the weights of torchvision:resnet34: .* more"):
        build("torchvision:resnet34", resnet18_file)


def test_same_shapes_in_another_order_are_not_guessed(tmp_path):
    state = backbones.create(SMALL).state_dict()
    turned = dict(enumerate(reversed(list(state.values()))))
    torch.save({f"net_{i}": tensor for i, tensor in turned.items()}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"conv1\.weight is missing"):
        build(SMALL, tmp_path / "w.pth")


class _Bomb:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self):
        return (Path.touch, (self.flag,))


@pytest.mark.fault("weights", "a weights file that would run code", "refused; the code is not run")
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("through_torch", [True, False])
def test_a_file_with_code_in_it_is_refused_and_the_code_not_run(tmp_path, through_torch):
    flag, path = tmp_path / "ran", tmp_path / "bomb.pth"
    if through_torch:
        torch.save({"conv1.weight": _Bomb(flag)}, path)
    else:
        path.write_bytes(pickle.dumps(_Bomb(flag)))
    with pytest.raises(UserError, match=r"bomb\.pth: not a plain state dict"):
        build(SMALL, path)
    assert not flag.exists()


@pytest.mark.fault("weights", "a weights file that is empty or no weights", "named")
@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_damaged_file_is_named(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=re.escape(name)):
        build(SMALL, tmp_path / name)


@pytest.mark.fault("weights", "a weights file cut off", "named")
def test_a_file_cut_off_in_the_middle_is_named(resnet18_file, tmp_path):
    path = tmp_path / "half.pth"
    path.write_bytes(resnet18_file.read_bytes()[:1_000_000])
    with pytest.raises(UserError, match=r"half\.pth"):
        build(SMALL, path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no such weights file"):
        build(SMALL, tmp_path / "absent.pth")


@pytest.mark.fault("weights", "an architecture nobody knows", "explained, with the nearest names")
@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("resnet152", "expected torchvision:NAME or timm:NAME"),
        ("keras:resnet152", "expected torchvision:NAME or timm:NAME"),
        ("torchvision:resnet153", "near it: resnet152"),
        ("timm:no_such_net", "knows no network of that name"),
        ("torchvision:squeezenet1_0", "ends in no Linear layer"),
    ],
)
def test_unknown_names_are_explained(architecture, message):
    with pytest.raises(UserError, match=message):
        build(architecture, None)


def test_the_weights_own_transform_is_offered_beside_the_reports():
    with torch.device("meta"):
        networks = {
            name: backbones.create(name)
            for name in ("torchvision:convnext_large", "timm:tf_efficientnet_lite0")
        }
    own = {name: backbones.own_preprocess(name, network) for name, network in networks.items()}
    assert own["torchvision:convnext_large"] == Preprocess(resize=232)
    lite = own["timm:tf_efficientnet_lite0"]
    assert (lite.resize, lite.crop, lite.interpolation) == (256, 224, "bicubic")
    assert lite.mean == lite.std == (0.5, 0.5, 0.5)


def test_a_transform_is_chosen_by_name_or_written_out():
    backbone = build("torchvision:convnext_tiny", None)
    assert backbone.preprocess(None) == backbone.preprocess("report") == Preprocess()
    assert backbone.preprocess("own").resize == 236
    assert backbone.preprocess({"resize": 300, "mean": [0, 0, 0]}) == Preprocess(
        300, mean=(0, 0, 0)
    )
    with pytest.raises(UserError, match="unexpected keyword argument 'size'"):
        backbone.preprocess({"size": 3})
    with pytest.raises(UserError, match="expected report, own or a mapping"):
        backbone.preprocess("mine")


@pytest.mark.parametrize("settings", [{"resize": 100}, {"crop": 0}, {"interpolation": "cubic"}])
def test_an_impossible_transform_is_refused(settings):
    with pytest.raises(UserError, match="expected"):
        Preprocess(**settings)

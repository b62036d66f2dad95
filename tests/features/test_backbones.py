import pickle
import re
from pathlib import Path

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from official_weights import features_of, images, network, write
from repro.errors import UserError
from repro.features import backbones
from repro.features.backbones import Preprocess, build, own_preprocess

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
    assert backbone.weights_sha256 == backbone.weights_loaded == "none: random weights"
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
    with pytest.raises(
        UserError, match=r"bomb\.pth: refused: it holds more than a network's numbers"
    ):
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
    with pytest.raises(UserError, match="no such file of weights"):
        build(SMALL, tmp_path / "absent.pth")


@pytest.mark.fault("weights", "an architecture nobody knows", "explained, with the nearest names")
@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("resnet152", "expected torchvision:NAME or timm:NAME"),
        ("keras:resnet152", "expected torchvision:NAME or timm:NAME"),
        ("torchvision:resnet153", "near it: resnet152"),
        ("timm:no_such_net", "knows no network of that name"),
        ("timm:vit_tiny_patch16_224.in1k", r"near it: .*vit_tiny_patch16_224\.augreg_in21k"),
        ("torchvision:squeezenet1_0", "ends in no Linear layer"),
    ],
)
def test_unknown_names_are_explained(architecture, message):
    with pytest.raises(UserError, match=message):
        build(architecture, None)


# --- the weights' own transform and size ---------------------------------------------------------

NO_HASH = "0" * 64


@pytest.mark.parametrize(
    ("architecture", "file", "sha256", "transform"),
    [
        ("torchvision:resnet50", "resnet50-0676ba61.pth", NO_HASH, Preprocess(256)),
        ("torchvision:resnet50", "resnet50-11ad3fa6.pth", NO_HASH, Preprocess(232)),
        ("torchvision:resnet50", "resnet50-11ad3fa6.safetensors", NO_HASH, Preprocess(232)),
        ("torchvision:resnet50", "mine.pth", "11ad3fa6" + NO_HASH[8:], Preprocess(232)),
        # The hash knows better than a name that may be wrong.
        (
            "torchvision:resnet50",
            "resnet50-0676ba61.pth",
            "11ad3fa6" + NO_HASH[8:],
            Preprocess(232),
        ),
        (
            "torchvision:vit_b_16",
            "vit_b_16_swag-9ac1b537.pth",
            NO_HASH,
            Preprocess(384, 384, interpolation="bicubic"),
        ),
        (
            "timm:tf_efficientnet_lite0",
            "tf_efficientnet_lite0-0aa007d2.pth",
            NO_HASH,
            Preprocess(256, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic"),
        ),
        (
            "timm:vit_tiny_patch16_384",
            "vit_tiny_patch16_384.augreg_in21k_ft_in1k.safetensors",
            NO_HASH,
            Preprocess(384, 384, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic"),
        ),
        # Which weights they are is said by the tag, whatever the file is called.
        (
            "timm:convnext_atto.d2_in1k",
            "model.safetensors",
            NO_HASH,
            Preprocess(256, 224, interpolation="bicubic"),
        ),
    ],
)
def test_the_own_transform_is_that_of_the_weights_file(architecture, file, sha256, transform):
    assert own_preprocess(architecture, Path(file), sha256) == transform


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("torchvision:resnet50", r"w\.pth, .* \(known: resnet50-0676ba61\.pth, resnet50-11ad3fa6"),
        ("torchvision:regnet_x_400mf", "set `preprocess: report`"),
        ("timm:tf_efficientnet_lite0", "in `architecture`: timm:tf_efficientnet_lite0.in1k"),
    ],
)
def test_the_transform_of_an_unknown_file_is_not_guessed(architecture, message):
    with pytest.raises(UserError, match=message):
        own_preprocess(architecture, Path("w.pth"), NO_HASH)


@pytest.mark.parametrize(
    ("tagged", "message"),
    [
        ("convnext_base.fb_in22k_ft_in1k_384", "384 x 384 pixels, by crop_mode 'squash'"),
        ("deepseek_vit_412m.deepseek_v4_flash_vision_exp", "by crop_mode 'border'"),
        ("vit_base_patch16_sapiens2.fb", "have 3 channels and 1024 x 768 pixels"),
    ],
)
def test_a_transform_that_cannot_be_done_is_refused(tagged, message):
    with pytest.raises(UserError, match=message):
        own_preprocess(f"timm:{tagged}")


def test_a_network_is_built_for_the_transform_that_is_asked_for(tmp_path):
    assert build(SMALL, None).preprocess == Preprocess()
    file = tmp_path / "resnet18-f37072fd.pth"
    torch.save(backbones.create(SMALL).state_dict(), file)
    assert build(SMALL, file, preprocess="own").preprocess == Preprocess()
    other = file.rename(tmp_path / "other.pth")
    assert build(SMALL, other).preprocess == Preprocess()
    with pytest.raises(UserError, match="so their transform is not known"):
        build(SMALL, other, preprocess="own")


@pytest.mark.fault(
    "weights", "a network of fixed input size under another transform", "refused before any image"
)
def test_a_network_of_fixed_size_is_refused_before_any_image():
    with pytest.raises(UserError, match=r"takes no images of 224 x 224 pixels.* to own .*384"):
        build("timm:vit_tiny_patch16_384", None)
    assert build("timm:vit_tiny_patch16_384", None, preprocess="own").width == 192


@pytest.mark.heavy
def test_a_vision_transformer_is_built_for_the_size_its_weights_were_made_for(tmp_path):
    whole = network("torchvision:vit_b_16", image_size=384)
    file = write(tmp_path, "torchvision:vit_b_16", whole)
    with pytest.raises(UserError, match=r"pos_embedding has shape \[1, 577, 768\] instead of"):
        build("torchvision:vit_b_16", file)
    swag = file.rename(tmp_path / "vit_b_16_swag-9ac1b537.pth")
    with pytest.raises(UserError, match="takes no images of 224 x 224 pixels"):
        build("torchvision:vit_b_16", swag)
    backbone = build("torchvision:vit_b_16", swag, preprocess="own")
    with torch.inference_mode():
        assert torch.equal(backbone.module(images(384, 1)), features_of(whole, images(384, 1)))


class _LooksAtValues(nn.Module):
    """A network that cannot run without values, as a mask or a data-dependent branch cannot."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        assert x.shape[-1] == 8, "wrong height"
        if self.scale.item() > 0:
            x = self.norm(x)
        return x.mean((2, 3))


def test_a_network_that_looks_at_values_is_tried_for_real_and_left_as_it_was():
    module = _LooksAtValues()
    assert backbones.feature_width(module, 8) == 3
    assert module.norm.num_batches_tracked == 0, "it was in training mode"
    with pytest.raises(UserError, match=r"images of 9 x 9 pixels.*\(wrong height\)"):
        backbones.feature_width(module, 9)


@pytest.mark.parametrize("settings", [{"resize": 100}, {"crop": 0}, {"interpolation": "cubic"}])
def test_an_impossible_transform_is_refused(settings):
    with pytest.raises(UserError, match="expected"):
        Preprocess(**settings)

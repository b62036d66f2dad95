"""Networks with weights that a wrong load would show, and their files in the official form."""

from pathlib import Path

import timm
import torch
from torch import Tensor, nn
from torchvision import models

from repro.rehearsal import official_form

# Made so by torchvision's builders together with weights; the image's values are shifted.
WITH_WEIGHTS = {"googlenet": {"transform_input": True}, "inception_v3": {"transform_input": True}}


@torch.no_grad()
def network(architecture: str, seed: int = 0, **settings) -> nn.Module:
    """Return the whole network as its registry makes it for weights, every tensor of it random."""
    registry, _, name = architecture.partition(":")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if registry == "timm":
            made = timm.create_model(name)
        else:
            extra = {"init_weights": False} if name in WITH_WEIGHTS else {}
            made = models.get_model(name, **extra, **WITH_WEIGHTS.get(name, {}), **settings)
        for key, tensor in (*made.named_parameters(), *made.named_buffers()):
            if key.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif key.endswith(("running_mean", "bias")):
                tensor.uniform_(-0.1, 0.1)
            elif "layer_scale" in key or (key.endswith("weight") and tensor.ndim == 1):
                tensor.uniform_(0.5, 1.5)
    return made.eval()


@torch.inference_mode()
def features_of(whole: nn.Module, images: Tensor) -> Tensor:
    """Return what goes into the last Linear layer: the features, without the product's code."""
    caught = []
    last = [layer for layer in whole.modules() if isinstance(layer, nn.Linear)][-1]
    with last.register_forward_pre_hook(lambda layer, inputs: caught.append(inputs[0])):
        whole(images)
    return caught[0]


def images(side: int, count: int = 2) -> Tensor:
    """Return normalised noise, shape (count, 3, side, side)."""
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(7))


def write(folder: Path, architecture: str, whole: nn.Module, **how: bool) -> Path:
    """Write the network's weights in the official form; return the file."""
    file = folder / f"{architecture.partition(':')[2]}.pth"
    official_form.write(official_form.official_state(architecture, whole), file, **how)
    return file

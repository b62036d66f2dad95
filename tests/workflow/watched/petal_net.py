"""A network for tests, small and with all that protocols differ in: BatchNorm, stochastic depth.

Imported, it is known to timm as ``petal_net``.
"""

from timm.layers import DropPath
from timm.models import generate_default_cfgs, register_model
from torch import nn

OWN = {
    "url": "petals.pth",  # the name of the weights that it goes with
    "input_size": (3, 64, 64),
    "crop_pct": 0.9,
    "interpolation": "bicubic",
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.25, 0.3),
}
default_cfgs = generate_default_cfgs({"petal_net.drawn": OWN})


class Block(nn.Module):
    def __init__(self, below: int, width: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(below, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.branch = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.drop = DropPath(0.3)

    def forward(self, x):
        x = self.down(x)
        return x + self.drop(self.branch(x))


class PetalNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.blocks = nn.Sequential(Block(8, 12), Block(12, 16), Block(16, 24))
        self.pool = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc: nn.Module = nn.Linear(24, 10)
        self.pretrained_cfg = OWN

    def reset_classifier(self, num_classes: int) -> None:
        self.fc = nn.Linear(24, num_classes) if num_classes else nn.Identity()

    def forward(self, x):
        return self.fc(self.pool(self.blocks(self.stem(x))))


@register_model
def petal_net(pretrained: bool = False, **_: object) -> PetalNet:
    return PetalNet()

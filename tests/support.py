"""What tests share that is no fixture."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

MNIST_PARTS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

"""How a fully connected net is made and trained, the report's way.

The report's net is the multilayer perceptron of chapter 11 of Raschka, Liu and Mirjalili,
"Machine Learning with PyTorch and Scikit-Learn" (2022). Its figures come out to the digit only if
each of the following is as there; each has its one place:

- the scaling of pixels to −1..1: :func:`repro.mnist.images.scale_pixels`;
- the initial weights and the order in which they are drawn: :meth:`repro.mnist.net.Mlp.drawn`;
- a last batch that is not full is left out: :func:`full_batches`;
- an evaluation draws a shuffle that changes nothing but the random stream:
  :meth:`repro.mnist.numpy_trainer.NumpyTrainer.evaluate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MlpRecipe:
    """The same for the NumPy and the PyTorch net; config/schema.yaml says what is allowed.

    Attributes:
        hidden: units of each hidden layer, from input to output; empty for none.
        learning_rate: of stochastic gradient descent.
        batch_size: images a step; more than there are means all of them.
        epochs: passes over the training images.
        activation: of the hidden layers: "sigmoid", "relu" or "tanh".
        output: of the last layer: "sigmoid" or "linear".
        loss: "mse" or "cross_entropy" (of softmax of the outputs). The NumPy net sums "mse" over
            the classes, PyTorch averages it; both average over the batch.
        dtype: "float64" or "float32".
        initial_std: of the NumPy net, whose weights are drawn from normal(0, initial_std) and
            whose biases are zero. The PyTorch net starts as PyTorch's layers do.
        momentum, weight_decay: as of ``torch.optim.SGD``; without them descent is plain.
    """

    hidden: Sequence[int]
    learning_rate: float
    batch_size: int
    epochs: int
    activation: str = "sigmoid"
    output: str = "sigmoid"
    loss: str = "mse"
    dtype: str = "float64"
    initial_std: float | None = None
    momentum: float = 0
    weight_decay: float = 0


def full_batches(n: int, batch_size: int) -> Iterator[slice]:
    """Yield the places of each batch in an order of ``n`` images.

    A last batch that is not full is left out, as the report did (of 55,000 images in batches of
    100 none is). A batch size above ``n`` gives one batch of them all.
    """
    size = min(batch_size, n)
    for start in range(0, n - size + 1, size):
        yield slice(start, start + size)

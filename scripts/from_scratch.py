"""Write docs/FROM_SCRATCH.md: the net of `repro.mnist.net`, step by step, with exercises."""

import argparse
import inspect
import io
import textwrap
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, StrictUndefined
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from snakemake.utils import update_config
from threadpoolctl import threadpool_limits

from repro.config import check
from repro.mnist.images import MnistSplits, load_splits, scale_pixels
from repro.mnist.net import Mlp
from repro.mnist.numpy_trainer import NumpyTrainer
from repro.mnist.recipe import MlpRecipe
from repro.plan import Plan
from repro.teaching.exercises import EPOCHS, EXERCISES, NET, SEED, Exercise, answer
from repro.teaching.steps import backward, check_gradient, forward, some

ROOT = Path(__file__).parents[1]
SNAPSHOTS = (1, 5, 50)
SHOWN = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/mnist"))
    parser.add_argument("--output", type=Path, default=Path("docs/FROM_SCRATCH.md"))
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of each exercise")
    options = parser.parse_args()
    data = load_splits(*(options.data / name for name in ("images.npy", "labels.npy", "split.csv")))
    pictures = options.output.parent / "from_scratch"
    pictures.mkdir(parents=True, exist_ok=True)
    with threadpool_limits(1):
        text = page(data, pictures, options.epochs)
    options.output.write_text(text, encoding="utf-8")


def page(data: MnistSplits, pictures: Path, epochs: int) -> str:
    """Return the page, and write its pictures; exercises train for so many epochs."""
    recipe = recipe_of({})
    short = replace(recipe, epochs=epochs)
    net = NumpyTrainer(data, recipe, SEED).net
    plain = Mlp(net.weights, net.biases, **net.kinds)
    x, label = scale_pixels(data.train.pixels[:1]), int(data.train.labels[0])
    y = np.eye(10)[[label]]
    # In the middle of the image, where pixels are not all alike.
    places = {"weights_0": (3, 406), "biases_0": (3,), "weights_1": (label, 3), "biases_1": (0,)}
    snapshots, trainer = trained(data, recipe, pictures)
    wrong, pairs = mistakes(trainer, data, pictures / "wrong.png")
    look = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)  # noqa: S701
    template = look.from_string((ROOT / "resources/from_scratch.md.j2").read_text("utf-8"))
    return template.render(
        net=NET,
        seed=SEED,
        recipe=recipe,
        label=label,
        source={name: source(getattr(Mlp, name)) for name in ("forward", "backward")},
        forward=forward(plain, x),
        backward=backward(plain, x, y),
        loss=plain.evaluate(x, y)[0],
        gradient=check_gradient(plain, x, y, places),
        parameters=sum(array.size for array in plain.parameters().values()),
        some=some,
        snapshots=snapshots,
        epochs=recipe.epochs,
        wrong=wrong,
        tested=len(data.test.labels),
        shown=min(SHOWN, wrong),
        pairs=pairs,
        exercise_epochs=epochs,
        exercises=EXERCISES,
        overlay=lambda exercise: overlay(exercise, epochs),
        base=answer(Exercise("", ""), data, short),
        answers=[
            answer(exercise, data, replace(recipe_of(exercise.overlay), epochs=epochs))
            for exercise in EXERCISES
        ],
    )


def overlay(exercise: Exercise, epochs: int) -> str:
    """Return the exercise's configuration, to be laid over config.yaml."""
    changed = yaml.safe_dump({**exercise.overlay, "epochs": epochs}, default_flow_style=True)
    return (
        f"models: [{NET}]\nresults_dir: results/mine\n"
        f"mnist: {{nets: {{{NET}: {changed.strip()}}}}}\n"
    )


def recipe_of(changes: dict[str, Any]) -> MlpRecipe:
    """Return the recipe of the net as configured, with these changes."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    update_config(config, {"models": [NET], "mnist": {"nets": {NET: changes}}})
    check(config, yaml.safe_load((ROOT / "config/schema.yaml").read_text("utf-8")))
    (model,) = Plan(config).models
    return MlpRecipe(**model.recipe)


def source(function: Any) -> str:
    """Return the code of a method, without its docstring."""
    text = textwrap.dedent(inspect.getsource(function))
    head, _, rest = text.partition('"""')
    _, _, body = rest.partition('"""\n')
    return (head.rstrip() + "\n" + body).rstrip()


def trained(
    data: MnistSplits, recipe: MlpRecipe, pictures: Path
) -> tuple[dict[int, float], NumpyTrainer]:
    """Train, and draw the first layer on the way; return accuracies by epoch, and the trainer."""
    trainer, found = NumpyTrainer(data, recipe, SEED), {}
    for epoch in range(1, recipe.epochs + 1):
        trainer.train_epoch()
        # Both, because each draws from the random stream.
        trainer.evaluate("train")
        _, accuracy = trainer.evaluate("validation")
        if epoch in SNAPSHOTS:
            found[epoch] = accuracy
            draw_weights(trainer.net.weights[0], pictures / f"weights_{epoch}.png")
    return found, trainer


def mistakes(
    trainer: NumpyTrainer, data: MnistSplits, picture: Path
) -> tuple[int, list[tuple[int, int, int]]]:
    """Draw the surest mistakes; return how many there are, and the three commonest pairs."""
    scores = trainer.scores(data.test.pixels)
    said, true = scores.argmax(axis=1), data.test.labels
    wrong = np.flatnonzero(said != true)
    surest = wrong[np.argsort(-scores[wrong].max(axis=1), kind="stable")][:SHOWN]
    titles = [f"{true[i]} → {said[i]}" for i in surest]
    draw([data.test.pixels[i].reshape(28, 28) for i in surest], picture, "gray_r", titles)
    pairs = Counter(zip(true[wrong].tolist(), said[wrong].tolist(), strict=True))
    return len(wrong), [(*pair, times) for pair, times in pairs.most_common(3)]


def draw_weights(weights: Any, file: Path) -> None:
    draw(
        [row.reshape(28, 28) for row in weights], file, "RdBu", limit=float(abs(weights).max()) / 2
    )


def draw(
    images: list[Any], file: Path, colours: str, titles: list[str] | None = None, limit: float = 0.0
) -> None:
    """Write images side by side, ten a row, as PNG; ``limit``: of values on both sides of 0."""
    rows = max(1, -(-len(images) // 10))
    figure = Figure(figsize=(7, (0.9 if titles else 0.72) * rows), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 10, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for i, image in enumerate(images):
        bounds = {"vmin": -limit, "vmax": limit} if limit else {}
        axes[i].imshow(image, cmap=colours, **bounds)
        if titles:
            axes[i].set_title(titles[i], fontsize=8)
    figure.tight_layout(pad=0.2)
    drawn = io.BytesIO()
    figure.savefig(drawn, metadata={"Software": None})
    Image.open(drawn).convert("RGB").quantize(32).save(file, optimize=True)


if __name__ == "__main__":
    main()

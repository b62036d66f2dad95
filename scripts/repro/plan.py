"""What a configuration asks for: which models, their runs, and what each run is made of.

All of it follows from the configuration alone. A run has a name for its folder; what the name
stands for, its seed and its split, is never read back out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAIN = "main"
GENERATED = "generated"
OXFORD = "oxford102"
OFFICIAL = "official"
NO_WEIGHTS = "none"

# The downloads of each data set, under its name.
MNIST_FILES = {
    "train_images": "mnist/train-images-idx3-ubyte",
    "train_labels": "mnist/train-labels-idx1-ubyte",
    "test_images": "mnist/t10k-images-idx3-ubyte",
    "test_labels": "mnist/t10k-labels-idx1-ubyte",
}
ARCHIVE, LABELS, SETID = "102flowers.tgz", "imagelabels.mat", "setid.mat"
LABELS_TABLE = "labels.csv"  # in place of LABELS

# What training leaves in a run's folder, beside the model itself.
HISTORY, PREDICTIONS = "history.csv", "predictions.npz"
# Where the results keep copies of the logs.
LOGS = "workflow/logs"
_MODEL_FORMATS = {"numpy": "npz", "torch": "safetensors"}
# What of a net's description changes nothing in its training: a new title reruns nothing.
_NOT_OF_THE_RECIPE = (
    *("title", "framework", "seeds", "reported", "recipe", "longer_of", "like", "against"),
)
# What holds of a net that leaves it out.
_LEFT_OUT = {"mnist": {"momentum": 0, "weight_decay": 0}, "flowers": {}}
# Rules that each net has for itself, named "train_resnet152".
_OF_A_NET = ("adapt", "features", "join", "train")


@dataclass(frozen=True)
class Run:
    """One training of a model.

    Attributes:
        name: of its folder, "seed-123" or "split-92".
        seed: of the net, or of a flower net's head.
        split: which split of the data set it is on, "main" or "seed-92".
        number: what tells it from its model's other runs: its seed, or the seed of its split.
    """

    name: str
    seed: int
    split: str
    number: int


@dataclass(frozen=True)
class Model:
    """A net that the configuration describes.

    Attributes:
        name: its key in the configuration.
        part: "mnist" or "flowers": which half of the report it belongs to.
        net: its description, with what it leaves out.
        title: for tables and figures; it says where the figures are not the report's.
        runs: the headline first.
    """

    name: str
    part: str
    net: Mapping[str, Any]
    title: str
    runs: tuple[Run, ...]

    @property
    def headline(self) -> Run:
        """The run whose figures stand for the model."""
        return self.runs[0]

    @property
    def splits(self) -> list[str]:
        """The splits its runs are on, in the order of the runs."""
        return list(dict.fromkeys(run.split for run in self.runs))

    @property
    def covers(self) -> list[str]:
        """What each pass of a flower backbone serves: all splits, or the one it has seen."""
        return self.splits if self.protocol == "adapted" else ["all"]

    @property
    def numbered_runs(self) -> list[dict[str, Any]]:
        """A flower net's runs, each with its split as an index into the model's splits."""
        return [
            {"run": run.name, "seed": run.seed, "split": self.splits.index(run.split)}
            for run in self.runs
        ]

    @property
    def framework(self) -> str:
        """ "numpy" or "torch"."""
        return str(self.net.get("framework", "torch"))

    @property
    def file(self) -> str:
        """The name of the file that training leaves a run's weights in."""
        return f"model.{_MODEL_FORMATS[self.framework]}"

    @property
    def protocol(self) -> str:
        """How the backbone of a flower net runs; empty for MNIST's nets."""
        return str(self.net.get("protocol", ""))

    @property
    def keeps_features(self) -> bool:
        """Whether its backbone runs once, and heads are trained on what it gave."""
        return self.protocol in ("frozen", "adapted")

    @property
    def weights(self) -> list[str]:
        """The download of its backbone's weights; none for random ones, and for MNIST's nets."""
        name = self.net.get("weights", NO_WEIGHTS)
        return [] if name == NO_WEIGHTS else [name]

    @property
    def loss(self) -> str:
        """The loss it is trained with."""
        return str(self.net.get("loss", "nll"))

    @property
    def against(self) -> str:
        """The net it is set against: by default the one it is like; empty for none."""
        return self.net.get("against", self.net.get("like")) or ""

    @property
    def recipe(self) -> dict[str, Any]:
        """What of its description changes its training."""
        return {key: each for key, each in self.net.items() if key not in _NOT_OF_THE_RECIPE}

    def run(self, name: str) -> Run:
        """Return the run of a name; raise KeyError where there is none."""
        return {run.name: run for run in self.runs}[name]


class Plan:
    """A checked configuration, read as models and runs.

    Attributes:
        nets: every model the configuration describes, by name.
        models: those that run, in the configuration's order.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Read a configuration that has passed :func:`repro.config.check`."""
        self.config = config
        self.nets = {
            name: Model(
                name, part, _LEFT_OUT[part] | net, self._title(part, net), _runs(part, net, config)
            )
            for part in ("mnist", "flowers")
            for name, net in config[part]["nets"].items()
        }
        self.models = [self.nets[name] for name in config["models"]]

    def of(self, part: str) -> list[Model]:
        """Return the models that run, of one half of the report."""
        return [model for model in self.models if model.part == part]

    @property
    def pairs(self) -> list[tuple[Model, Model]]:
        """Each model that runs with the one it is set against, where that runs too."""
        running = {model.name: model for model in self.models}
        return [(one, running[one.against]) for one in self.models if one.against in running]

    def described(self, part: str) -> list[Model]:
        """Return every model of one half, whether it runs or not: each has rules of its own."""
        return [model for model in self.nets.values() if model.part == part]

    @property
    def from_scratch(self) -> list[Model]:
        """The models that run whose net is written here, in NumPy."""
        return [model for model in self.models if model.framework == "numpy"]

    @property
    def generated(self) -> bool:
        """Whether the images of flower nets are drawn, not fetched."""
        return bool(self.config["flowers"]["data"] == GENERATED)

    @property
    def in_folders(self) -> bool:
        """Whether the pictures are files of the user's own, in folders or named by a table."""
        flowers = self.config["flowers"]
        return bool(flowers["folders"] or flowers["table"])

    @property
    def own_data(self) -> bool:
        """Whether the pictures are of the user's own, in folders or in an archive."""
        return self.config["flowers"]["data"] not in (OXFORD, GENERATED)

    @property
    def report(self) -> str:
        """The report's file; of pictures of one's own no report says a word."""
        return "resources/no_report.yaml" if self.own_pictures else str(self.config["report"])

    @property
    def own_pictures(self) -> bool:
        """Whether all that runs is on pictures of the user's own, which no report is about."""
        nets = all(m.part == "flowers" and m.net["reported"] is None for m in self.models)
        return self.own_data and nets

    @property
    def asks(self) -> bool:
        """Whether a trained net is asked what pictures show."""
        return bool(self.config["predict"]["run"])

    @property
    def official_split(self) -> bool:
        """Whether the flowers are split as their authors did."""
        return bool(self.config["flowers"]["split"]["kind"] == OFFICIAL)

    @property
    def splits(self) -> list[str]:
        """The splits that flower nets are on, each once."""
        return list(dict.fromkeys(split for model in self.of("flowers") for split in model.splits))

    def split(self, name: str) -> dict[str, Any]:
        """Return how a split of the flowers is drawn."""
        knobs = dict(self.config["flowers"]["split"])
        seeds = {
            run.split: run.number
            for model in self.described("flowers")
            for run in model.runs
            if run.split != MAIN
        }
        return knobs if name == MAIN else {**knobs, "seed": seeds[name]}

    @property
    def flower_files(self) -> list[str]:
        """The downloads the flowers are made of; none where they are drawn."""
        files = [ARCHIVE, self.labels_file, *([SETID] if self.official_split else [])]
        if self.generated or self.in_folders:
            return []
        return [f"{self.config['flowers']['data']}/{name}" for name in files]

    @property
    def labels_file(self) -> str:
        """The name of the download that holds the labels of an archive's images."""
        table = f"{self.config['flowers']['data']}/{LABELS_TABLE}"
        return LABELS_TABLE if table in self.config["downloads"] else LABELS

    @property
    def downloads(self) -> list[str]:
        """Every download that the models that run are made of, each once."""
        return list(self.needs)

    @property
    def needs(self) -> dict[str, list[str]]:
        """Every download, with the names of the models that run and need it."""
        of_part = {"mnist": [*MNIST_FILES.values()], "flowers": self.flower_files}
        needed: dict[str, list[str]] = {}
        for model in self.models:
            for name in of_part[model.part]:
                needed.setdefault(name, []).append(model.name)
        for model in self.models:
            for name in model.weights:
                needed.setdefault(name, []).append(model.name)
        return needed

    @property
    def model_of_rule(self) -> dict[str, str]:
        """The model of each rule that one model has for itself."""
        return {f"{verb}_{name}": name for verb in _OF_A_NET for name in self.nets}

    def _title(self, part: str, net: Mapping[str, Any]) -> str:
        title = net["title"] + (" (rehearsal)" if self.config["rehearsal"] else "")
        return f"{title} on drawn images" if part == "flowers" and self.generated else title


def _runs(part: str, net: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Run, ...]:
    """Return a model's runs; one on another split takes the first seed for its head."""
    knobs = {**config[part], **net}
    runs = [Run(f"seed-{seed}", seed, MAIN, seed) for seed in knobs["seeds"]]
    first = knobs["seeds"][0]
    others = knobs.get("split_seeds", [])
    return tuple(runs + [Run(f"split-{seed}", first, f"seed-{seed}", seed) for seed in others])

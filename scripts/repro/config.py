"""The check of a configuration, with messages a person can act on."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from repro.errors import UserError
from repro.plan import GENERATED, OFFICIAL, OXFORD, Plan
from repro.schema import A_TEXT, problems

_DIGITS = 10
_OWN_FOLDERS = (
    *(".ci", ".git", ".snakemake", ".venv", "bench", "config", "docs", "envs", "profiles"),
    *("resources", "rules", "scripts", "tests"),
)
_PARTS = ("mnist", "flowers")
_NULL = f"; 'null' here {A_TEXT}, not YAML's null"
_AS_TEXT = (
    "On the command line, all inside braces or brackets is text to Snakemake: put it into a file "
    "of your own, and name that by --configfile"
)
# What a net does not take from the one it is like.
_OF_ITS_OWN = ("like", "against", "title", "reported", "recipe", "longer_of")


def fill_in(config: Mapping[str, Any]) -> None:
    """Fill in, in place, each net that is ``like`` another, so that all else sees whole nets.

    It takes from that net what it does not say itself. Without a title it is named by what
    differs; it is not in the report and its recipe is its own, unless it says otherwise. What is
    filled in already stays as it is. What has no shape of a net is left to :func:`check`.

    MNIST's ``split.kind`` is taken out where it says what holds without it: the same split is then
    the same to all that compares.

    Raises:
        UserError: a net is like one that is not known, or like itself, be it by way of others.
    """
    problems: list[str] = []
    for part in _PARTS:
        shared = config.get(part)
        nets = shared.get("nets") if isinstance(shared, Mapping) else None
        if not isinstance(nets, dict):
            continue
        found = {name: net for name, net in nets.items() if isinstance(net, Mapping)}
        lines = {name: _line(name, found) for name, net in found.items() if "like" in net}
        broken = [_broken(f"{part}.nets", line, found) for line in lines.values()]
        problems += filter(None, broken)
        if not any(broken):
            nets |= {name: _whole(line, found) for name, line in lines.items()}
    _refuse(problems)
    mnist = config.get("mnist")
    split = mnist.get("split") if isinstance(mnist, Mapping) else None
    if isinstance(split, dict) and split.get("kind") == "stratified":
        del split["kind"]


def _line(name: str, nets: Mapping[str, Any]) -> list[str]:
    """Return a net, the one it is like, the one that is like, and so on, to the first told twice.

    Where the last of them is unknown or stands there twice, the line leads nowhere.
    """
    line = [name]
    while line[-1] in nets and line[-1] not in line[:-1] and "like" in nets[line[-1]]:
        line.append(str(nets[line[-1]]["like"]))
    return line


def _broken(place: str, line: list[str], nets: Mapping[str, Any]) -> str:
    *_, before, last = line
    if last not in nets:
        known = ", ".join(sorted(nets))
        return f"{place}.{before}.like: {last!r} is no net; must be one of {known}"
    if last in line[:-1]:
        way = " → ".join(line)
        return f"{place}.{line[0]}.like: goes in a circle, {way}; describe one of them whole"
    return ""


def _whole(line: list[str], nets: Mapping[str, Any]) -> dict[str, Any]:
    net, filled = nets[line[0]], _taken(line, nets)
    titled = next((i for i, name in enumerate(line) if "title" in nets[name]), len(line) - 1)
    base = _taken(line[titled:], nets)
    differs = [
        f"{key} {value}"
        for key, value in filled.items()
        if base.get(key) != value and key not in ("seeds", "split_seeds")
    ]
    title = ", ".join([str(nets[line[titled]].get("title", line[titled])), *differs])
    return {"title": title, **filled, "reported": None, "recipe": "own", **net}


def _taken(line: list[str], nets: Mapping[str, Any]) -> dict[str, Any]:
    """Return what trains a net: the first of the line says the last word."""
    filled: dict[str, Any] = {}
    for name in reversed(line):
        own = {key: value for key, value in nets[name].items() if key not in _OF_ITS_OWN}
        if own.get("framework") == "torch":  # which draws its weights in its own way
            filled.pop("initial_std", None)
        filled |= copy.deepcopy(own)
    return filled


def check(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Check ``config`` against ``schema`` (JSON schema, draft 2020-12) and against itself.

    Raises:
        UserError: lists every problem with its key, its value and what is allowed.
    """
    _refuse(problems(config, schema) or _contradictions(config))


def check_names(
    config: Mapping[str, Any], downloads: Collection[str], reported: Collection[str]
) -> None:
    """Check that what the configuration names is known: files, and models of the report.

    Args:
        config: the configuration, which has passed :func:`check`.
        downloads: the files there are sources of.
        reported: the models there are reported figures of; only nets that run are checked against
            them, so that another report leaves the nets that ship as they are.

    Raises:
        UserError: lists every name that is not.
    """
    weights = ", ".join(sorted(name for name in downloads if name.startswith("weights/")))
    problems = [
        f"flowers.nets.{name}.weights: {net['weights']!r} is not a known download; must be "
        f"none, one of {weights}, or a name you add under downloads"
        for name, net in config["flowers"]["nets"].items()
        if net["weights"] != "none" and net["weights"] not in downloads
    ]
    problems += [
        f"{part}.nets.{name}.reported: {net['reported']!r} is no model of the report; must be null "
        f"or one of {', '.join(reported)}{_NULL if net['reported'] == 'null' else ''}"
        for part in _PARTS
        for name, net in config[part]["nets"].items()
        if name in config["models"]
        and net["reported"] is not None
        and net["reported"] not in reported
    ]
    name = config["flowers"]["data"]
    problems += [
        f"flowers.data: {name!r} needs {file}, which is not a known download; must be oxford102, "
        "generated, or a name whose files you add under downloads; pictures in folders are named "
        "under flowers.folders"
        for file in Plan(config).flower_files
        if file not in downloads
    ]
    _refuse(problems)


def _refuse(problems: list[str]) -> None:
    if problems:
        of_text = any(A_TEXT in problem for problem in problems)
        lines = [*problems, _AS_TEXT] if of_text else problems
        raise UserError("Configuration:\n" + "\n".join(f"  - {line}" for line in lines))


def repeated_keys(text: str) -> list[str]:
    """Return the keys that stand twice in one map of a YAML text, each with its place.

    A parser takes the last one and drops the first without a word. A text that is no YAML, such as
    JSON with tabs, has none.
    """
    found = []

    def walk(node: yaml.Node | None, place: str) -> None:
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                walk(item, place)
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}  # where each key stood last
            for key, value in node.value:
                path = f"{place}{key.value}"
                line = key.start_mark.line + 1
                if path in lines:
                    found.append(
                        f"{path}: stands twice, in lines {lines[path]} and {line}; put what is "
                        "below both under one"
                    )
                lines[path] = line
                walk(value, f"{path}.")

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return []
    walk(root, "")
    return found


def check_repeats(files: Iterable[Path]) -> None:
    """Check that no key stands twice in one of the configuration's files.

    Raises:
        UserError: lists every key that does, with its file and lines.
    """
    _refuse(
        [
            f"{file}: {problem}"
            for file in files
            for problem in repeated_keys(file.read_text(encoding="utf-8"))
        ]
    )


def _contradictions(config: Mapping[str, Any]) -> list[str]:
    return [
        *_of_folders(config),
        *_of_models(config),
        *_of_mnist(config["mnist"]),
        *_of_flowers(config["flowers"]),
        *_of_predict(config),
    ]


def _of_folders(config: Mapping[str, Any]) -> list[str]:
    """The project's own files must not be taken for results, nor be written over."""
    problems = []
    for key, value in config.items():
        if key.endswith("_dir"):
            path = Path(os.path.normpath(value))
            if not path.name or path.name == ".." or path.parts[0] in _OWN_FOLDERS:
                problems.append(
                    f"{key}: {value!r} is not allowed, the project's own files are there; name a "
                    "folder of its own"
                )
    return problems


def _of_models(config: Mapping[str, Any]) -> list[str]:
    problems = []
    nets, backbones = config["mnist"]["nets"], config["flowers"]["nets"]
    described = {**nets, **backbones}
    model_of: dict[str, str] = {}
    for model in config["models"]:
        if model not in described:
            problems.append(
                f"models: {model!r} is described nowhere; known are {', '.join(sorted(described))}"
            )
            continue
        title = described[model]["title"]
        if (other := model_of.setdefault(title, model)) != model:
            problems.append(f"models: {other} and {model} are both titled {title!r}; rename one")
    for part in _PARTS:
        for name, net in config[part]["nets"].items():
            problems += _of_against(f"{part}.nets.{name}", name, net, config)
    for model in sorted(set(nets) & set(backbones)):
        problems.append(f"{model!r} stands under mnist.nets and flowers.nets; rename one")
    return problems


def _of_against(
    place: str, name: str, net: Mapping[str, Any], config: Mapping[str, Any]
) -> list[str]:
    """A net that runs can be set against another that runs, on the same images."""
    other, part = net.get("against"), place.partition(".")[0]
    if other is None:
        return []
    known = sorted(set(config[part]["nets"]) - {name})
    if other not in known:
        said = f"{other!r} is no other net; must be null or one of {', '.join(known)}"
        return [f"{place}.against: {said}{_NULL if other == 'null' else ''}"]
    if name in config["models"] and other not in config["models"]:
        return [f"{place}.against: {other} does not run; name it under models too"]
    return []


def _of_mnist(mnist: Mapping[str, Any]) -> list[str]:
    problems = []
    nets, split = mnist["nets"], mnist["split"]
    for name, net in nets.items():
        key = f"mnist.nets.{name}"
        if net.get("longer_of", name) not in nets:
            problems.append(
                f"{key}.longer_of: {net['longer_of']!r} is no net; must be one of "
                f"{', '.join(sorted(nets))}"
            )
        if (net["output"] == "linear") != (net["loss"] == "cross_entropy"):
            problems.append(
                f"{key}: output {net['output']!r} with loss {net['loss']!r} is not allowed; "
                "must be sigmoid with mse, or linear with cross_entropy"
            )
        if net["framework"] == "numpy" and "initial_std" not in net:
            problems.append(f"{key}.initial_std: missing; a numpy net needs it, e.g. 0.1")
        if net["framework"] == "torch" and "initial_std" in net:
            problems.append(f"{key}.initial_std: not allowed; PyTorch's own initialisation is used")
    if split["test"] + split["validation"] > 70000 - _DIGITS:
        problems.append(
            "mnist.split: test and validation leave too few of the 70000 images to train on, at "
            f"least one of each digit is needed; must sum to at most {70000 - _DIGITS}"
        )
    return problems


def _of_predict(config: Mapping[str, Any]) -> list[str]:
    asked = config["predict"]
    if bool(asked["run"]) != bool(asked["images"]):
        return ["predict: run and images belong together; name both, or neither"]
    nets = {**config["mnist"]["nets"], **config["flowers"]["nets"]}
    if asked["run"] and Path(os.path.normpath(asked["run"])).parent.name not in nets:
        return [
            f"predict.run: {asked['run']!r} is in the folder of no net; expected "
            f"RESULTS/runs/NET/RUN with NET one of {', '.join(sorted(nets))}"
        ]
    return []


def _of_flowers(flowers: Mapping[str, Any]) -> list[str]:
    problems = []
    split = flowers["split"]
    places = {"flowers": flowers}
    places |= {f"flowers.nets.{name}": net for name, net in flowers["nets"].items()}
    if split["validation"] + split["test"] >= 1:
        problems.append(
            f"flowers.split: validation {split['validation']} and test {split['test']} leave "
            "nothing to train on; must sum to less than 1"
        )
    if flowers["folders"] or flowers["table"]:
        if flowers["data"] in (OXFORD, GENERATED):
            problems.append(
                f"flowers.data: {flowers['data']!r} is no name for pictures of your own; must be "
                "another, e.g. mine"
            )
        if split["kind"] == OFFICIAL:
            problems.append(
                "flowers.split.kind: official is for an archive with setid.mat; lay the pictures "
                "out in train/, validation/ and test/, and that is the split"
            )
    for place, knobs in places.items():
        seeds = knobs.get("split_seeds", [])
        if split["kind"] == OFFICIAL and seeds:
            problems.append(f"{place}.split_seeds: the official split is only one; must be []")
        elif split["seed"] in seeds:
            problems.append(
                f"{place}.split_seeds: {split['seed']} is flowers.split.seed, so that split would "
                "count twice; leave it out"
            )
    return problems

"""The configuration, checked, and the helpers the rules share."""

import os
import re
import sys
from dataclasses import asdict
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.io import sourcecache_entry

BASE = Path(workflow.basedir)
SCRIPTS = BASE / "scripts"
sys.path.insert(0, str(SCRIPTS))

from repro.comparison.changes import changes, why_not
from repro.system.code_inputs import code_of, code_of_project, look_first_in
from repro.config import check, check_names, check_repeats
from repro.errors import UserError
from repro.system.disk import check_folder, check_writable
from repro.fetch.registry import load_registry
from repro.comparison.reported import load as load_report
from repro.system.run_lock import mark

look_first_in(SCRIPTS)


def shipped(path):
    """Return a file of the project as Snakemake shall name it: relative to the working folder.

    Where files go through a bucket, these do not: they travel with the workflow's sources. The flag
    `local` says that too, but makes its job run where Snakemake runs.
    """
    name = os.path.relpath(BASE / path)
    bucket = workflow.storage_settings.default_storage_provider
    return sourcecache_entry(name, name) if bucket else name


def code(script):
    """Return the script and every local module it imports: the code a rule's result depends on."""
    return [shipped(file) for file in code_of(SCRIPTS / f"{script}.py", (SCRIPTS,))]


def read_yaml(path):
    with open(path, encoding="utf-8") as stream:
        return yaml.safe_load(stream)


try:
    if workflow.is_main_process:
        check_repeats(map(Path, workflow.configfiles))
    check(config, read_yaml(BASE / "config/schema.yaml"))
    REGISTRY = load_registry([BASE / "resources/registry.yaml"], config["downloads"])
    REPORT = load_report(BASE / "resources/reported.yaml")
    check_names(config, REGISTRY, REPORT.models)
    for key in ("data_dir", "prepared_dir", "results_dir", "logs_dir", "benchmarks_dir"):
        # In one form, because paths are compared as text.
        config[key] = os.path.normpath(os.path.expanduser(config[key]))
        # Before Snakemake looks for files there, and ends in a traceback.
        check_folder(Path(config[key]))
except UserError as error:
    raise WorkflowError(str(error)) from None

# Downloads may be shared by several runs at once; what is prepared from them belongs to one.
DOWNLOADS = f"{config['data_dir']}/downloads"
DATA = config["prepared_dir"]
RESULTS = config["results_dir"]
LOGS = config["logs_dir"]
BENCHMARKS = config["benchmarks_dir"]


def check_folders():
    """Say in words where nothing can be written; Snakemake would end in a traceback."""
    if workflow.storage_settings.default_storage_provider:
        return
    try:
        for folder in (RESULTS, LOGS, BENCHMARKS):
            check_writable(Path(folder))
    except UserError as error:
        raise WorkflowError(str(error)) from None


GENERATED = config["flowers"]["data"] == "generated"
FLOWERS = f"{DATA}/{config['flowers']['data']}"

MNIST_FILES = {
    "train_images": "mnist/train-images-idx3-ubyte",
    "train_labels": "mnist/train-labels-idx1-ubyte",
    "test_images": "mnist/t10k-images-idx3-ubyte",
    "test_labels": "mnist/t10k-labels-idx1-ubyte",
}

# The report shows loss curves of the flower nets only.
LOSS_CURVES = {"mnist": (), "flowers": ("loss",)}
CLOSER_LOOKS = ("confusion", "gallery", "reliability")

MODELS = config["models"]
NETS = {"mnist": config["mnist"]["nets"], "flowers": config["flowers"]["nets"]}


def models_of(part):
    """Return the models that run, of one part of the report, in the configuration's order."""
    return [model for model in MODELS if model in NETS[part]]


def part_of(model):
    return "mnist" if model in NETS["mnist"] else "flowers"


def flower_runs(model):
    """Return the runs of a flower net: name, seed of the head and the split's name.

    The main split is called "main"; a run on another split takes the first seed for its head.
    """
    knobs = {**config["flowers"], **NETS["flowers"][model]}
    seeds = [{"run": f"seed-{seed}", "seed": seed, "split": "main"} for seed in knobs["seeds"]]
    splits = [
        {"run": f"split-{seed}", "seed": knobs["seeds"][0], "split": f"seed-{seed}"}
        for seed in knobs["split_seeds"]
    ]
    return seeds + splits


def runs_of(model):
    """Return the names of a model's runs, the headline first."""
    if part_of(model) == "flowers":
        return [run["run"] for run in flower_runs(model)]
    return [f"seed-{seed}" for seed in NETS["mnist"][model]["seeds"]]


def of_runs(model, name):
    """Return the file ``name`` of each run of the model."""
    return [f"{RESULTS}/runs/{model}/{run}/{name}" for run in runs_of(model)]


def of_all_runs(name):
    """Return the file ``name`` of each run of each model."""
    return [file for model in MODELS for file in of_runs(model, name)]


def of_headline(name):
    """Return an input function: the file ``name`` of a model's headline run."""
    return lambda wildcards: of_runs(wildcards.model, name)[0]


def growing(amount):
    """Return a resource that grows with each attempt: a job that was killed for it gets more."""
    return lambda wildcards, attempt: amount * attempt


def products(models):
    """Return what models end in: flower images by label, metrics and curves."""
    metrics = [file for model in models for file in of_runs(model, "metrics.csv")]
    flowers = any(part_of(model) == "flowers" for model in models)
    folders = [f"{FLOWERS}/manifests/main.csv"] if flowers else []
    return folders + metrics + figures_of(models)


def figures_of(models):
    """Return the figures of the models: the report's own, and those that look closer."""
    return [
        f"{RESULTS}/figures/{model}/{figure}.png"
        for model in models
        for figure in ("accuracy", *LOSS_CURVES[part_of(model)], *CLOSER_LOOKS)
    ]


def fetched(name):
    """Return where rules find a downloaded file: a link of this run's own to the shared file.

    Snakemake removes a job's output before the job and after its failure, and sets its time; that
    must not befall a file that another run is reading.
    """
    return f"{DATA}/fetched/{name}"


def flowers_file(name):
    """Return where a file of the flowers data set stands: drawn or fetched."""
    if GENERATED:
        return f"{DATA}/generated/{name}"
    return fetched(f"{config['flowers']['data']}/{name}")


def proofs_of(*names):
    """Return the proof of each downloaded file by its path: what stands there may be hand-placed."""
    return {fetched(name): asdict(REGISTRY[name].proof) for name in names}


def flowers_proofs():
    if GENERATED:
        return {}
    data = config["flowers"]["data"]
    return proofs_of(f"{data}/102flowers.tgz", f"{data}/imagelabels.mat")


def setid_proof():
    if GENERATED or config["flowers"]["split"]["kind"] != "official":
        return {}
    return proofs_of(f"{config['flowers']['data']}/setid.mat")


def weights_proof(net):
    return {} if net["weights"] == "none" else proofs_of(net["weights"])


def weights_file(net):
    """Return the file of a net's weights, or none for random weights."""
    return [] if net["weights"] == "none" else fetched(net["weights"])


def not_comparable(model):
    """Return why a model's figures say nothing about the report's, or an empty text."""
    return why_not(model, config, REGISTRY, REPORT)


def longer_of(model):
    """Return the reported model of which this is the same net with more epochs, or none."""
    shorter = NETS["mnist"].get(NETS[part_of(model)][model].get("longer_of"), {}).get("reported")
    if shorter is None:
        return None
    unlike = changes(model, config, REGISTRY, REPORT, of=shorter, but=("epochs",))
    return None if unlike else shorter


def model_table(models):
    """Return what the comparison needs to know of each model."""
    table = []
    for model in models:
        net = NETS[part_of(model)][model]
        reason = not_comparable(model)
        table.append(
            {
                "name": model,
                "title": full_title(model),
                "part": part_of(model),
                "longer_of": longer_of(model),
                "framework": net.get("framework", "torch"),
                "reported": net["reported"],
                "recipe": "own" if net["reported"] and reason else net["recipe"],
                "protocol": net.get("protocol", ""),
                "headline": runs_of(model)[0],
                "comparable": not reason,
                "why_not": reason,
            }
        )
    return table


MODEL_FORMATS = {"numpy": "npz", "torch": "safetensors"}


def model_file(model):
    """Return the name of the file a model's training leaves its weights in."""
    framework = NETS[part_of(model)][model].get("framework", "torch")
    return f"model.{MODEL_FORMATS[framework]}"


def files_of_all_runs():
    """Return all that training and evaluation leave in the folders of the runs."""
    evaluated = [Path(file).name for file in rules.evaluate.output]
    return [
        file
        for model in MODELS
        for name in ("history.csv", "predictions.npz", model_file(model), *evaluated)
        for file in of_runs(model, name)
    ]


def recipe_of(net):
    """Return what of a net's description changes its training; a new title reruns nothing."""
    return {
        key: value
        for key, value in net.items()
        if key not in ("title", "framework", "seeds", "reported", "recipe", "longer_of")
    }


def seed_of_run(wildcards):
    return int(wildcards.run.removeprefix("seed-"))


def splits_of_runs(model):
    """Return the names of the splits a flower net's runs use, in the order of the runs."""
    return list(dict.fromkeys(run["split"] for run in flower_runs(model)))


def numbered_flower_runs(model):
    """Return the runs with each split given as an index into :func:`splits_of_runs`."""
    names = splits_of_runs(model)
    return [{**run, "split": names.index(run["split"])} for run in flower_runs(model)]


def nets_with_features():
    return {name: net for name, net in NETS["flowers"].items() if net["protocol"] != "notebook"}


def nets_without_features():
    return {name: net for name, net in NETS["flowers"].items() if net["protocol"] == "notebook"}


def features_of(model, name):
    """Return the file ``name`` of a net's features: one for all splits, or one for each."""
    adapted = NETS["flowers"][model]["protocol"] == "adapted"
    covers = splits_of_runs(model) if adapted else ["all"]
    return [f"{FLOWERS}/features/{model}/{cover}/{name}" for cover in covers]


def shards_folder(model):
    """Return the folder of what shards leave for the join; without shards there is none."""
    return f"{FLOWERS}/features/.{model}-{{cover}}.shards"


def made_features(model, name):
    """Return the file ``name`` that a features job writes: of all images, or of one shard."""
    if SHARDED:
        return temp(f"{shards_folder(model)}/{{scatteritem}}/{name}")
    return f"{FLOWERS}/features/{model}/{{cover}}/{name}"


def gathered_features(model, name):
    """Return the file ``name`` of every shard of a net's features."""
    shards = gather.features("{scatteritem}")
    return [f"{shards_folder(model)}/{shard}/{name}" for shard in shards]


def splits_of_all_runs():
    """Return the names of all splits that flower nets use."""
    names = [name for model in models_of("flowers") for name in splits_of_runs(model)]
    return list(dict.fromkeys(names))


def flower_splits():
    """Return the files of all splits that flower nets use."""
    return [f"{FLOWERS}/splits/{name}.csv" for name in splits_of_all_runs()]


def feature_manifests():
    """Return what is known of every feature store that is used."""
    nets = [model for model in models_of("flowers") if model in nets_with_features()]
    return [file for model in nets for file in features_of(model, "manifest.json")]


def notebook_manifest(model):
    """Return what is known of a net that is trained as the notebook did, and keeps no features."""
    return f"{FLOWERS}/notebook/{model}.json"


def notebook_manifests():
    nets = nets_without_features()
    return [notebook_manifest(model) for model in models_of("flowers") if model in nets]


def split_parameters(wildcards):
    """Return how to draw a split: "main" by the configured seed, "seed-N" by N."""
    split = config["flowers"]["split"]
    if wildcards.split == "main":
        return split
    return {**split, "seed": int(wildcards.split.removeprefix("seed-"))}


def setid_of_split(wildcards):
    return flowers_file("setid.mat") if config["flowers"]["split"]["kind"] == "official" else []


def names_of(wildcards):
    """Return the file of class names, where a model's classes have names."""
    if part_of(wildcards.model) == "mnist":
        return []
    names = {
        "oxford102": shipped("resources/flower_names.csv"),
        "generated": f"{DATA}/generated/names.csv",
    }
    return names.get(config["flowers"]["data"], [])


def loss_of(wildcards):
    """Return the loss a model was trained with."""
    return NETS["mnist"][wildcards.model]["loss"] if part_of(wildcards.model) == "mnist" else "nll"


def seed_of_any_run(wildcards):
    """Return the number in a run's name: its seed, or the seed of its split."""
    return int(wildcards.run.partition("-")[2])


def curve_of(wildcards):
    """Return the report's own curve of a model, where it is known and may be held against it."""
    if not_comparable(wildcards.model):
        return []
    curve = reported_model(wildcards.model).curve
    return shipped(curve) if curve else []


def reported_model(model):
    """Return the model of the report that a net reproduces, or none."""
    return REPORT.models.get(NETS[part_of(model)][model]["reported"])


def curve_note_of(wildcards):
    """Return what the report's curve of a model is."""
    reported = reported_model(wildcards.model)
    return reported.curve_note if reported else ""


def reported_label_of(wildcards):
    """Return what the legend calls the report's curve: its protocol, where the net's is another."""
    net = NETS[part_of(wildcards.model)][wildcards.model]
    protocols = {figure.protocol for figure in REPORT.figures_of(net["reported"])}
    others = protocols - {net.get("protocol", "")}
    return " ".join(["as reported", *(f"(protocol {other})" for other in sorted(others))])


def full_title(model):
    """Return a model's title; figures from drawn flowers say so wherever they are shown."""
    title = NETS[part_of(model)][model]["title"] + (" (rehearsal)" if config["rehearsal"] else "")
    return f"{title} on drawn flowers" if part_of(model) == "flowers" and GENERATED else title


def title_of(wildcards):
    return full_title(wildcards.model)


def images_of(wildcards):
    """Return what the images of a model's data set are looked up in."""
    return (
        f"{FLOWERS}/images.csv"
        if part_of(wildcards.model) == "flowers"
        else f"{DATA}/mnist/images.npy"
    )


def photographs_of(wildcards):
    """Return the folder of a flower net's photographs; MNIST's images are all in one file."""
    return f"{FLOWERS}/images" if part_of(wildcards.model) == "flowers" else []


def running_history_of(wildcards):
    """Return the history of a flower net: its train figures are running averages, as reported."""
    if part_of(wildcards.model) == "mnist":
        return []
    return f"{RESULTS}/runs/{wildcards.model}/{wildcards.run}/history.csv"


def loss_label_of(wildcards):
    """Return what the loss axis of a model's curve says."""
    return {
        "mse": "Loss (mean squared error)",
        "cross_entropy": "Loss (cross-entropy, nats)",
        "nll": "Loss (negative log-likelihood, nats)",
    }[loss_of(wildcards)]


def splits_of(wildcards):
    """Return the sets a model's history holds: the report shows no test curve for MNIST."""
    sets = ["train", "validation"]
    return [*sets, "test"] if part_of(wildcards.model) == "flowers" else sets


def benchmarks_so_far():
    """Return where each rule that has been read so far leaves its benchmark."""
    return {each.name: str(each.benchmark) for each in workflow.rules if each.benchmark}


def unfinished_so_far():
    """Return where each of those rules whose jobs go on after a kill keeps its unfinished work."""
    kept = {
        each.name: each.params.get("checkpoint") or each.params.get("work")
        for each in workflow.rules
    }
    return {name: path for name, path in kept.items() if path}


def captions():
    return [shipped(file) for file in sorted((BASE / "resources/captions").glob("*.rst"))]


def page_templates():
    """Return the templates of pages, with the CSS and the JavaScript they take up."""
    files = sorted((BASE / "resources/page").glob("*"))
    return [shipped(file) for file in files if file.name != "report.css"]

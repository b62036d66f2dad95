"""The configuration, checked, and the helpers the rules share."""

import os
import re
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.io import sourcecache_entry
from snakemake.path_modifier import PathModifier
from snakemake.utils import update_config

# A module's prefix goes before the folders of the configuration, below, so that it stands in every
# path: Snakemake would put it before inputs and outputs, files that ship among them, but before no
# path in a parameter, a proof or the saved configuration. The Snakefile's end gives it back.
PREFIXED = workflow.modifier.path_modifier
workflow.modifier.path_modifier = PathModifier(None, None, workflow)

SCRIPTS = BASE / "scripts"
# The Python that runs, as a shell command has it.
PYTHON = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}")
sys.path.insert(0, str(SCRIPTS))

from repro.comparison.changes import data_title, model_table, why_not
from repro.comparison.reported import load as load_report
from repro.config import check, check_names, check_repeats, fill_in
from repro.errors import UserError
from repro.evaluation.names import ERROR
from repro.fetch.registry import load_registry
from repro.flowers import pictures
from repro.plan import ARCHIVE, HISTORY, MNIST_FILES, PREDICTIONS, SETID, Plan
from repro.system.code_inputs import code_of, code_of_project, look_first_in
from repro.system.disk import check_folder, check_writable
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


# A module that is given a configuration has nothing else; what is included has what ships on top.
# Of pictures of one's own there is one small net and one run, unless told otherwise. All of it is
# checked below; until then it may be anything.
whole = read_yaml(BASE / "config.yaml")
flowers = GIVEN.get("flowers")
if isinstance(flowers, dict) and any(map(flowers.get, ("folders", "table"))):
    update_config(whole, read_yaml(BASE / "config/pictures.yaml"))
update_config(whole, GIVEN)
if config != whole:
    config.update(whole)

try:
    if set("{}") & set(str(BASE)):
        raise UserError(
            f"{BASE}: Snakemake takes braces in the name of a folder for placeholders; give this "
            "project's folder a name without them"
        )
    if workflow.is_main_process:
        check_repeats(map(Path, workflow.configfiles))
    fill_in(config)
    check(config, read_yaml(BASE / "config/schema.yaml"))
    REGISTRY = load_registry([BASE / "resources/registry.yaml"], config["downloads"])
    PLAN = Plan(config)
    # Where Snakemake runs, or among the files that ship.
    REPORT_FILE = Path(os.path.expanduser(PLAN.report)).absolute()
    REPORT_FILE = REPORT_FILE if REPORT_FILE.exists() else BASE / PLAN.report
    REPORT = load_report(REPORT_FILE)
    check_names(config, REGISTRY, REPORT.models)
    for key in ("data_dir", "prepared_dir", "results_dir", "logs_dir", "benchmarks_dir"):
        # In one form, because paths are compared as text; and with a module's prefix.
        path = os.path.normpath(os.path.expanduser(config[key]))
        config[key] = os.path.normpath(PREFIXED.replace_prefix(path))
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


FLOWERS = f"{DATA}/{config['flowers']['data']}"
# Where the images of an archive are unpacked to; pictures of one's own stay where they are, and what
# of them was left out stands in a file.
LEFT_OUT = f"{FLOWERS}/left_out.json" if PLAN.in_folders else []
IMAGES_FOLDER = [] if PLAN.in_folders else f"{FLOWERS}/images"
TABLE = model_table(PLAN, REGISTRY, REPORT)
# Of nets that are set against others.
AGAINST = [f"{RESULTS}/against.csv", f"{RESULTS}/against_images.csv"] if PLAN.pairs else []
# Where the report's claims are judged; of pictures of one's own no report says a word.
JUDGED = [] if PLAN.own_pictures else [f"{RESULTS}/claims.csv", f"{RESULTS}/claims.md"]

# The report shows loss curves of the flower nets only.
LOSS_CURVES = {"mnist": (), "flowers": ("loss",)}
CLOSER_LOOKS = ("confusion", "gallery", "reliability")
# The first layer of a flower net is a backbone's.
FIRST_LAYERS = {"mnist": ("weights",), "flowers": ()}


def either(names):
    """Return the constraint of a wildcard that is one of the names."""
    return "|".join(map(re.escape, dict.fromkeys(names)))


def growing(amount):
    """Return a resource that grows with each attempt: a job that was killed for it gets more."""
    return lambda wildcards, attempt: amount * attempt


# --- files of runs and models ---


def of_runs(model, name):
    """Return the file ``name`` of each run of the model."""
    return [f"{RESULTS}/runs/{model.name}/{run.name}/{name}" for run in model.runs]


def of_all_runs(name):
    """Return the file ``name`` of each run of each model."""
    return [file for model in PLAN.models for file in of_runs(model, name)]


def of_headlines(name):
    """Return the file ``name`` of the headline run of each model."""
    return [of_runs(model, name)[0] for model in PLAN.models]


def of_model(name):
    """Return an input function: the file ``name`` of each run of a model."""
    return lambda wildcards: of_runs(model_of(wildcards), name)


def of_headline(name):
    """Return an input function: the file ``name`` of a model's headline run."""
    return lambda wildcards: of_model(name)(wildcards)[0]


def products(models):
    """Return what models end in: flower images by label, metrics and curves."""
    metrics = [file for model in models for file in of_runs(model, "metrics.csv")]
    flowers = any(model.part == "flowers" for model in models)
    folders = [f"{FLOWERS}/manifests/main.csv"] if flowers and not PLAN.in_folders else []
    return folders + metrics + figures_of(models)


def figures_of(models):
    """Return the figures of the models: the report's own, and those that look closer."""
    paired = [one.name for one, _ in PLAN.pairs]
    return [
        f"{RESULTS}/figures/{model.name}/{figure}.png"
        for model in models
        for figure in (*figures_of_part(model.part), *(["against"] if model.name in paired else []))
    ]


def figures_of_part(part):
    """Return the figures that each model of a part has."""
    return ("accuracy", *LOSS_CURVES[part], *CLOSER_LOOKS, *FIRST_LAYERS[part])


def files_of_all_runs():
    """Return all that training and evaluation leave in the folders of the runs."""
    evaluated = [Path(file).name for file in rules.evaluate.output]
    return [
        file
        for model in PLAN.models
        for name in (HISTORY, PREDICTIONS, model.file, *evaluated)
        for file in of_runs(model, name)
    ]


# --- downloads ---


def fetched(name):
    """Return where rules find a downloaded file: a link of this run's own to the shared file.

    Snakemake removes a job's output before the job and after its failure, and sets its time; that
    must not befall a file that another run is reading.
    """
    return f"{DATA}/fetched/{name}"


def flowers_file(name):
    """Return where a file of the flowers data set stands: drawn or fetched."""
    if PLAN.generated:
        return f"{DATA}/generated/{name}"
    return fetched(f"{config['flowers']['data']}/{name}")


def proofs_of(names):
    """Return the proof of each downloaded file by its path: what stands there may be hand-placed."""
    return {fetched(name): asdict(REGISTRY[name].proof) for name in names}


def flowers_proofs(*files):
    """Return the proofs of those of the flowers' files that are fetched."""
    return proofs_of(name for name in PLAN.flower_files if Path(name).name in files)


def weights_of(model):
    """Return the file of a model's weights, or none for random ones."""
    return fetched(*model.weights) if model.weights else []


# --- flowers: pictures of one's own, splits and features ---


def find_pictures():
    """Return the pictures in the user's folders; WorkflowError says in words what is wrong there."""
    flowers = config["flowers"]
    try:
        return pictures.find(flowers["folders"], flowers["table"])
    except UserError as error:
        raise WorkflowError(str(error)) from None


def check_pictures():
    """Say what is wrong in the folders before anything runs."""
    found, flowers = find_pictures(), config["flowers"]
    try:
        pictures.check(found, flowers["split"], flowers["on_small"], len(PLAN.splits))
    except UserError as error:
        raise WorkflowError(str(error)) from None


def fingerprint_of_pictures(wildcards):
    """Return a hash of what is in the folders: changed by content, not by a touch. Writes nothing."""
    return pictures.fingerprint(find_pictures().pictures, f"{FLOWERS}/seen.csv")


def fingerprint_of_asked(images):
    """Return a hash of the pictures that a net is asked about. Writes nothing."""
    try:
        return pictures.fingerprint_of_asked(images)
    except UserError as error:
        raise WorkflowError(str(error)) from None


# A trained net is asked as it is, whatever has become of the pictures it was trained on.
if PLAN.in_folders and workflow.is_main_process and not PLAN.asks:
    check_pictures()


def split_files(splits):
    return [f"{FLOWERS}/splits/{split}.csv" for split in splits]


def numbered_runs(model):
    """Return a flower net's runs, each with its split as an index into the model's splits."""
    return [
        {"run": run.name, "seed": run.seed, "split": model.splits.index(run.split)}
        for run in model.runs
    ]


def features_of(model, name):
    """Return the file ``name`` of a net's features: one for all splits, or one for each."""
    covers = model.splits if model.protocol == "adapted" else ["all"]
    return [f"{FLOWERS}/features/{model.name}/{cover}/{name}" for cover in covers]


def shards_folder(model):
    """Return the folder of what shards leave for the join; without shards there is none."""
    return f"{FLOWERS}/features/.{model.name}-{{cover}}.shards"


def made_features(model, name):
    """Return the file ``name`` that a features job writes: of all images, or of one shard."""
    if SHARDED:
        return temp(f"{shards_folder(model)}/{{scatteritem}}/{name}")
    return f"{FLOWERS}/features/{model.name}/{{cover}}/{name}"


def gathered_features(model, name):
    """Return the file ``name`` of every shard of a net's features."""
    shards = gather.features("{scatteritem}")
    return [f"{shards_folder(model)}/{shard}/{name}" for shard in shards]


def feature_manifests():
    """Return what is known of every feature store that is used."""
    nets = [model for model in PLAN.of("flowers") if model.keeps_features]
    return [file for model in nets for file in features_of(model, "manifest.json")]


def notebook_manifest(model):
    """Return what is known of a net that is trained as the notebook did, and keeps no features."""
    return f"{FLOWERS}/notebook/{model.name}.json"


def notebook_manifests():
    return [notebook_manifest(model) for model in PLAN.of("flowers") if not model.keeps_features]


# --- what evaluation and figures take, by wildcard ---


def model_of(wildcards):
    return PLAN.nets[wildcards.model]


def title_of(wildcards):
    return model_of(wildcards).title


def loss_of(wildcards):
    return model_of(wildcards).loss


def names_of_own():
    """Return the file of the names of one's own classes, where they have any."""
    if PLAN.in_folders:
        return f"{FLOWERS}/names.csv"
    names = config["flowers"]["names"] if PLAN.own_data else None
    return os.path.expanduser(names) if names else []


def names_of(wildcards):
    """Return the file of class names, where a model's classes have names."""
    return [] if model_of(wildcards).part == "mnist" else names_of_flowers()


def names_of_flowers():
    names = {
        "oxford102": shipped("resources/flower_names.csv"),
        "generated": f"{DATA}/generated/names.csv",
    }
    return names.get(config["flowers"]["data"]) or names_of_own()


def images_of(wildcards):
    """Return what the images of a model's data set are looked up in."""
    flowers = model_of(wildcards).part == "flowers"
    return f"{FLOWERS}/images.csv" if flowers else f"{DATA}/mnist/images.npy"


def image_table_of(wildcards):
    """Return the table that has the files of a flower net's images."""
    return f"{FLOWERS}/images.csv" if model_of(wildcards).part == "flowers" else []


def photographs_of(wildcards):
    """Return the folder of a flower net's photographs; MNIST's images are all in one file."""
    return IMAGES_FOLDER if model_of(wildcards).part == "flowers" else []


def running_history_of(wildcards):
    """Return the history of a flower net: its train figures are running averages, as reported."""
    if model_of(wildcards).part == "mnist":
        return []
    return f"{RESULTS}/runs/{wildcards.model}/{wildcards.run}/{HISTORY}"


def reported_model(wildcards):
    """Return the model of the report that a net reproduces, or none."""
    return REPORT.models.get(model_of(wildcards).net["reported"])


def curve_of(wildcards):
    """Return the report's own curve of a model, where it is known and may be held against it."""
    if why_not(model_of(wildcards), PLAN, REGISTRY, REPORT):
        return []
    curve = reported_model(wildcards).curve
    return shipped(curve) if curve else []


def curve_note_of(wildcards):
    """Return what the report's curve of a model is."""
    reported = reported_model(wildcards)
    return reported.curve_note if reported else ""


def shown_as(model, figure):
    """Return the quantity a curve shows: error in place of accuracy, where the report gives that."""
    figures = REPORT.figures_of(model.net["reported"]) or REPORT.figures
    errors = figures and {each.metric for each in figures} == {ERROR}
    return "error" if errors and figure == "accuracy" else figure


def quantities_of(wildcards):
    """Return the quantity of each curve of a model, by the figure's name."""
    model = model_of(wildcards)
    return {name: shown_as(model, name) for name in ("accuracy", *LOSS_CURVES[model.part])}


def reported_label_of(wildcards):
    """Return what the legend calls the report's curve: its protocol, where the net's is another."""
    model = model_of(wildcards)
    protocols = {figure.protocol for figure in REPORT.figures_of(model.net["reported"])}
    others = protocols - {model.protocol}
    return " ".join(["as reported", *(f"(protocol {other})" for other in sorted(others))])


def other_of(wildcards):
    """Return the model that one is set against, or none."""
    return dict((one.name, other) for one, other in PLAN.pairs).get(wildcards.model)


def against_of(wildcards):
    """Return the history of the net that a model is set against, where there is one."""
    other = other_of(wildcards)
    return of_runs(other, HISTORY)[0] if other else []


def against_label_of(wildcards):
    other = other_of(wildcards)
    return other.title if other else ""


def first_layer_of(wildcards):
    """Return the file of an MNIST net's weights, the headline run's."""
    model = model_of(wildcards)
    return of_runs(model, model.file)[0] if model.part == "mnist" else []


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
    return [*sets, "test"] if model_of(wildcards).part == "flowers" else sets


def rules_so_far():
    """Return each rule that has been read so far, by the name it has here.

    As a module's it may have another in the whole workflow, and others' rules stand there too.
    """
    return {name: proxy.rule for name, proxy in rules._rules.items()}


def benchmarks_so_far():
    """Return where each of those rules leaves its benchmark."""
    return {name: str(each.benchmark) for name, each in rules_so_far().items() if each.benchmark}


def logs_so_far():
    """Return where each of those rules leaves its log."""
    return {name: str(each.log) for name, each in rules_so_far().items() if each.log}


def unfinished_so_far():
    """Return where each of those rules whose jobs go on after a kill keeps its unfinished work."""
    kept = {
        name: each.params.get("checkpoint") or each.params.get("work")
        for name, each in rules_so_far().items()
    }
    return {name: path for name, path in kept.items() if path}


def reference_runs():
    """Return the reference runs of the report's models, tables and what is known of them."""
    return [shipped(file) for file in REPORT.about.reference_files]


def captions():
    return [shipped(file) for file in sorted((BASE / "resources/captions").glob("*.rst"))]


def page_templates():
    """Return the templates of pages, with the CSS and the JavaScript they take up."""
    files = sorted((BASE / "resources/page").glob("*"))
    return [shipped(file) for file in files if file.name != "report.css"]

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
from repro.fetch.registry import load_registry
from repro.flowers import pictures
from repro.plan import ARCHIVE, HISTORY, MNIST_FILES, PREDICTIONS, SETID, Plan
from repro.shown import BENCHMARK_TITLES, CATEGORIES, FIGURE_NAMES, FIGURES, LOSS_LABELS, SETS
from repro.shown import curve_note, figure_name, quantities, reported_label
from repro.system.code_inputs import code_of, code_of_project
from repro.system.disk import check_folder, check_writable
from repro.system.environment import settle
from repro.system.run_lock import mark

settle(SCRIPTS)


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


def all_shipped(pattern):
    """Return the project's files that match a pattern, in the order of their names."""
    return [shipped(file) for file in sorted(BASE.glob(pattern))]


def read_yaml(path):
    with open(path, encoding="utf-8") as stream:
        return yaml.safe_load(stream)


class InWords:
    """Says what the user is to do in the words of the error; Snakemake would add a traceback."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, UserError):
            raise WorkflowError(str(error)) from None


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

with InWords():
    if set("{}") & set(str(BASE)):
        raise UserError(
            f"{BASE}: Snakemake takes braces in the name of a folder for placeholders; give this "
            "project's folder a name without them"
        )
    if workflow.is_main_process:
        # Snakemake's own, which it makes before anything else.
        check_writable(Path(".snakemake"))
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

# Downloads may be shared by several runs at once; what is prepared from them belongs to one.
DOWNLOADS = f"{config['data_dir']}/downloads"
DATA = config["prepared_dir"]
RESULTS = config["results_dir"]
LOGS = config["logs_dir"]
BENCHMARKS = config["benchmarks_dir"]


def check_folders():
    """Say in words where nothing can be written."""
    if workflow.storage_settings.default_storage_provider:
        return
    with InWords():
        for folder in (RESULTS, LOGS, BENCHMARKS):
            check_writable(Path(folder))


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

# What a picture is looked up in; MNIST's are all in one file.
IMAGES = {"mnist": f"{DATA}/mnist/images.npy", "flowers": f"{FLOWERS}/images.csv"}
# What a net is set against.
OTHERS = {one.name: other for one, other in PLAN.pairs}


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


def headline(model, name):
    """Return the file ``name`` of the model's headline run."""
    return of_runs(model, name)[0]


def of_headlines(name):
    """Return the file ``name`` of the headline run of each model."""
    return [headline(model, name) for model in PLAN.models]


def products(models):
    """Return what models end in: flower images by label, metrics and curves."""
    metrics = [file for model in models for file in of_runs(model, "metrics.csv")]
    flowers = any(model.part == "flowers" for model in models)
    folders = [f"{FLOWERS}/manifests/main.csv"] if flowers and not PLAN.in_folders else []
    return folders + metrics + figures_of(models)


def figures_of(models):
    """Return the figures of the models: the report's own, and those that look closer."""
    return [
        f"{RESULTS}/figures/{model.name}/{figure}.png"
        for model in models
        for figure in (*FIGURES[model.part], *(["against"] if model.name in OTHERS else []))
    ]


# --- downloads ---


def fetched(name):
    """Return where rules find a downloaded file: a link of this run's own to the shared file.

    Snakemake removes a job's output before the job and after its failure, and sets its time; that
    must not befall a file that another run is reading.
    """
    return f"{DATA}/fetched/{name}"


def proofs_of(names):
    """Return the proof of each downloaded file by its path: what stands there may be hand-placed."""
    return {fetched(name): asdict(REGISTRY[name].proof) for name in names}


# --- what rules take, by wildcard ---


def model_of(wildcards):
    return PLAN.nets[wildcards.model]


def by_model(say):
    """Return an input function, or a parameter: what ``say`` tells of the wildcard's model."""
    return lambda wildcards: say(model_of(wildcards))


def for_flowers(file):
    """Return an input function: the file for flower nets, none for MNIST's."""
    return by_model(lambda model: file if model.part == "flowers" else [])


def of_headline(name):
    """Return an input function: the file ``name`` of a model's headline run."""
    return by_model(lambda model: headline(model, name))


# --- what the rules that have been read leave ---


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

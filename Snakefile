"""Reproduces a machine-learning report, figure by figure. Start with README.md."""

from copy import deepcopy
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")


# This file may be a module of another workflow, or included: its folder is not the main one, and
# what that workflow has given stands above what ships.
BASE = Path(workflow.current_basedir)
GIVEN = deepcopy(config)


configfile: BASE / "config.yaml"


include: "rules/common.smk"
include: "rules/inputs.smk"


scattergather:
    features=config["flowers"]["shards"],


# Also by the command line: --set-scatter features=N.
SHARDS = len(gather.features("{scatteritem}"))
SHARDED = SHARDS > 1


report: "resources/captions/workflow.rst"


wildcard_constraints:
    model=either(PLAN.nets),
    run=either(run.name for model in PLAN.nets.values() for run in model.runs),


onstart:
    check_folders()
    mark(Path(".snakemake/locks"), cluster=workflow.resource_settings.nodes is not None)


# Targets, and rules that take seconds or need the network, are local: they run where Snakemake runs,
# and take no place in a cluster's queue.


rule all:
    default_target: True
    input:
        f"{RESULTS}/report.html",
        f"{RESULTS}/ro-crate-metadata.json",
    localrule: True
    message:
        "Everything: table, plots and report"


rule mnist:
    input:
        products(PLAN.of("mnist")),
    localrule: True
    message:
        "The MNIST half: its nets trained, their metrics and plots"


rule flowers:
    input:
        products(PLAN.of("flowers")),
    localrule: True
    message:
        "The photographs' half: images by label, heads trained, their metrics and plots"


include: "rules/fetch.smk"
include: "rules/mnist.smk"
include: "rules/flowers.smk"
include: "rules/evaluation.smk"
include: "rules/against.smk"
include: "rules/report.smk"
include: "rules/provenance.smk"
include: "rules/predict.smk"


# Rules that come after those of an included workflow keep theirs.
workflow.modifier.path_modifier = PREFIXED

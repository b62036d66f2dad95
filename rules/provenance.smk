# How the run was made, for those who check it: provenance, a card for each model, and the results
# as a Workflow Run RO-Crate.


# After the figures, so that their jobs are among those whose times are written down.
rule record_run:
    input:
        comparison=f"{RESULTS}/comparison.csv",
        tables=[*rules.compare.output, *JUDGED, *AGAINST],
        metrics=of_all_runs("metrics.csv"),
        histories=of_all_runs(HISTORY),
        predictions=of_all_runs(PREDICTIONS),
        figures=COMPARISON_FIGURES + figures_of(PLAN.models),
        splits=[
            *([f"{DATA}/mnist/split.csv"] if PLAN.of("mnist") else []),
            *split_files(PLAN.splits),
        ],
        images=f"{FLOWERS}/images.csv" if PLAN.of("flowers") else [],
        damaged=f"{FLOWERS}/damaged.json" if PLAN.of("flowers") else [],
        names=OWN_NAMES,
        left_out=LEFT_OUT,
        manifests=[
            file
            for model in PLAN.of("flowers")
            if model.keeps_features
            for file in features_of(model, "manifest.json")
        ],
        notebooks=[
            notebook_manifest(model) for model in PLAN.of("flowers") if not model.keeps_features
        ],
        config=f"{RESULTS}/config.yaml",
        environments=all_shipped("envs/*.yaml"),
        # Their hashes are written down.
        code=[shipped(file) for file in code_of_project(BASE)],
    output:
        provenance=f"{RESULTS}/provenance.json",
        cards=[f"{RESULTS}/runs/{model.name}/model_card.md" for model in PLAN.models],
    log:
        f"{LOGS}/record_run.log",
    benchmark:
        f"{BENCHMARKS}/record_run.tsv"
    localrule: True
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        project=shipped("."),
        models=TABLE,
        data_title=data_title(PLAN, REGISTRY, REPORT),
        runs={model.name: [run.name for run in model.runs] for model in PLAN.models},
        # The rules above this one.
        benchmarks=benchmarks_so_far(),
        unfinished=unfinished_so_far(),
        splits=PLAN.splits,
        sources={name: asdict(REGISTRY[name]) for name in PLAN.downloads},
    message:
        "Record how the run was made, and write a card for each model"
    script:
        "../scripts/record_run.py"


rule write_crate:
    input:
        rules.report.output,
        rules.report.input,
        rules.compare.output,
        JUDGED,
        AGAINST,
        rules.record_run.output,
        # All that training and evaluation leave.
        runs=[
            file
            for model in PLAN.models
            for name in (
                *(HISTORY, PREDICTIONS, model.file),
                *map(os.path.basename, rules.evaluate.output),
            )
            for file in of_runs(model, name)
        ],
        snakefile=shipped("Snakefile"),
        rules=all_shipped("rules/*.smk"),
        config=f"{RESULTS}/config.yaml",
        provenance=f"{RESULTS}/provenance.json",
        code=code("write_crate"),
    output:
        crate=f"{RESULTS}/ro-crate-metadata.json",
        workflow=directory(f"{RESULTS}/workflow"),
    log:
        f"{LOGS}/write_crate.log",
    benchmark:
        f"{BENCHMARKS}/write_crate.tsv"
    localrule: True
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        report=REPORT.about.title,
        # The rules above this one.
        logs=logs_so_far(),
        sources={name: asdict(REGISTRY[name]) for name in PLAN.downloads},
    message:
        "Describe the results as a Workflow Run RO-Crate"
    script:
        "../scripts/write_crate.py"


rule provenance:
    input:
        rules.record_run.output,
        rules.write_crate.output,
    localrule: True
    message:
        "Provenance, model cards and the crate"

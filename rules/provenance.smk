# How the run was made, for those who check it: provenance, a card for each model, and the results
# as a Workflow Run RO-Crate.


# What this run takes from elsewhere, by its path.
PROOFS = {
    **(proofs_of(*MNIST_FILES.values()) if models_of("mnist") else {}),
    **({**flowers_proofs(), **setid_proof()} if models_of("flowers") else {}),
    **{
        path: proof
        for model in models_of("flowers")
        for path, proof in weights_proof(NETS["flowers"][model]).items()
    },
}
PROVED = [path.removeprefix(fetched("")) for path in PROOFS]


# After the figures, so that their jobs are among those whose times are written down.
rule record_run:
    input:
        comparison=f"{RESULTS}/comparison.csv",
        tables=[*rules.compare.output, *rules.judge_claims.output],
        metrics=of_all_runs("metrics.csv"),
        histories=of_all_runs("history.csv"),
        predictions=of_all_runs("predictions.npz"),
        figures=COMPARISON_FIGURES + figures_of(MODELS),
        splits=[
            *([f"{DATA}/mnist/split.csv"] if models_of("mnist") else []),
            *flower_splits(),
        ],
        images=f"{FLOWERS}/images.csv" if models_of("flowers") else [],
        damaged=f"{FLOWERS}/damaged.json" if models_of("flowers") else [],
        manifests=feature_manifests(),
        notebooks=notebook_manifests(),
        config=f"{RESULTS}/config.yaml",
        environments=[shipped(file) for file in sorted((BASE / "envs").glob("*.yaml"))],
        # Their hashes are written down.
        code=[shipped(file) for file in code_of_project(BASE)],
    output:
        provenance=f"{RESULTS}/provenance.json",
        cards=[f"{RESULTS}/runs/{model}/model_card.md" for model in MODELS],
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
        models=model_table(MODELS),
        runs={model: runs_of(model) for model in MODELS},
        # The rules above this one.
        benchmarks=benchmarks_so_far(),
        unfinished=unfinished_so_far(),
        splits=splits_of_all_runs(),
        sources={name: asdict(REGISTRY[name]) for name in PROVED},
    message:
        "Record how the run was made, and write a card for each model"
    script:
        "../scripts/record_run.py"


rule write_crate:
    input:
        rules.report.output,
        rules.report.input,
        rules.compare.output,
        rules.judge_claims.output,
        rules.record_run.output,
        runs=files_of_all_runs(),
        snakefile=shipped("Snakefile"),
        rules=[shipped(file) for file in sorted((BASE / "rules").glob("*.smk"))],
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
        models=MODELS,
        sources={name: asdict(REGISTRY[name]) for name in PROVED},
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

# From predictions to metrics, and the reported figures beside the reproduced ones.


rule evaluate:
    input:
        predictions=f"{RESULTS}/runs/{{model}}/{{run}}/{PREDICTIONS}",
        names=for_flowers(CLASS_NAMES),
        images=for_flowers(IMAGES["flowers"]),
        # A flower net's train figures are running averages, as reported.
        history=lambda wildcards: (
            f"{RESULTS}/runs/{wildcards.model}/{wildcards.run}/{HISTORY}"
            if model_of(wildcards).part == "flowers"
            else []
        ),
        code=code("evaluate"),
    output:
        metrics=f"{RESULTS}/runs/{{model}}/{{run}}/metrics.csv",
        per_class=f"{RESULTS}/runs/{{model}}/{{run}}/per_class.csv",
        confusion=f"{RESULTS}/runs/{{model}}/{{run}}/confusion.csv",
        mistakes=f"{RESULTS}/runs/{{model}}/{{run}}/mistakes.csv",
        predicted=f"{RESULTS}/runs/{{model}}/{{run}}/predictions.csv",
        reliability=f"{RESULTS}/runs/{{model}}/{{run}}/reliability.csv",
    log:
        f"{LOGS}/evaluate/{{model}}/{{run}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/{{model}}/{{run}}.tsv"
    localrule: True
    conda:
        "../envs/numpy.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        model="{model}",
        run="{run}",
        seed=lambda wildcards: model_of(wildcards).run(wildcards.run).number,
        loss=by_model(lambda model: model.loss),
    message:
        "Metrics of {wildcards.model}, {wildcards.run}"
    script:
        "../scripts/evaluate.py"


# The reference runs of the report's models: tables, and what is known of them.
REFERENCE = [shipped(file) for file in REPORT.about.reference_files]


rule compare:
    input:
        metrics=of_all_runs("metrics.csv"),
        reported=shipped(REPORT_FILE),
        reference=REFERENCE,
        code=code("compare"),
    output:
        metrics=f"{RESULTS}/metrics.csv",
        comparison=(
            f"{RESULTS}/comparison.csv"
            if PLAN.own_pictures
            else report(
                f"{RESULTS}/comparison.csv",
                caption="../resources/captions/comparison.rst",
                category="Comparison",
                labels={"what": "4. All figures (CSV file)"},
            )
        ),
        overview=f"{RESULTS}/overview.json",
        table=f"{RESULTS}/comparison.md",
    log:
        f"{LOGS}/compare.log",
    benchmark:
        f"{BENCHMARKS}/compare.tsv"
    localrule: True
    conda:
        "../envs/numpy.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        models=TABLE,
    message:
        "Lay the reproduced figures beside the reported ones"
    script:
        "../scripts/compare.py"


rule judge_claims:
    input:
        metrics=f"{RESULTS}/metrics.csv",
        histories=of_all_runs(HISTORY),
        predictions=of_all_runs(PREDICTIONS),
        reported=shipped(REPORT_FILE),
        reference=REFERENCE,
        code=code("judge_claims"),
    output:
        claims=f"{RESULTS}/claims.csv",
        table=f"{RESULTS}/claims.md",
    log:
        f"{LOGS}/judge_claims.log",
    benchmark:
        f"{BENCHMARKS}/judge_claims.tsv"
    localrule: True
    conda:
        "../envs/numpy.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        models=TABLE,
    message:
        "Judge what the report says in words"
    script:
        "../scripts/judge_claims.py"

# MNIST: the arrays, the split, and one rule a net.


rule prepare_mnist:
    input:
        **{part: fetched(file) for part, file in MNIST_FILES.items()},
        code=code("prepare_mnist"),
    output:
        images=f"{DATA}/mnist/images.npy",
        labels=f"{DATA}/mnist/labels.npy",
        split=f"{DATA}/mnist/split.csv",
    log:
        f"{LOGS}/prepare_mnist.log",
    benchmark:
        f"{BENCHMARKS}/prepare_mnist.tsv"
    localrule: True
    conda:
        "../envs/numpy.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        split=config["mnist"]["split"],
        proofs=proofs_of(MNIST_FILES.values()),
    message:
        "Join MNIST's four files and draw the split"
    script:
        "../scripts/prepare_mnist.py"


for model in PLAN.described("mnist"):

    rule:
        name:
            f"train_{model.name}"
        input:
            images=f"{DATA}/mnist/images.npy",
            labels=f"{DATA}/mnist/labels.npy",
            split=f"{DATA}/mnist/split.csv",
            code=code(f"train_{model.framework}"),
        output:
            history=f"{RESULTS}/runs/{model.name}/{{run}}/{HISTORY}",
            predictions=f"{RESULTS}/runs/{model.name}/{{run}}/{PREDICTIONS}",
            model=f"{RESULTS}/runs/{model.name}/{{run}}/{model.file}",
        log:
            f"{LOGS}/train_{model.name}/{{run}}.log",
        benchmark:
            f"{BENCHMARKS}/train_{model.name}/{{run}}.tsv"
        wildcard_constraints:
            run=either(run.name for run in model.runs),
        conda:
            f"../envs/{model.framework}.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(30),
        params:
            framework=model.framework,
            recipe=model.recipe,
            seed=lambda wildcards, model=model: model.run(wildcards.run).seed,
            checkpoint=f"{RESULTS}/checkpoints/{model.name}-{{run}}.npz",
        message:
            f"Train {model.title} ({{wildcards.run}})"
        script:
            "../scripts/train_{params.framework}.py"

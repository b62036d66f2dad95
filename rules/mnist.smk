# MNIST: the arrays, the report's split, and one rule a net.


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
        proofs=proofs_of(*MNIST_FILES.values()),
    message:
        "Join MNIST's four files and draw the report's split"
    script:
        "../scripts/prepare_mnist.py"


for model, net in NETS["mnist"].items():

    rule:
        name:
            f"train_{model}"
        input:
            images=f"{DATA}/mnist/images.npy",
            labels=f"{DATA}/mnist/labels.npy",
            split=f"{DATA}/mnist/split.csv",
            code=code(f"train_{net['framework']}"),
        output:
            history=f"{RESULTS}/runs/{model}/{{run}}/history.csv",
            predictions=f"{RESULTS}/runs/{model}/{{run}}/predictions.npz",
            model=f"{RESULTS}/runs/{model}/{{run}}/{model_file(model)}",
        log:
            f"{LOGS}/train_{model}/{{run}}.log",
        benchmark:
            f"{BENCHMARKS}/train_{model}/{{run}}.tsv"
        conda:
            f"../envs/{net['framework']}.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(30),
        params:
            framework=net["framework"],
            recipe=recipe_of(net),
            seed=seed_of_run,
            checkpoint=f"{RESULTS}/checkpoints/{model}-{{run}}.npz",
        message:
            f"Train {net['title']} ({{wildcards.run}})"
        script:
            "../scripts/train_{params.framework}.py"

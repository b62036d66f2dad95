# Flowers: the images out of the archive, splits, folders by label, and for each net one rule for
# its features and one for its heads.


if GENERATED:

    rule draw_flowers:
        input:
            code=code("draw_flowers"),
        output:
            archive=f"{DATA}/generated/102flowers.tgz",
            labels=f"{DATA}/generated/imagelabels.mat",
            setid=f"{DATA}/generated/setid.mat",
            names=f"{DATA}/generated/names.csv",
        log:
            f"{LOGS}/draw_flowers.log",
        benchmark:
            f"{BENCHMARKS}/draw_flowers.tsv"
        conda:
            "../envs/numpy.yaml"
        threads: 4
        resources:
            mem_mb=growing(1500),
            runtime=growing(30),
        params:
            **config["flowers"]["generated"],
        message:
            "Draw a flowers archive in the official layout"
        script:
            "../scripts/draw_flowers.py"


rule extract_flowers:
    input:
        archive=flowers_file("102flowers.tgz"),
        labels=flowers_file("imagelabels.mat"),
        code=code("extract_flowers"),
    output:
        images=f"{FLOWERS}/images.csv",
        damaged=f"{FLOWERS}/damaged.json",
        folder=directory(f"{FLOWERS}/images"),
    log:
        f"{LOGS}/extract_flowers.log",
    benchmark:
        f"{BENCHMARKS}/extract_flowers.tsv"
    conda:
        "../envs/numpy.yaml"
    threads: 2
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        on_damaged=config["flowers"]["on_damaged"],
        proofs=flowers_proofs(),
    message:
        "Unpack the flower images and open each of them"
    script:
        "../scripts/extract_flowers.py"


rule split_flowers:
    input:
        images=f"{FLOWERS}/images.csv",
        setid=setid_of_split,
        code=code("split_flowers"),
    output:
        split=f"{FLOWERS}/splits/{{split}}.csv",
    log:
        f"{LOGS}/split_flowers/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/split_flowers/{{split}}.tsv"
    wildcard_constraints:
        split="main|seed-[0-9]+",
    localrule: True
    conda:
        "../envs/numpy.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        split=split_parameters,
        proofs=setid_proof(),
    message:
        "Draw the {wildcards.split} split of the flower images"
    script:
        "../scripts/split_flowers.py"


rule layout_flowers:
    input:
        images=f"{FLOWERS}/images.csv",
        folder=f"{FLOWERS}/images",
        split=f"{FLOWERS}/splits/{{split}}.csv",
        code=code("layout_flowers"),
    output:
        folders=directory(f"{FLOWERS}/folders/{{split}}"),
        manifest=f"{FLOWERS}/manifests/{{split}}.csv",
    log:
        f"{LOGS}/layout_flowers/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/layout_flowers/{{split}}.tsv"
    localrule: True
    conda:
        "../envs/numpy.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    message:
        "Lay the flower images out in a folder per set and label ({wildcards.split} split)"
    script:
        "../scripts/layout_flowers.py"


# A frozen backbone's features serve every split; an adapted one has seen the training images, so
# each split has features of its own. With shards, each of them is a job of its own, and one more
# joins them.
OF_SHARD = "-{scatteritem}" if SHARDED else ""
SHARD_SAID = ", {wildcards.scatteritem}" if SHARDED else ""

for model, net in nets_with_features().items():

    rule:
        name:
            f"features_{model}"
        input:
            images=f"{FLOWERS}/images.csv",
            folder=f"{FLOWERS}/images",
            weights=weights_file(net),
            split=f"{FLOWERS}/splits/{{cover}}.csv" if net["protocol"] == "adapted" else [],
            statistics=(
                f"{shards_folder(model)}/adapted.safetensors"
                if SHARDED and net["protocol"] == "adapted"
                else []
            ),
            code=code("extract_features"),
        output:
            features=made_features(model, "features.npy"),
            ids=made_features(model, "ids.npy"),
            manifest=made_features(model, "manifest.json"),
        log:
            f"{LOGS}/features_{model}/{{cover}}{OF_SHARD}.log",
        benchmark:
            f"{BENCHMARKS}/features_{model}/{{cover}}{OF_SHARD}.tsv"
        wildcard_constraints:
            cover="all|main|seed-[0-9]+",
            scatteritem=f"[0-9]+-of-{SHARDS}",
        conda:
            "../envs/torch.yaml"
        threads: 4
        resources:
            gpu=1,
            mem_mb=growing(6000),
            runtime=growing(120),
        params:
            architecture=net["architecture"],
            proofs=weights_proof(net),
            preprocess=net["preprocess"],
            protocol=net["protocol"],
            batch_size=config["flowers"]["batch_size"],
            on_damaged=config["flowers"]["on_damaged"],
            work=f"{FLOWERS}/features/.{model}-{{cover}}{OF_SHARD}.partial",
        message:
            f"Run every flower image once through {net['title']} ({{wildcards.cover}}{SHARD_SAID})"
        script:
            "../scripts/extract_features.py"

    if SHARDED:

        # Seconds for thousands of images; minutes where there are millions of them.
        rule:
            name:
                f"join_{model}"
            input:
                features=gathered_features(model, "features.npy"),
                ids=gathered_features(model, "ids.npy"),
                manifests=gathered_features(model, "manifest.json"),
                code=code("join_features"),
            output:
                features=f"{FLOWERS}/features/{model}/{{cover}}/features.npy",
                ids=f"{FLOWERS}/features/{model}/{{cover}}/ids.npy",
                manifest=f"{FLOWERS}/features/{model}/{{cover}}/manifest.json",
            log:
                f"{LOGS}/join_{model}/{{cover}}.log",
            benchmark:
                f"{BENCHMARKS}/join_{model}/{{cover}}.tsv"
            wildcard_constraints:
                cover="all|main|seed-[0-9]+",
            localrule: True
            conda:
                "../envs/numpy.yaml"
            resources:
                mem_mb=growing(1000),
                runtime=growing(30),
            message:
                f"Join and check the features of {net['title']} ({{wildcards.cover}})"
            script:
                "../scripts/join_features.py"

    if SHARDED and net["protocol"] == "adapted":

        # As many threads as the features rule has: sums in another order differ in their last bits.
        rule:
            name:
                f"adapt_{model}"
            input:
                images=f"{FLOWERS}/images.csv",
                folder=f"{FLOWERS}/images",
                weights=weights_file(net),
                split=f"{FLOWERS}/splits/{{cover}}.csv",
                code=code("adapt_backbone"),
            output:
                statistics=temp(f"{shards_folder(model)}/adapted.safetensors"),
            log:
                f"{LOGS}/adapt_{model}/{{cover}}.log",
            benchmark:
                f"{BENCHMARKS}/adapt_{model}/{{cover}}.tsv"
            wildcard_constraints:
                cover="main|seed-[0-9]+",
            conda:
                "../envs/torch.yaml"
            threads: 4
            resources:
                gpu=1,
                mem_mb=growing(6000),
                runtime=growing(120),
            params:
                architecture=net["architecture"],
                proofs=weights_proof(net),
                preprocess=net["preprocess"],
                batch_size=config["flowers"]["batch_size"],
                on_damaged=config["flowers"]["on_damaged"],
            message:
                f"Estimate the statistics of {net['title']} anew ({{wildcards.cover}})"
            script:
                "../scripts/adapt_backbone.py"

    rule:
        name:
            f"train_{model}"
        input:
            features=features_of(model, "features.npy"),
            ids=features_of(model, "ids.npy"),
            manifests=features_of(model, "manifest.json"),
            images=f"{FLOWERS}/images.csv",
            splits=[f"{FLOWERS}/splits/{split}.csv" for split in splits_of_runs(model)],
            code=code("train_head"),
        output:
            histories=of_runs(model, "history.csv"),
            predictions=of_runs(model, "predictions.npz"),
            models=of_runs(model, "model.safetensors"),
        log:
            f"{LOGS}/train_{model}.log",
        benchmark:
            f"{BENCHMARKS}/train_{model}.tsv"
        conda:
            "../envs/torch.yaml"
        # One head keeps one core busy; more heads are shared out among the cores.
        threads: min(len(flower_runs(model)), 4)
        resources:
            gpu=1,
            mem_mb=growing(3000),
            runtime=growing(30),
        params:
            runs=numbered_flower_runs(model),
            recipe=config["flowers"]["head"],
        message:
            f"Train the heads on {net['title']}"
        script:
            "../scripts/train_head.py"


# What the report's notebook did: every image through the whole net in every epoch.
for model, net in nets_without_features().items():

    rule:
        name:
            f"train_{model}"
        input:
            folders=[f"{FLOWERS}/folders/{split}" for split in splits_of_runs(model)],
            weights=weights_file(net),
            code=code("train_notebook"),
        output:
            histories=of_runs(model, "history.csv"),
            predictions=of_runs(model, "predictions.npz"),
            models=of_runs(model, "model.safetensors"),
            manifest=notebook_manifest(model),
        log:
            f"{LOGS}/train_{model}.log",
        benchmark:
            f"{BENCHMARKS}/train_{model}.tsv"
        conda:
            "../envs/torch.yaml"
        threads: 4
        resources:
            gpu=1,
            mem_mb=growing(8000),
            runtime=growing(720),
        params:
            architecture=net["architecture"],
            proofs=weights_proof(net),
            preprocess=net["preprocess"],
            runs=numbered_flower_runs(model),
            recipe=config["flowers"]["head"],
            work=f"{FLOWERS}/features/.{model}.partial",
        message:
            f"Train {net['title']} as the notebook did"
        script:
            "../scripts/train_notebook.py"

# Flowers: the images out of the archive, splits, folders by label, and for each net one rule for
# its features and one for its heads.


SPLITS = ["main", *(run.split for model in PLAN.described("flowers") for run in model.runs)]

# The names of the user's own classes, where they have any, and of the flowers' classes.
own_names = config["flowers"]["names"] if PLAN.own_data else None
OWN_NAMES = os.path.expanduser(own_names) if own_names else []
if PLAN.in_folders:
    OWN_NAMES = f"{FLOWERS}/names.csv"
CLASS_NAMES = {
    "oxford102": shipped("resources/flower_names.csv"),
    "generated": f"{DATA}/generated/names.csv",
}.get(config["flowers"]["data"], OWN_NAMES)


if PLAN.generated:

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
            "Draw an archive of images in the official layout"
        script:
            "../scripts/draw_flowers.py"


if PLAN.in_folders:

    # A trained net is asked as it is, whatever has become of the pictures it was trained on.
    if workflow.is_main_process and not PLAN.asks:
        with InWords():
            pictures.check(
                pictures.find(config["flowers"]["folders"], config["flowers"]["table"]),
                config["flowers"]["split"],
                config["flowers"]["on_small"],
                len(PLAN.splits),
            )

    ruleorder: gather_pictures > extract_images

    # What is found changes with the pictures alone: a touched file, or one moved back, reruns nothing.
    rule gather_pictures:
        input:
            code=code("gather_pictures"),
        output:
            images=f"{FLOWERS}/images.csv",
            damaged=f"{FLOWERS}/damaged.json",
            left_out=f"{FLOWERS}/left_out.json",
            names=f"{FLOWERS}/names.csv",
            seen=f"{FLOWERS}/seen.csv",
        log:
            f"{LOGS}/gather_pictures.log",
        benchmark:
            f"{BENCHMARKS}/gather_pictures.tsv"
        conda:
            "../envs/numpy.yaml"
        threads: 4
        resources:
            mem_mb=growing(1500),
            runtime=growing(30),
        params:
            # Functions, because Snakemake takes braces in a text for wildcards.
            folders=lambda wildcards: config["flowers"]["folders"],
            table=lambda wildcards: config["flowers"]["table"],
            on_damaged=config["flowers"]["on_damaged"],
            on_small=config["flowers"]["on_small"],
            pictures=fingerprint_of_pictures,
        message:
            "Find the pictures, and open each of them"
        script:
            "../scripts/gather_pictures.py"


rule extract_images:
    input:
        archive=flowers_file(ARCHIVE),
        labels=flowers_file(PLAN.labels_file),
        code=code("extract_images"),
    output:
        images=f"{FLOWERS}/images.csv",
        damaged=f"{FLOWERS}/damaged.json",
        folder=directory(f"{FLOWERS}/images"),
    log:
        f"{LOGS}/extract_images.log",
    benchmark:
        f"{BENCHMARKS}/extract_images.tsv"
    conda:
        "../envs/numpy.yaml"
    threads: 2
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        on_damaged=config["flowers"]["on_damaged"],
        proofs=flowers_proofs(ARCHIVE, PLAN.labels_file),
    message:
        "Unpack the images and open each of them"
    script:
        "../scripts/extract_images.py"


rule split_images:
    input:
        images=f"{FLOWERS}/images.csv",
        setid=flowers_file(SETID) if PLAN.official_split else [],
        code=code("split_images"),
    output:
        split=f"{FLOWERS}/splits/{{split}}.csv",
    log:
        f"{LOGS}/split_images/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/split_images/{{split}}.tsv"
    wildcard_constraints:
        split=either(SPLITS),
    localrule: True
    conda:
        "../envs/numpy.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        split=lambda wildcards: PLAN.split(wildcards.split),
        proofs=flowers_proofs(SETID),
    message:
        "Draw the {wildcards.split} split of the images"
    script:
        "../scripts/split_images.py"


rule layout_images:
    input:
        images=f"{FLOWERS}/images.csv",
        folder=IMAGES_FOLDER,
        split=f"{FLOWERS}/splits/{{split}}.csv",
        code=code("layout_images"),
    output:
        folders=directory(f"{FLOWERS}/folders/{{split}}"),
        manifest=f"{FLOWERS}/manifests/{{split}}.csv",
    log:
        f"{LOGS}/layout_images/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/layout_images/{{split}}.tsv"
    localrule: True
    conda:
        "../envs/numpy.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    message:
        "Lay the images out in a folder per set and label ({wildcards.split} split)"
    script:
        "../scripts/layout_images.py"


# A frozen backbone's features serve every split; an adapted one has seen the training images, so
# each split has features of its own. With shards, each of them is a job of its own, and one more
# joins them.
OF_SHARD = "-{scatteritem}" if SHARDED else ""
SHARD_SAID = ", {wildcards.scatteritem}" if SHARDED else ""


for model in [net for net in PLAN.described("flowers") if net.keeps_features]:

    rule:
        name:
            f"features_{model.name}"
        input:
            images=f"{FLOWERS}/images.csv",
            folder=IMAGES_FOLDER,
            weights=weights_of(model),
            split=f"{FLOWERS}/splits/{{cover}}.csv" if model.protocol == "adapted" else [],
            statistics=(
                f"{shards_folder(model)}/adapted.safetensors"
                if SHARDED and model.protocol == "adapted"
                else []
            ),
            code=code("extract_features"),
        output:
            features=made_features(model, "features.npy"),
            ids=made_features(model, "ids.npy"),
            manifest=made_features(model, "manifest.json"),
        log:
            f"{LOGS}/features_{model.name}/{{cover}}{OF_SHARD}.log",
        benchmark:
            f"{BENCHMARKS}/features_{model.name}/{{cover}}{OF_SHARD}.tsv"
        wildcard_constraints:
            cover=either(["all", *SPLITS]),
            scatteritem=f"[0-9]+-of-{SHARDS}",
        conda:
            "../envs/torch.yaml"
        threads: 4
        resources:
            gpu=1,
            mem_mb=growing(6000),
            runtime=growing(120),
        params:
            architecture=model.net["architecture"],
            proofs=proofs_of(model.weights),
            preprocess=model.net["preprocess"],
            protocol=model.protocol,
            batch_size=config["flowers"]["batch_size"],
            on_damaged=config["flowers"]["on_damaged"],
            work=f"{FLOWERS}/features/.{model.name}-{{cover}}{OF_SHARD}.partial",
        message:
            f"Run every image once through {model.title} ({{wildcards.cover}}{SHARD_SAID})"
        script:
            "../scripts/extract_features.py"

    if SHARDED:

        # Seconds for thousands of images; minutes where there are millions of them.
        rule:
            name:
                f"join_{model.name}"
            input:
                features=gathered_features(model, "features.npy"),
                ids=gathered_features(model, "ids.npy"),
                manifests=gathered_features(model, "manifest.json"),
                code=code("join_features"),
            output:
                features=f"{FLOWERS}/features/{model.name}/{{cover}}/features.npy",
                ids=f"{FLOWERS}/features/{model.name}/{{cover}}/ids.npy",
                manifest=f"{FLOWERS}/features/{model.name}/{{cover}}/manifest.json",
            log:
                f"{LOGS}/join_{model.name}/{{cover}}.log",
            benchmark:
                f"{BENCHMARKS}/join_{model.name}/{{cover}}.tsv"
            wildcard_constraints:
                cover=either(["all", *SPLITS]),
            localrule: True
            conda:
                "../envs/numpy.yaml"
            resources:
                mem_mb=growing(1000),
                runtime=growing(30),
            message:
                f"Join and check the features of {model.title} ({{wildcards.cover}})"
            script:
                "../scripts/join_features.py"

    if SHARDED and model.protocol == "adapted":

        # As many threads as the features rule has: sums in another order differ in their last bits.
        rule:
            name:
                f"adapt_{model.name}"
            input:
                images=f"{FLOWERS}/images.csv",
                folder=IMAGES_FOLDER,
                weights=weights_of(model),
                split=f"{FLOWERS}/splits/{{cover}}.csv",
                code=code("adapt_backbone"),
            output:
                statistics=temp(f"{shards_folder(model)}/adapted.safetensors"),
            log:
                f"{LOGS}/adapt_{model.name}/{{cover}}.log",
            benchmark:
                f"{BENCHMARKS}/adapt_{model.name}/{{cover}}.tsv"
            wildcard_constraints:
                cover=either(SPLITS),
            conda:
                "../envs/torch.yaml"
            threads: 4
            resources:
                gpu=1,
                mem_mb=growing(6000),
                runtime=growing(120),
            params:
                architecture=model.net["architecture"],
                proofs=proofs_of(model.weights),
                preprocess=model.net["preprocess"],
                batch_size=config["flowers"]["batch_size"],
                on_damaged=config["flowers"]["on_damaged"],
            message:
                f"Estimate the statistics of {model.title} anew ({{wildcards.cover}})"
            script:
                "../scripts/adapt_backbone.py"

    rule:
        name:
            f"train_{model.name}"
        input:
            features=features_of(model, "features.npy"),
            ids=features_of(model, "ids.npy"),
            manifests=features_of(model, "manifest.json"),
            images=f"{FLOWERS}/images.csv",
            splits=split_files(model.splits),
            names=CLASS_NAMES,
            code=code("train_head"),
        output:
            histories=of_runs(model, HISTORY),
            predictions=of_runs(model, PREDICTIONS),
            models=of_runs(model, model.file),
        log:
            f"{LOGS}/train_{model.name}.log",
        benchmark:
            f"{BENCHMARKS}/train_{model.name}.tsv"
        conda:
            "../envs/torch.yaml"
        # One head keeps one core busy; more heads are shared out among the cores.
        threads: min(len(model.runs), 4)
        resources:
            gpu=1,
            mem_mb=growing(3000),
            runtime=growing(30),
        params:
            runs=model.numbered_runs,
            recipe=config["flowers"]["head"],
        message:
            f"Train the heads on {model.title}"
        script:
            "../scripts/train_head.py"


# What the report's notebook did: every image through the whole net in every epoch.
for model in [net for net in PLAN.described("flowers") if not net.keeps_features]:

    rule:
        name:
            f"train_{model.name}"
        input:
            folders=[f"{FLOWERS}/folders/{split}" for split in model.splits],
            weights=weights_of(model),
            names=CLASS_NAMES,
            code=code("train_notebook"),
        output:
            histories=of_runs(model, HISTORY),
            predictions=of_runs(model, PREDICTIONS),
            models=of_runs(model, model.file),
            manifest=notebook_manifest(model),
        log:
            f"{LOGS}/train_{model.name}.log",
        benchmark:
            f"{BENCHMARKS}/train_{model.name}.tsv"
        conda:
            "../envs/torch.yaml"
        threads: 4
        resources:
            gpu=1,
            mem_mb=growing(8000),
            runtime=growing(720),
        params:
            architecture=model.net["architecture"],
            proofs=proofs_of(model.weights),
            preprocess=model.net["preprocess"],
            runs=model.numbered_runs,
            recipe=config["flowers"]["head"],
            work=f"{FLOWERS}/features/.{model.name}.partial",
        message:
            f"Train {model.title}, its backbone in training mode"
        script:
            "../scripts/train_notebook.py"

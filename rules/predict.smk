# A trained net is asked what pictures show: `predict: {run: ..., images: ...}`, or `make predict`.

if PLAN.asks:
    ASKED = Path(os.path.normpath(os.path.expanduser(config["predict"]["run"])))
    ASKED_NET = PLAN.nets[ASKED.parent.name]

    rule predict:
        input:
            # By its absolute path, so that no rule makes it anew: it is asked as it is, though the
            # pictures it was trained on may have changed since, or be gone.
            model=os.path.abspath(ASKED / ASKED_NET.file),
            weights=weights_of(ASKED_NET),
            style=shipped("resources/style.mplstyle"),
            code=code("predict"),
        output:
            answers=f"{ASKED}/answers.csv",
            sheet=f"{ASKED}/answers.png",
        log:
            f"{LOGS}/predict.log",
        benchmark:
            f"{BENCHMARKS}/predict.tsv"
        conda:
            "../envs/torch.yaml"
        threads: 4 if ASKED_NET.part == "flowers" else 1
        resources:
            gpu=1 if ASKED_NET.part == "flowers" else 0,
            mem_mb=growing(4000),
            runtime=growing(60),
        params:
            part=ASKED_NET.part,
            title=ASKED_NET.title,
            images=lambda wildcards: config["predict"]["images"],
            pictures=fingerprint_of_asked,
            architecture=ASKED_NET.net.get("architecture"),
            preprocess=ASKED_NET.net.get("preprocess"),
            proofs=proofs_of(ASKED_NET.weights),
        message:
            "Ask {params.title} what the pictures show"
        script:
            "../scripts/predict.py"

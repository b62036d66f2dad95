# Figures and the page that gathers them.


rule plot_curves:
    input:
        histories=lambda wildcards: of_runs(wildcards.model, "history.csv"),
        reported=curve_of,
        style=shipped("resources/style.mplstyle"),
        code=code("plot_curves"),
    output:
        png=report(
            f"{RESULTS}/figures/{{model}}/{{quantity}}.png",
            caption="../resources/captions/curves.rst",
            category="Training curves",
            labels={"model": "{model}", "figure": "{quantity} per epoch"},
        ),
        svg=f"{RESULTS}/figures/{{model}}/{{quantity}}.svg",
    log:
        f"{LOGS}/plot_curves/{{model}}-{{quantity}}.log",
    benchmark:
        f"{BENCHMARKS}/plot_curves/{{model}}-{{quantity}}.tsv"
    wildcard_constraints:
        quantity="accuracy|loss",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        title=title_of,
        model="{model}",
        quantity="{quantity}",
        splits=splits_of,
        loss_label=loss_label_of,
    message:
        "Plot {wildcards.quantity} per epoch of {wildcards.model}"
    script:
        "../scripts/plot_curves.py"


rule plot_comparison:
    input:
        comparison=f"{RESULTS}/comparison.csv",
        style=shipped("resources/style.mplstyle"),
        code=code("plot_comparison"),
    output:
        png=report(
            f"{RESULTS}/figures/comparison.png",
            caption="../resources/captions/plot_comparison.rst",
            category="Comparison",
            labels={"what": "Reported and reproduced, as a chart"},
        ),
        svg=f"{RESULTS}/figures/comparison.svg",
    log:
        f"{LOGS}/plot_comparison.log",
    benchmark:
        f"{BENCHMARKS}/plot_comparison.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Plot reported against reproduced"
    script:
        "../scripts/plot_comparison.py"


rule plot_confusion:
    input:
        confusion=of_headline("confusion.csv"),
        style=shipped("resources/style.mplstyle"),
        code=code("plot_confusion"),
    output:
        png=report(
            f"{RESULTS}/figures/{{model}}/confusion.png",
            caption="../resources/captions/confusion.rst",
            category="A closer look",
            labels={"model": "{model}", "figure": "confusion of classes"},
        ),
        svg=f"{RESULTS}/figures/{{model}}/confusion.svg",
    log:
        f"{LOGS}/plot_confusion/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/plot_confusion/{{model}}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        title=title_of,
    message:
        "Plot confusion of classes of {wildcards.model}"
    script:
        "../scripts/plot_confusion.py"


rule plot_gallery:
    input:
        mistakes=of_headline("mistakes.csv"),
        images=images_of,
        style=shipped("resources/style.mplstyle"),
        code=code("plot_gallery"),
    output:
        png=report(
            f"{RESULTS}/figures/{{model}}/gallery.png",
            caption="../resources/captions/gallery.rst",
            category="A closer look",
            labels={"model": "{model}", "figure": "most confident mistakes"},
        ),
        svg=f"{RESULTS}/figures/{{model}}/gallery.svg",
    log:
        f"{LOGS}/plot_gallery/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/plot_gallery/{{model}}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        title=title_of,
    message:
        "Plot most confident mistakes of {wildcards.model}"
    script:
        "../scripts/plot_gallery.py"


rule plot_reliability:
    input:
        metrics=of_headline("metrics.csv"),
        reliability=of_headline("reliability.csv"),
        style=shipped("resources/style.mplstyle"),
        code=code("plot_reliability"),
    output:
        png=report(
            f"{RESULTS}/figures/{{model}}/reliability.png",
            caption="../resources/captions/reliability.rst",
            category="A closer look",
            labels={"model": "{model}", "figure": "reliability of probabilities"},
        ),
        svg=f"{RESULTS}/figures/{{model}}/reliability.svg",
    log:
        f"{LOGS}/plot_reliability/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/plot_reliability/{{model}}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        title=title_of,
    message:
        "Plot reliability of probabilities of {wildcards.model}"
    script:
        "../scripts/plot_reliability.py"


rule plot_seeds:
    input:
        metrics=f"{RESULTS}/metrics.csv",
        comparison=f"{RESULTS}/comparison.csv",
        style=shipped("resources/style.mplstyle"),
        code=code("plot_seeds"),
    output:
        png=report(
            f"{RESULTS}/figures/seeds.png",
            caption="../resources/captions/seeds.rst",
            category="Comparison",
            labels={"what": "Spread over seeds and splits"},
        ),
        svg=f"{RESULTS}/figures/seeds.svg",
    log:
        f"{LOGS}/plot_seeds.log",
    benchmark:
        f"{BENCHMARKS}/plot_seeds.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Plot the spread over seeds and splits"
    script:
        "../scripts/plot_seeds.py"


rule save_configuration:
    input:
        code=code("save_configuration"),
    output:
        config=f"{RESULTS}/config.yaml",
    log:
        f"{LOGS}/save_configuration.log",
    conda:
        "../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        config=config,
    message:
        "Save the configuration this run was made with"
    script:
        "../scripts/save_configuration.py"


# Snakemake draws the page from what the other rules have left; it is called within its own run, so
# without the lock the outer run holds.
rule report:
    input:
        products(MODELS),
        f"{RESULTS}/comparison.csv",
        f"{RESULTS}/claims.csv",
        f"{RESULTS}/figures/comparison.png",
        f"{RESULTS}/figures/seeds.png",
        config=f"{RESULTS}/config.yaml",
        captions=captions(),
    output:
        page=f"{RESULTS}/report.html",
    log:
        f"{LOGS}/report.log",
    conda:
        "../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        snakefile=shipped("Snakefile"),
        content=[
            f"{RESULTS}/claims.csv",
            f"{RESULTS}/figures/comparison.png",
            f"{RESULTS}/figures/seeds.png",
            *figures_of(MODELS),
        ],
    message:
        "Gather tables and figures in one page: {output.page}"
    shell:
        "snakemake --snakefile {params.snakefile:q} --workflow-profile none --nolock"
        " --configfile {input.config:q} --replace-workflow-config"
        " --report {output.page:q} -- {params.content:q} > {log:q} 2>&1"

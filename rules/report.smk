# Figures and the page that gathers them.

FIGURE_NAMES = {
    "accuracy": "accuracy per epoch",
    "loss": "loss per epoch",
    "confusion": "confusion of classes",
    "gallery": "most confident mistakes",
    "reliability": "reliability of probabilities",
}
# Benchmarks of this project, drawn where their results are at hand.
BENCHMARK_NAMES = {
    "bench_mnist": "Speed of the from-scratch net",
    "bench_flowers": "Speed of the flower nets' passes",
}
BENCHMARK_FIGURES = {
    f"{RESULTS}/figures/{name}.png": title
    for name, title in BENCHMARK_NAMES.items()
    if (BASE / f"docs/{name}.csv").exists()
}
COMPARISON_FIGURES = [f"{RESULTS}/figures/comparison.png", f"{RESULTS}/figures/seeds.png"]
# Heading, name and file of each figure, for the page in Markdown.
NAMED_FIGURES = [
    ["Comparison", "Reproduced minus reported", COMPARISON_FIGURES[0]],
    ["Comparison", "Spread over seeds and splits", COMPARISON_FIGURES[1]],
    *(
        [model.title, FIGURE_NAMES[Path(figure).stem], figure]
        for model in PLAN.models
        for figure in figures_of([model])
    ),
    ["Time and memory", "Run time and peak memory of this run", f"{RESULTS}/figures/runtime.png"],
    *(["Time and memory", title, file] for file, title in BENCHMARK_FIGURES.items()),
]


rule plot_curves:
    input:
        histories=of_model(HISTORY),
        reported=curve_of,
        style=shipped("resources/style.mplstyle"),
        code=code("plot_curves"),
    output:
        png=report(
            f"{RESULTS}/figures/{{model}}/{{quantity}}.png",
            caption="../resources/captions/curves.rst",
            category="Curves",
            labels=lambda wildcards: {
                "model": title_of(wildcards),
                "figure": "{quantity} per epoch",
            },
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
        reported_label=reported_label_of,
        curve_note=curve_note_of,
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
            labels={"what": "3. Reproduced minus reported (chart)"},
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
            category="Errors",
            labels=lambda wildcards: {
                "model": title_of(wildcards),
                "figure": FIGURE_NAMES["confusion"],
            },
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
        # The photographs themselves: the table above holds their paths.
        folder=photographs_of,
        style=shipped("resources/style.mplstyle"),
        code=code("plot_gallery"),
    output:
        png=report(
            f"{RESULTS}/figures/{{model}}/gallery.png",
            caption="../resources/captions/gallery.rst",
            category="Errors",
            labels=lambda wildcards: {
                "model": title_of(wildcards),
                "figure": FIGURE_NAMES["gallery"],
            },
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
            category="Errors",
            labels=lambda wildcards: {
                "model": title_of(wildcards),
                "figure": FIGURE_NAMES["reliability"],
            },
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
            labels={"what": "4. Spread over seeds and splits (chart)"},
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


# Times differ from run to run, so they stand in a file of their own. Benchmarks are no inputs: one
# that was lost must not train a net again.
rule plot_runtime:
    input:
        products(PLAN.models),
        COMPARISON_FIGURES,
        f"{RESULTS}/claims.csv",
        style=shipped("resources/style.mplstyle"),
        code=code("plot_runtime"),
    output:
        table=f"{RESULTS}/runtime.csv",
        png=report(
            f"{RESULTS}/figures/runtime.png",
            caption="../resources/captions/runtime.rst",
            category="Time and memory",
            labels={"what": "Run time and peak memory of this run, by rule"},
        ),
        svg=f"{RESULTS}/figures/runtime.svg",
    log:
        f"{LOGS}/plot_runtime.log",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        # The rules above this one; those below run beside it or after it.
        benchmarks=benchmarks_so_far(),
        unfinished=unfinished_so_far(),
        runs={model.name: [run.name for run in model.runs] for model in PLAN.models},
        models=PLAN.model_of_rule,
        splits=PLAN.splits,
    message:
        "Plot run time and peak memory by rule"
    script:
        "../scripts/plot_runtime.py"


rule write_page:
    input:
        comparison=f"{RESULTS}/comparison.csv",
        claims=f"{RESULTS}/claims.csv",
        provenance=f"{RESULTS}/provenance.json",
        look=page_templates(),
        code=code("write_page"),
    output:
        comparison=report(
            f"{RESULTS}/comparison.html",
            caption="../resources/captions/comparison_page.rst",
            category="Comparison",
            labels={"what": "1. Figures reported and reproduced (table)"},
        ),
        claims=report(
            f"{RESULTS}/claims.html",
            caption="../resources/captions/claims_page.rst",
            category="Comparison",
            labels={"what": "2. Claims in words (table)"},
        ),
        provenance=report(
            f"{RESULTS}/provenance.html",
            caption="../resources/captions/provenance_page.rst",
            category="Provenance",
            labels={"what": "How this run was made"},
        ),
        markdown=f"{RESULTS}/REPORT.md",
    log:
        f"{LOGS}/write_page.log",
    benchmark:
        f"{BENCHMARKS}/write_page.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figures=NAMED_FIGURES,
    message:
        "Write verdict and tables: {output.markdown}"
    script:
        "../scripts/write_page.py"


rule plot_benchmarks:
    input:
        times=shipped("docs/{benchmark}.csv"),
        style=shipped("resources/style.mplstyle"),
        code=code("plot_benchmarks"),
    output:
        png=report(
            f"{RESULTS}/figures/{{benchmark}}.png",
            caption="../resources/captions/benchmarks.rst",
            category="Time and memory",
            labels=lambda wildcards: {"what": BENCHMARK_NAMES[wildcards.benchmark]},
        ),
        svg=f"{RESULTS}/figures/{{benchmark}}.svg",
    log:
        f"{LOGS}/plot_benchmarks/{{benchmark}}.log",
    benchmark:
        f"{BENCHMARKS}/plot_benchmarks/{{benchmark}}.tsv"
    wildcard_constraints:
        benchmark="|".join(BENCHMARK_NAMES),
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        benchmark="{benchmark}",
    message:
        "Plot {wildcards.benchmark} as ratios"
    script:
        "../scripts/plot_benchmarks.py"


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
        products(PLAN.models),
        COMPARISON_FIGURES,
        list(BENCHMARK_FIGURES),
        f"{RESULTS}/comparison.html",
        f"{RESULTS}/figures/runtime.png",
        config=f"{RESULTS}/config.yaml",
        captions=captions(),
        style=shipped("resources/page/report.css"),
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
            f"{RESULTS}/comparison.html",
            *COMPARISON_FIGURES,
            *figures_of(PLAN.models),
            f"{RESULTS}/figures/runtime.png",
            *BENCHMARK_FIGURES,
        ],
    message:
        "Gather tables and figures in one page: {output.page}"
    shell:
        "snakemake --snakefile {params.snakefile:q} --workflow-profile none --nolock"
        " --configfile {input.config:q} --replace-workflow-config"
        " --report {output.page:q} --report-stylesheet {input.style:q} -- {params.content:q} > {log:q} 2>&1"

# Figures and the page that gathers them.

# The templates of pages, with the CSS and the JavaScript they take up.
PAGES = [file for file in all_shipped("resources/page/*") if not file.endswith("report.css")]
# Benchmarks of this project, drawn where their results are at hand and their nets run.
BENCHMARK_NAMES = {
    name: title
    for name, title in BENCHMARK_TITLES.items()
    # Pictures of one's own are held against nothing, and so is their speed.
    if (BASE / f"docs/{name}.csv").exists() and not PLAN.own_pictures
    if (PLAN.of("flowers") if name == "bench_flowers" else PLAN.from_scratch)
}
BENCHMARK_FIGURES = [f"{RESULTS}/figures/{name}.png" for name in BENCHMARK_NAMES]
COMPARISON_FIGURES = [] if PLAN.own_pictures else [f"{RESULTS}/figures/comparison.png"]
FRONT_PAGE = f"{RESULTS}/{'pictures' if PLAN.own_pictures else 'comparison'}.html"
# Heading, name and file of each figure, for the page in Markdown.
NAMED_FIGURES = [
    *(["Comparison", "Reproduced minus reported", figure] for figure in COMPARISON_FIGURES),
    *(
        [model.title, figure_name(model, Path(figure).stem, REPORT), figure]
        for model in PLAN.models
        for figure in figures_of([model])
    ),
    ["Time and memory", "Run time and peak memory of this run", f"{RESULTS}/figures/runtime.png"],
    *(
        ["Time and memory", title, file]
        for title, file in zip(BENCHMARK_NAMES.values(), BENCHMARK_FIGURES)
    ),
]


# A part's nets have the same figures, drawn by one job a net.
for part, name in {"mnist": "plot_mnist", "flowers": "plot_images"}.items():

    rule:
        name:
            name
        input:
            histories=by_model(lambda model: of_runs(model, HISTORY)),
            reported=by_model(curve_of),
            metrics=of_headline("metrics.csv"),
            confusion=of_headline("confusion.csv"),
            mistakes=of_headline("mistakes.csv"),
            reliability=of_headline("reliability.csv"),
            against=by_model(
                lambda model: headline(OTHERS[model.name], HISTORY) if model.name in OTHERS else []
            ),
            model=by_model(lambda model: headline(model, model.file)) if part == "mnist" else [],
            images=IMAGES[part],
            # The photographs themselves: the table above holds their paths.
            folder=for_flowers(IMAGES_FOLDER),
            style=shipped("resources/style.mplstyle"),
            code=code("plot_model"),
        output:
            **{
                figure: report(
                    f"{RESULTS}/figures/{{model}}/{figure}.png",
                    caption=f"../resources/captions/{figure}.rst",
                    category=CATEGORIES[figure],
                    labels=lambda wildcards, figure=figure: {
                        "model": model_of(wildcards).title,
                        "figure": figure_name(model_of(wildcards), figure, REPORT),
                    },
                )
                for figure in FIGURES[part]
            },
            svg=[f"{RESULTS}/figures/{{model}}/{figure}.svg" for figure in FIGURES[part]],
        log:
            f"{LOGS}/{name}/{{model}}.log",
        benchmark:
            f"{BENCHMARKS}/{name}/{{model}}.tsv"
        wildcard_constraints:
            model=either(model.name for model in PLAN.described(part)),
        localrule: True
        conda:
            "../envs/report.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            quantities=by_model(lambda model: quantities(model, REPORT)),
            title=by_model(lambda model: model.title),
            splits=list(SETS[part]),
            reported_label=by_model(lambda model: reported_label(model, REPORT)),
            curve_note=by_model(lambda model: curve_note(model, REPORT)),
            loss_label=by_model(lambda model: LOSS_LABELS[model.loss]),
            against_label=by_model(
                lambda model: OTHERS[model.name].title if model.name in OTHERS else ""
            ),
            linear=by_model(lambda model: model.net.get("hidden") == []),
        message:
            "Plot curves and errors of {wildcards.model}"
        script:
            "../scripts/plot_model.py"


rule plot_comparison:
    input:
        metrics=f"{RESULTS}/metrics.csv",
        comparison=f"{RESULTS}/comparison.csv",
        style=shipped("resources/style.mplstyle"),
        code=code("plot_comparison"),
    output:
        comparison=report(
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
    localrule: True
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Plot reproduced against reported"
    script:
        "../scripts/plot_comparison.py"


# Times differ from run to run, so they stand in a file of their own. Benchmarks are no inputs: one
# that was lost must not train a net again.
rule plot_runtime:
    input:
        products(PLAN.models),
        COMPARISON_FIGURES,
        JUDGED,
        **{name: shipped(f"docs/{name}.csv") for name in BENCHMARK_NAMES},
        style=shipped("resources/style.mplstyle"),
        code=code("plot_runtime"),
    output:
        **{
            name: report(
                f"{RESULTS}/figures/{name}.png",
                caption=f"../resources/captions/{name}.rst",
                category="Time and memory",
                labels={"what": title},
            )
            for name, title in BENCHMARK_NAMES.items()
        },
        table=f"{RESULTS}/runtime.csv",
        runtime=report(
            f"{RESULTS}/figures/runtime.png",
            caption="../resources/captions/runtime.rst",
            category="Time and memory",
            labels={"what": "Run time and peak memory of this run, by rule"},
        ),
        svg=[f"{RESULTS}/figures/{name}.svg" for name in ("runtime", *BENCHMARK_NAMES)],
    log:
        f"{LOGS}/plot_runtime.log",
    localrule: True
    conda:
        "../envs/report.yaml"
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
        "Plot run time and peak memory by rule, and the benchmarks"
    script:
        "../scripts/plot_runtime.py"


if PLAN.own_pictures:

    ruleorder: write_pictures > write_page

    rule write_pictures:
        input:
            predictions=of_headlines("predictions.csv"),
            per_class=of_headlines("per_class.csv"),
            confusion=of_headlines("confusion.csv"),
            left_out=LEFT_OUT,
            provenance=f"{RESULTS}/provenance.json",
            look=PAGES,
            code=code("write_pictures"),
        output:
            page=report(
                f"{RESULTS}/pictures.html",
                caption="../resources/captions/pictures_page.rst",
                category="Pictures",
                labels={"what": "The classes (table)"},
            ),
            provenance=report(
                f"{RESULTS}/provenance.html",
                caption="../resources/captions/provenance_page.rst",
                category="Provenance",
                labels={"what": "How this run was made"},
            ),
            summary=f"{RESULTS}/pictures.txt",
            markdown=f"{RESULTS}/REPORT.md",
        log:
            f"{LOGS}/write_pictures.log",
        benchmark:
            f"{BENCHMARKS}/write_pictures.tsv"
        localrule: True
        conda:
            "../envs/report.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            titles=[model.title for model in PLAN.models],
            figures=NAMED_FIGURES,
        message:
            "Write what came of the pictures: {output.markdown}"
        script:
            "../scripts/write_pictures.py"


rule write_page:
    input:
        comparison=f"{RESULTS}/comparison.csv",
        overview=f"{RESULTS}/overview.json",
        claims=f"{RESULTS}/claims.csv",
        against=AGAINST[:1],
        per_class=of_headlines("per_class.csv"),
        provenance=f"{RESULTS}/provenance.json",
        look=PAGES,
        code=code("write_page"),
    output:
        **(
            {
                "against": report(
                    f"{RESULTS}/against.html",
                    caption="../resources/captions/against_page.rst",
                    category="Comparison",
                    labels={"what": "6. Nets set against each other (table)"},
                )
            }
            if PLAN.pairs
            else {}
        ),
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
    localrule: True
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figures=NAMED_FIGURES,
    message:
        "Write verdict and tables: {output.markdown}"
    script:
        "../scripts/write_page.py"


rule save_configuration:
    input:
        code=code("save_configuration"),
    output:
        config=f"{RESULTS}/config.yaml",
    log:
        f"{LOGS}/save_configuration.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
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
# without the lock the outer run holds; by the Python that runs, whatever is on the PATH.
rule report:
    input:
        products(PLAN.models),
        COMPARISON_FIGURES,
        BENCHMARK_FIGURES,
        FRONT_PAGE,
        f"{RESULTS}/figures/runtime.png",
        config=f"{RESULTS}/config.yaml",
        captions=all_shipped("resources/captions/*.rst"),
        style=shipped("resources/page/report.css"),
    output:
        page=f"{RESULTS}/report.html",
    log:
        f"{LOGS}/report.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        snakefile=shipped("Snakefile"),
        content=[
            FRONT_PAGE,
            *COMPARISON_FIGURES,
            *figures_of(PLAN.models),
            f"{RESULTS}/figures/runtime.png",
            *BENCHMARK_FIGURES,
        ],
    message:
        "Gather tables and figures in one page: {output.page}"
    shell:
        f"{PYTHON} -P -m snakemake"
        " --snakefile {params.snakefile:q} --workflow-profile none --nolock"
        " --configfile {input.config:q} --replace-workflow-config"
        " --report {output.page:q} --report-stylesheet {input.style:q} -- {params.content:q} > {log:q} 2>&1"

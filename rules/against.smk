# Nets set against others: those that are like another, and those that say so.

if PLAN.pairs:

    rule set_against:
        input:
            models=[of_runs(one, PREDICTIONS)[0] for one, _ in PLAN.pairs],
            others=[of_runs(other, PREDICTIONS)[0] for _, other in PLAN.pairs],
            code=code("set_against"),
        output:
            table=f"{RESULTS}/against.csv",
            images=f"{RESULTS}/against_images.csv",
        log:
            f"{LOGS}/set_against.log",
        benchmark:
            f"{BENCHMARKS}/set_against.tsv"
        localrule: True
        conda:
            "../envs/numpy.yaml"
        resources:
            mem_mb=growing(1000),
            runtime=growing(10),
        params:
            pairs=[
                {
                    "model": one.name,
                    "title": one.title,
                    "against": other.name,
                    "against_title": other.title,
                }
                for one, other in PLAN.pairs
            ],
        message:
            "Set nets against others on the same test images"
        script:
            "../scripts/set_against.py"

    rule plot_against:
        input:
            found=f"{RESULTS}/against_images.csv",
            images=images_of,
            folder=photographs_of,
            style=shipped("resources/style.mplstyle"),
            code=code("plot_against"),
        output:
            against=report(
                f"{RESULTS}/figures/{{model}}/against.png",
                caption="../resources/captions/against.rst",
                category="Errors",
                labels=lambda wildcards: {
                    "model": title_of(wildcards),
                    "figure": "images only one of two nets gets right",
                },
            ),
            svg=f"{RESULTS}/figures/{{model}}/against.svg",
        log:
            f"{LOGS}/plot_against/{{model}}.log",
        benchmark:
            f"{BENCHMARKS}/plot_against/{{model}}.tsv"
        wildcard_constraints:
            model=either(one.name for one, _ in PLAN.pairs),
        localrule: True
        conda:
            "../envs/report.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            model="{model}",
            titles=lambda wildcards: {
                each.name: each.title for each in (model_of(wildcards), other_of(wildcards))
            },
        message:
            "Plot what only one of {wildcards.model} and its counterpart gets right"
        script:
            "../scripts/plot_against.py"

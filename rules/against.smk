# Nets set against others: those that are like another, and those that say so.

if PLAN.pairs:

    rule set_against:
        input:
            models=[headline(one, PREDICTIONS) for one, _ in PLAN.pairs],
            others=[headline(other, PREDICTIONS) for _, other in PLAN.pairs],
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
            images=by_model(lambda model: IMAGES[model.part]),
            folder=for_flowers(IMAGES_FOLDER),
            style=shipped("resources/style.mplstyle"),
            code=code("plot_against"),
        output:
            against=report(
                f"{RESULTS}/figures/{{model}}/against.png",
                caption="../resources/captions/against.rst",
                category="Errors",
                labels=lambda wildcards: {
                    "model": model_of(wildcards).title,
                    "figure": FIGURE_NAMES["against"],
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
            titles=by_model(
                lambda model: {each.name: each.title for each in (model, OTHERS[model.name])}
            ),
        message:
            "Plot what only one of {wildcards.model} and its counterpart gets right"
        script:
            "../scripts/plot_against.py"

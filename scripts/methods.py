"""Write METHODS.md into a run's results: a methods paragraph and a reproducibility summary."""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, StrictUndefined

from repro.plan import Plan
from repro.report.summary import plain, sentences
from repro.system.tables import read_csv

ROOT = Path(__file__).parents[1]


def main(results: Path) -> None:
    if not (results / "provenance.json").exists():
        sys.exit(f"{results} has no finished run: run `make demo` or `make reproduce` first")
    path = results / "METHODS.md"
    path.write_text(methods(results), encoding="utf-8")
    print(f"{path}: what only a person can say is left empty there")


def methods(results: Path) -> str:
    """Return the page, from what the run has recorded; nothing that is not there is said."""
    record = json.loads((results / "provenance.json").read_text("utf-8"))
    identity, around = record["identity"], record["circumstances"]
    plan = Plan(yaml.safe_load((results / "config.yaml").read_text("utf-8")))
    if plan.own_pictures:
        report, claims = "", []
        said = (results / "pictures.txt").read_text("utf-8").splitlines()
    else:
        judged = pd.read_csv(results / "claims.csv", keep_default_na=False)
        above = json.loads((results / "overview.json").read_text("utf-8"))
        report, claims = above["report"], judged.to_dict("records")
        said = sentences(read_csv(results / "comparison.csv"), judged, above)
    look = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)  # noqa: S701
    template = look.from_string((ROOT / "resources/methods.md.j2").read_text("utf-8"))
    return template.render(
        citation=yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8")),
        code=identity["code"],
        python=identity["python"],
        packages=identity["packages"],
        splits=identity["splits"],
        machine=around["machine"],
        gpus=plain(around["machine"]["gpus"] or "no GPU"),
        seconds=around["seconds_of_all_jobs"],
        models=[_model(model) for model in plan.models],
        head=plan.config["flowers"]["head"] if plan.of("flowers") else None,
        plain=plain,
        report=report,
        claims=claims,
        results=said,
    )


def _model(model: Any) -> dict[str, str]:
    recipe = [f"{name} {plain(value)}" for name, value in model.recipe.items() if value is not None]
    runs = [run.name for run in model.runs]
    return {"title": model.title, "recipe": ", ".join(recipe), "seeds": ", ".join(runs)}


if __name__ == "__main__":
    main(Path(sys.argv[1]))

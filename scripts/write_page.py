"""Write what a reader opens first: the verdict and all tables, as HTML and as Markdown."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from repro.evaluation.chance import never_learned
from repro.report import pages
from repro.report.summary import left_out
from repro.system import logs
from repro.system.files import write_text
from repro.system.tables import read_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    rows = read_csv(snakemake.input.comparison)
    judged = read_csv(snakemake.input.claims)
    above, record = (
        json.loads(Path(file).read_text(encoding="utf-8"))
        for file in (snakemake.input.overview, snakemake.input.provenance)
    )
    folder = Path(snakemake.output.markdown).parent
    figures: dict[str, dict[str, str]] = {}
    for heading, name, path in snakemake.params.figures:
        figures.setdefault(heading, {})[name] = os.path.relpath(path, folder)

    titles = dict(zip(rows["model"], rows["title"], strict=True))
    found = {table["model"].iloc[0]: table for table in map(read_csv, snakemake.input.per_class)}
    said = {model: never_learned(table) for model, table in found.items()}
    chance = [f"{titles[model]} {words}." for model, words in said.items() if words]
    against = read_csv(snakemake.input.against[0]) if snakemake.input.against else None

    look, output = pages.templates(snakemake.input.look), snakemake.output
    more = [*chance, *left_out(record)]
    write_text(output.comparison, pages.comparison_page(rows, judged, above, look, more))
    write_text(output.claims, pages.claims_page(judged, look))
    write_text(output.provenance, pages.provenance_page(record, look))
    if against is not None:
        write_text(output.against, pages.against_page(against, look))
    text = pages.markdown(rows, judged, above, figures, record, chance=chance, against=against)
    write_text(output.markdown, text)


if __name__ == "__main__":
    main()

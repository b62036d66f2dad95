"""Write what a reader opens first: the verdict and all tables, as HTML and as Markdown."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from repro.report import pages
from repro.report.summary import left_out
from repro.system import logs
from repro.system.files import write_text

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    rows = pd.read_csv(snakemake.input.comparison)
    judged = pd.read_csv(snakemake.input.claims)
    above, record = (
        json.loads(Path(file).read_text(encoding="utf-8"))
        for file in (snakemake.input.overview, snakemake.input.provenance)
    )
    folder = Path(snakemake.output.markdown).parent
    figures: dict[str, dict[str, str]] = {}
    for heading, name, path in snakemake.params.figures:
        figures.setdefault(heading, {})[name] = os.path.relpath(path, folder)

    look, output = pages.templates(snakemake.input.look), snakemake.output
    write_text(
        output.comparison, pages.comparison_page(rows, judged, above, look, left_out(record))
    )
    write_text(output.claims, pages.claims_page(judged, look))
    write_text(output.provenance, pages.provenance_page(record, look))
    write_text(output.markdown, pages.markdown(rows, judged, above, figures, record))


if __name__ == "__main__":
    main()

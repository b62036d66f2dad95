"""Write what a reader opens first: the verdict and all tables, as HTML and as Markdown."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from repro.report import pages, provenance_page
from repro.report.html_tables import Look
from repro.system import logs
from repro.system.files import write_text

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    rows = pd.read_csv(snakemake.input.comparison)
    judged = pd.read_csv(snakemake.input.claims)
    record = json.loads(Path(snakemake.input.provenance).read_text(encoding="utf-8"))
    folder = Path(snakemake.output.markdown).parent
    figures: dict[str, dict[str, str]] = {}
    for heading, name, path in snakemake.params.figures:
        figures.setdefault(heading, {})[name] = os.path.relpath(path, folder)

    look = Look(*(Path(path).read_text(encoding="utf-8") for path in snakemake.input.look))
    left_out = provenance_page.left_out(record)
    write_text(snakemake.output.comparison, pages.comparison_page(rows, judged, look, left_out))
    write_text(snakemake.output.claims, pages.claims_page(judged, look))
    write_text(snakemake.output.provenance, provenance_page.document(record, look))
    origin = provenance_page.sentences(record)
    write_text(snakemake.output.markdown, pages.markdown(rows, judged, figures, origin))


if __name__ == "__main__":
    main()

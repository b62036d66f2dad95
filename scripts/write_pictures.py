"""Write what a reader of a run on one's own pictures opens first, as HTML and as Markdown."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from repro.report import pages, pictures
from repro.report.summary import origin
from repro.system import logs
from repro.system.files import write_text

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    source, output = snakemake.input, snakemake.output
    tables = zip(source.predictions, source.per_class, source.confusion, strict=True)
    told = [
        pictures.read(title, *files)
        for title, files in zip(snakemake.params.titles, tables, strict=True)
    ]
    record = json.loads(Path(source.provenance).read_text(encoding="utf-8"))
    aside = json.loads(Path(source.left_out).read_text("utf-8")) if source.left_out else {}
    folder = Path(output.markdown).parent
    figures: dict[str, dict[str, str]] = {}
    for heading, name, path in snakemake.params.figures:
        figures.setdefault(heading, {})[name] = os.path.relpath(path, folder)

    look, said = pages.templates(source.look), pictures.sentences(told, record, aside)
    write_text(output.page, pictures.page(told, said, look))
    write_text(output.summary, "\n".join(said) + "\n")
    write_text(output.provenance, pages.provenance_page(record, look))
    write_text(output.markdown, pictures.markdown(told, said, figures, origin(record)))


if __name__ == "__main__":
    main()

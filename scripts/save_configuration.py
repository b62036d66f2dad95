"""Save the merged, checked configuration of this run."""

from typing import TYPE_CHECKING

import yaml

from repro.system import logs
from repro.system.files import write_text

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    text = yaml.safe_dump(snakemake.params.config, sort_keys=False, allow_unicode=True)
    write_text(snakemake.output.config, text)


if __name__ == "__main__":
    main()

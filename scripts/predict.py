"""Ask a trained net what pictures show; write its answers as a table and as a contact sheet."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from repro.compute import devices
from repro.errors import UserError
from repro.fetch.proof import prove
from repro.figures import style
from repro.figures.sheet import MOST, contact_sheet
from repro.flowers.pictures import asked_about
from repro.prediction.answers import Answers
from repro.system import logs
from repro.system.files import atomic_path
from repro.system.writer_lock import lock_output

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def of_digits(model: Path, names: list[str], files: list[Path]) -> Answers:
    from repro.prediction import digits  # noqa: PLC0415  each kind of net imports its own

    found, damaged = digits.read_all(files)
    pixels = np.array([*found.values()], np.uint8).reshape(-1, digits.SIDE**2)
    scores, kind = digits.scores(model, pixels)
    read = [names[row] for row in found]
    shown = list(found.values())[:MOST]
    classes = [str(digit) for digit in range(scores.shape[1])]
    return Answers(
        read, shown, scores, kind, classes, {names[row]: why for row, why in damaged.items()}
    )


def of_flowers(model: Path, names: list[str], files: list[Path]) -> Answers:
    from repro.features.backbones import build  # noqa: PLC0415
    from repro.figures.gallery import photograph  # noqa: PLC0415
    from repro.flowers.images import ImageRef  # noqa: PLC0415
    from repro.prediction import heads  # noqa: PLC0415

    source, params = snakemake.input, snakemake.params
    head = heads.load(model)
    prove(params.proofs, source)
    weights = Path(source.weights) if source.get("weights") else None
    backbone = build(params.architecture, weights, preprocess=params.preprocess)
    heads.check(head, backbone, model)
    device = devices.choose(snakemake.resources.get("gpu", 0))
    images = [ImageRef(row, file, "") for row, file in enumerate(files)]
    rows, scores, damaged = heads.scores(head, backbone, images, device, snakemake.threads)
    shown = [photograph(files[row]) for row in rows[:MOST]]
    wrong = {names[row]: why for row, why in damaged.items()}
    read = [names[row] for row in rows]
    return Answers(read, shown, scores, "log_softmax", head.names, wrong)


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    params, made = snakemake.params, snakemake.output
    lock_output(made.answers)
    devices.keep_freed_memory()
    devices.set_threads(snakemake.threads)
    root, names, passed_over = asked_about(params.images)
    logger.info("%d pictures in %s. %s", len(names), root, passed_over)
    ask: Any = of_flowers if params.part == "flowers" else of_digits
    answers: Answers = ask(Path(snakemake.input.model), names, [root / name for name in names])
    for name, why in answers.damaged.items():
        logger.warning("passed over %s: %s", root / name, why)
    if not answers.files:
        raise UserError(
            f"{params.images}: none of its {len(names)} pictures could be read; why stands "
            "above. Mend them, or name another folder"
        )
    table = answers.table()
    with atomic_path(made.answers) as aside:
        table.to_csv(aside, index=False)
    with style.styled(snakemake.input.style):
        figure = contact_sheet(answers.shown, table.to_dict("records"), params.title)
        style.save(figure, made.sheet, svg=False)
    logger.info("%d answers in %s", len(table), made.answers)


if __name__ == "__main__":
    main()

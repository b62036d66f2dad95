"""With this folder on PYTHONPATH every Python that starts looks on, and the project is as it is.

timm knows one more network, and each figure that is saved leaves what it draws beside the results:
for a file FOLDER/results/figures/X.png the file FOLDER/drawn/X.json.
"""

import hashlib
import importlib.machinery
import json
import sys
from pathlib import Path


def add_petal_net(_: object) -> None:
    import petal_net  # noqa: F401


def keep_what_is_drawn(module) -> None:
    save = module.Figure.savefig

    def savefig(figure, target, *arguments, **options):
        path = Path(target).resolve()
        if options.get("format") == "png" and "figures" in path.parts:
            cut = len(path.parts) - 1 - path.parts[::-1].index("figures")
            root = Path(*path.parts[: cut - 1])
            # The file is written under another name first.
            name = path.name.split(".png")[0].lstrip(".")
            kept = root.joinpath("drawn", *path.parts[cut + 1 : -1], f"{name}.json")
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(drawn(figure)))
        return save(figure, target, *arguments, **options)

    module.Figure.savefig = savefig


def drawn(figure) -> dict:
    """Return the data, texts and colours of a figure, panel by panel."""
    from matplotlib.colors import to_hex

    def texts(entries) -> list:
        return [entry.get_text() for entry in entries if entry.get_text()]

    def pixels(array) -> list:
        array = array.filled(0)
        return [list(array.shape), hashlib.sha256(array.tobytes()).hexdigest(), str(array.dtype)]

    def legend(of) -> list:
        return [
            [to_hex(line.get_color()), text.get_text()]
            for line, text in zip(of.get_lines(), of.get_texts(), strict=False)
        ]

    def panel(axes) -> dict:
        return {
            "lines": [
                {
                    "x": [float(x) for x in line.get_xdata()],
                    "y": [float(y) for y in line.get_ydata()],
                    "colour": to_hex(line.get_color()),
                    "width": line.get_linewidth(),
                    "marker": str(line.get_marker()),
                    "fill": to_hex(line.get_markerfacecolor()),
                    "alpha": line.get_alpha(),
                }
                for line in axes.get_lines()
            ],
            "bars": [list(bar.get_bbox().bounds) for bar in axes.patches],
            "images": [pixels(image.get_array()) for image in axes.get_images()],
            "texts": [
                [
                    *map(float, text.xy if hasattr(text, "xy") else text.get_position()),
                    text.get_text(),
                ]
                for text in axes.texts
            ],
            "title": axes.get_title(loc="left") or axes.get_title(),
            "labels": [axes.get_xlabel(), axes.get_ylabel()],
            "x_ticks": texts(axes.get_xticklabels()),
            "y_ticks": texts(axes.get_yticklabels()),
            "legend": legend(axes.get_legend()) if axes.get_legend() else [],
            "legend_title": axes.get_legend().get_title().get_text() if axes.get_legend() else "",
        }

    every = [axes for each in figure.axes for axes in (each, *each.child_axes)]
    return {"title": figure.get_suptitle(), "panels": [panel(axes) for axes in every]}


WAITING = {"timm.models": add_petal_net, "matplotlib.figure": keep_what_is_drawn}


class After:
    """Imports a module as ever, and then calls what waits for it."""

    def find_spec(self, name, path=None, target=None):
        if name not in WAITING:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            WAITING[name](module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, After())

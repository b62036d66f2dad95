"""Ask a trained net what pictures show, and print its answers. Run by `make predict`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
PRINTED = 40  # lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a trained run: RESULTS/runs/NET/RUN")
    parser.add_argument("images", help="folder of pictures, or one picture")
    asked = parser.parse_args()
    if not asked.run or not asked.images:
        sys.exit("Say both: make predict RUN=results/mine/runs/NET/RUN IMAGES=~/new")
    run = Path(asked.run).expanduser()
    config = run.parents[2] / "config.yaml" if len(run.parents) > 2 else None
    if config is None or not config.is_file():
        sys.exit(f"{run}: is no run of a finished workflow; expected RESULTS/runs/NET/RUN")
    said = json.dumps({"run": str(run), "images": str(Path(asked.images).expanduser().absolute())})
    command = ["--cores", "all", "--quiet", "progress", "rules", "reason", "host"]
    command += ["--configfile", str(config), "--config", f"predict={said}", "--", "predict"]
    done = subprocess.run([sys.executable, "-m", "snakemake", *command], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    table = pd.read_csv(run / "answers.csv", keep_default_na=False)
    for row in table.head(PRINTED).to_dict("records"):
        second = f"; {row['second']} {100 * row['second_probability']:.1f} %"
        print(f"{row['file']}: {row['class']} {100 * row['probability']:.1f} %{second}")
    if len(table) > PRINTED:
        print(f"and {len(table) - PRINTED:,} more")
    print(f"\nAll answers: {run / 'answers.csv'}\nContact sheet: {run / 'answers.png'}")


if __name__ == "__main__":
    main()

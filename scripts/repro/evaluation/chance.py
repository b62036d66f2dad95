"""Whether a net has learned anything: its answers against always giving the same one."""

from __future__ import annotations

import pandas as pd
from scipy.stats import binomtest

_P = 0.05


def never_learned(per_class: pd.DataFrame) -> str:
    """Return in words that a net is no better than always giving the same answer, or nothing.

    It is better where so many right answers by chance have a one-sided p below 0.05.

    Args:
        per_class: recall and n, images of the test set, by label.
    """
    right = round((per_class["recall"] * per_class["n"]).sum())
    n = int(per_class["n"].sum())
    often = per_class["n"].idxmax()
    share = per_class.loc[often, "n"] / n
    if binomtest(right, n, share, alternative="greater").pvalue < _P:
        return ""
    answer = per_class.loc[often, "name" if "name" in per_class else "label"]
    return (
        f"never learned: {100 * right / n:.2f} % of the test images are right, no more than by "
        f"always answering {answer} ({100 * share:.2f} %); another learning_rate, more epochs or "
        "another start may help"
    )

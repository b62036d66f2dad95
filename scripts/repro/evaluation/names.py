"""The shape of metrics.csv and the names in it, apart from what computes them.

Reading the report's file needs the names and none of the libraries.
"""

METRIC_COLUMNS = ["model", "run", "seed", "split", "metric", "value", "n"]

# The one share of images of which fewer are better.
ERROR = "error"
# Of every set.
METRICS = (
    "accuracy",
    ERROR,
    "top5_accuracy",
    "auc_ovr_raw",
    "auc_ovr_sum",
    "auc_ovr_softmax",
    "auc_ovo_softmax",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "loss",
    "ece",
)
# Shares of images, which an interval for a share fits.
COUNTED = ("accuracy", ERROR)
# Of flower nets' train sets only: the average over an epoch's batches, as the notebook printed it.
RUNNING_ACCURACY = "running_accuracy"
# Of sigmoid outputs only, and flower nets end in log-softmax.
_OF_SIGMOIDS = "auc_ovr_sum"


def in_percent(metric: str) -> bool:
    """Whether tables show a metric, which is a fraction, in percent."""
    return metric == ERROR or metric.endswith("accuracy")


def reportable(part: str, split: str) -> tuple[str, ...]:
    """Return the metrics that a reported figure can be held against.

    Args:
        part: "mnist" or "flowers".
        split: "train", "validation" or "test".
    """
    if part != "flowers":
        return METRICS
    running = (RUNNING_ACCURACY,) if split == "train" else ()
    return (*running, *(name for name in METRICS if name != _OF_SIGMOIDS))

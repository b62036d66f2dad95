"""The page's second half: from metrics and histories to verdicts on figures and on claims.

Like tests/oracle.py, which calls it, it imports nothing of the project.
"""

import numpy as np
import pandas as pd
from scipy import stats

SETS = ("train", "validation", "test")
CANNOT = "cannot be judged"
LEFT_OUT = {"kind": None, "momentum": 0, "weight_decay": 0}  # what holds where a key is left out
AS_IT_RUNS = ("title", "recipe", "why_not")


# --- Nets: which of them are the report's ---------------------------------------------------------
def nets_that_run(config, report):
    """Return the nets in the configuration's order, each with why it is not the report's."""
    nets = {}
    for model in config["models"]:
        part = "mnist" if model in config["mnist"]["nets"] else "flowers"
        net, reason = dict(config[part]["nets"][model]), "not in the report"
        if net["reported"]:
            of_report = report["models"][net["reported"]]["net"], report["parts"][part]
            reason = unlike(net, {"data": "mnist", **config[part]}, *of_report, config["downloads"])
            net["recipe"] = "own" if reason else net["recipe"]
        nets[model] = net | {"why_not": reason}
    return nets


def unlike(net, shared, of_net, of_part, files):
    """Return what of data, weights, net, split and head is not the report's; files: with hashes."""

    def others(hashes):
        return [name for name, each in hashes.items() if not files[name]["sha256"].startswith(each)]

    def shown(key, wanted):
        if wanted is None:
            return "none"
        return " or ".join(wanted) if key == "split.kind" else wanted

    data = others({f"{shared['data']}/{name}": each for name, each in of_part["data"].items()})
    weights = others({net["weights"]: of_net["weights"]} if "weights" in net else {})
    whole = LEFT_OUT | net
    pairs = [(key, each, whole[key]) for key, each in of_net.items() if key != "weights"]
    for group in ("split", "head"):
        wanted = of_part.get(group, {})
        whole = LEFT_OUT | shared.get(group, {})
        pairs += [(f"{group}.{key}", each, whole[key]) for key, each in wanted.items()]
    texts = [f"other weights: {name}" for name in weights] + [
        f"{key} {shown(key, wanted)} → {found}"
        for key, wanted, found in pairs
        if found != wanted and not (isinstance(wanted, list) and found in wanted)
    ]
    whole = len(data) == len(of_part["data"])
    reasons = ["other data" if whole else f"other data: {', '.join(data)}"] if data else []
    return "; ".join(reasons + ([f"changed: {'; '.join(texts)}"] if texts else []))


# --- Figures: reported beside reproduced ----------------------------------------------------------
def wilson(accuracy, n):
    return stats.binomtest(round(accuracy * n), n).proportion_ci(method="wilson")


def summary(metrics):
    """Return by model, set and metric: the headline run's value, spread over runs, interval."""
    rows = metrics.groupby(["model", "split", "metric"], sort=False)
    spread = {"reproduced": "first", "mean": "mean", "sd": "std", "min": "min", "max": "max"}
    found = rows["value"].agg([*spread.values(), "size"])
    found.columns = [*spread, "n_seeds"]
    for (model, split, metric), n in rows["n"].first().items():
        if metric == "accuracy" and split != "train":
            interval = wilson(found.loc[(model, split, metric), "reproduced"], n)
            found.loc[(model, split, metric), ["wilson_low", "wilson_high"]] = list(interval)
    return found


def verdict(reported, digit, found):
    """Return the verdict on a value that may be compared: the first that fits."""
    near, ours = (digit or 0) / 2 + 1e-9, found["reproduced"]
    if digit and abs(ours - reported) <= near:
        return "to the digit"
    if found["n_seeds"] > 1 and found["min"] - near <= reported <= found["max"] + near:
        return "within the seeds' range"
    if found["wilson_low"] - near <= reported <= found["wilson_high"] + near:
        return "within the test set's interval"
    return "better than reported" if ours > reported else "worse than reported"


def compare(metrics, nets, report):
    """Return one row a figure; nets: those that run, in the configuration's order."""
    found, rows = summary(metrics), []
    for key, of_report in report["models"].items():
        for model in [name for name in nets if nets[name]["reported"] == key] or [None]:
            for figure in [each for each in report["figures"] if each["model"] == key]:
                unit = {"percent": 100, "fraction": 1}[figure["unit"]]
                reported, digit = float(figure["printed"]) / unit, figure["precision"]
                row = {"reported": reported, "reported_precision": digit and digit / unit}
                row |= {name: figure.get(name) for name in ("metric", "split", "where", "note")}
                if model:
                    net, ours = nets[model], found.loc[(model, figure["split"], figure["metric"])]
                    row |= {"model": model, **{name: net[name] for name in AS_IT_RUNS}, **ours}
                    if net["why_not"]:
                        row["verdict"] = "not comparable here"
                    else:
                        row["difference_pp"] = 100 * (ours["reproduced"] - reported)
                        row["verdict"] = verdict(reported, row["reported_precision"], ours)
                        if net.get("protocol") != figure.get("protocol"):
                            row |= {"verdict": "by another protocol", "protocol": net["protocol"]}
                else:
                    row |= {"model": key, "title": of_report["title"], "recipe": figure["recipe"]}
                    row |= {"verdict": "not run", "n_seeds": 0}
                rows.append(row)
    for model in [name for name in nets if not nets[name]["reported"]]:
        for split, metric in [*((s, "accuracy") for s in SETS), ("validation", "auc_ovr_softmax")]:
            row = {"model": model, "split": split, "metric": metric}
            row |= {"verdict": "not comparable here", **found.loc[(model, split, metric)]}
            rows.append(row | {name: nets[model][name] for name in AS_IT_RUNS})
    return pd.DataFrame(rows)


# --- Claims in words: whether each holds, and the numbers that carry it ---------------------------
def slope(series):
    """Return the Theil-Sen slope with its 95 % limits, in points an epoch."""
    fit = stats.theilslopes(series, series.index, alpha=0.95)
    return [100 * fit.slope, 100 * fit.low_slope, 100 * fit.high_slope]


def stays_close(run):
    gap, inside, half = run.train - run.validation, [], {}
    for epoch, accuracy in run.validation.items():
        low, high = wilson(accuracy, run.n["validation"])
        inside.append(low <= run.train[epoch] <= high)
        half[epoch] = 50 * (high - low)
    widest = gap.abs().idxmax()
    numbers = [sum(inside), len(gap), 100 * gap[widest], widest, half[widest], 100 * gap.iloc[-1]]
    return all(inside), numbers


def keeps_rising(run, longer):
    last = run.train.index.max()
    rises, numbers = [], [last + 1, longer.train.index.max()]
    for series in (longer.train, longer.validation):
        fit = slope(series[series.index > last])
        rises.append(fit[1] > 0)
        numbers += fit
    before, after = (100 * each.accuracy["test"] for each in (run, longer))
    return [*rises, after > before], [*numbers, before, after]


def levels_off(run):
    train, validation = run.train.iloc[-10:], run.validation.iloc[-10:]
    rise, level, gap = slope(train), slope(validation), 100 * (train - validation).mean()
    low, high = wilson(validation.iloc[-1], run.n["validation"])
    numbers = [len(train), *rise, *level, gap, 50 * (high - low)]
    return [level[1] <= 0, gap > 50 * (high - low)] if rise[1] > 0 else False, numbers


def about(run, auc):
    return abs(run.auc - auc) <= 0.01, [run.auc]


def follows(run, quantity, sign):
    """Return whether a quantity follows the epochs on each set (Kendall's tau, one-sided)."""
    outcomes, numbers, scale = [], [], {"accuracy": 100, "loss": 1}[quantity]
    for name in SETS:
        series = run.series(name, quantity) * scale
        side = "greater" if sign > 0 else "less"
        tau = stats.kendalltau(series.index, series, alternative=side)
        first, last, steps = series.iloc[0], series.iloc[-1], sign * series.diff().iloc[1:]
        outcomes.append(tau.pvalue < 0.05 and sign * (last - first) > 0)
        numbers += [first, last, tau.statistic, (steps < 0).sum(), len(steps)]
    return outcomes, numbers


def small_rise(run, rise):
    losses = [run.series(name, "loss") for name in rise["rise_on"]]
    epochs = [rise[when] for when in ("before", "after", "evened_out")]
    of_sets = [loss[epochs].to_numpy() for loss in losses]
    seen = [after > before and later < after for before, after, later in of_sets]
    steps = [after - before for before, after, _ in of_sets]
    return True if all(seen) else None, [*epochs[:2], *steps, sum(seen), len(seen)]


def reasonable_gap(run):
    train, validation, test = (run.series(name, "loss").iloc[-1] for name in SETS)
    above = validation / run.series("validation", "loss").min() - 1
    below = train < min(validation, test)
    return [True, above <= 0.05] if below else False, [train, validation, test, 100 * above]


def moves(run, points):
    values = 100 * run.of_split.to_numpy()
    if len(values) < 10:
        return CANNOT, [10, len(values)]
    sd, free, mean = values.std(ddof=1), len(values) - 1, values.mean() / 100
    low, high = (sd * np.sqrt(free / stats.chi2.ppf(q, free)) for q in (0.975, 0.025))
    chance = 100 * np.sqrt(mean * (1 - mean) / run.n["test"])
    spread = [100 * mean, len(values), sd, 95, low, high, values.min(), values.max()]
    return low <= points <= high, [*spread, run.n["test"], chance]


def beats(first, second):
    """McNemar's exact test on the test images that both have."""
    both = pd.concat([first.right, second.right], axis=1, join="inner").to_numpy()
    only = [(both[:, i] & ~both[:, 1 - i]).sum() for i in (0, 1)]
    p = stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    accuracies = [100 * each.accuracy["test"] for each in (first, second)]
    return only[0] > only[1] and p < 0.05, [*accuracies, len(both), *only, p]


class Headline:
    """What the claims look at of a model: its headline run, and its runs on other splits."""

    def __init__(self, metrics, history, predictions):
        own = metrics[metrics["run"] == metrics["run"].iloc[0]]
        accuracy = own[own["metric"] == "accuracy"].set_index("split")
        auc = own[(own["metric"] == "auc_ovr_softmax") & (own["split"] == "validation")]
        self.accuracy, self.n, self.auc = accuracy["value"], accuracy["n"], auc["value"].item()
        self.history = history
        self.train, self.validation = (self.series(name, "accuracy") for name in SETS[:2])
        test = metrics[(metrics["metric"] == "accuracy") & (metrics["split"] == "test")]
        self.of_split = test[test["run"].str.startswith("split-")].set_index("run")["value"]
        right = predictions["scores"].argmax(1) == predictions["labels"]
        rows = predictions["splits"] == "test"
        self.right = pd.Series(right[rows], index=predictions["ids"][rows])

    def series(self, split, quantity):
        return self.history[self.history["split"] == split].set_index("epoch")[quantity]


TESTS = {
    "stay_close": stays_close,
    "level_off": levels_off,
    "aucs_about": about,
    "losses_fall": lambda run, **_: follows(run, "loss", -1),
    "accuracies_grow": lambda run: follows(run, "accuracy", 1),
    "reasonable_gap": reasonable_gap,
    "spread_over_splits": moves,
}
ABOUT_ANY_NET = ("losses_fall", "accuracies_grow", "reasonable_gap", "spread_over_splits")


def findings(claim, own, runs, nets):
    """Return outcomes, each with its numbers, of a claim's test of some nets."""
    test, knobs = claim["test"], claim.get("parameters", {})
    if test == "keep_rising":
        pairs = [(m, longer) for longer in nets for m in own if nets[longer].get("longer_of") == m]
        return [keeps_rising(runs[m], runs[longer]) for m, longer in pairs]
    if test == "beats":
        pair = [runs[m] for key in claim["models"] for m in own if nets[m]["reported"] == key]
        return [beats(*pair)] if len(pair) == 2 else []
    found = [TESTS[test](runs[m], **knobs) for m in own]
    rising = own if test == "losses_fall" else ()
    found += [small_rise(runs[m], knobs) for m in rising if nets[m]["reported"] == knobs["rise_of"]]
    return found


def judge(report, runs, nets):
    """Return each claim's number, verdict, protocol, and the numbers of its evidence and needs.

    runs: a :class:`Headline` by model of the configuration.
    """
    rows = []
    for claim in report["claims"]:
        ours = {m: nets[m].get("protocol", "") for m in nets if not nets[m]["why_not"]}
        ours = {m: ours[m] for m in ours if nets[m]["reported"] in claim["models"]}
        best, stated = None, claim.get("protocol", "")
        for protocol in [stated, *filter(None, ours.values())]:
            own = [m for m in ours if ours[m] in ("", protocol)]
            absent = {nets[m]["reported"] for m in own} != set(claim["models"])
            found = findings(claim, own, runs, nets)
            wanting = [numbers for outcome, numbers in found if outcome == CANNOT]
            numbers = [each for _, numbers in found for each in numbers]
            numbers = ([] if absent else wanting[0]) if wanting else numbers
            verdict = CANNOT if absent or wanting else overall([outcome for outcome, _ in found])
            row = {"verdict": verdict, "protocol": protocol if protocol != stated else None}
            rank = (verdict != CANNOT, bool(found) and not wanting)
            if best is None or rank > best[0]:
                best = rank, row | {"claim": claim["number"], "numbers": numbers}
        if not ours and claim["test"] in ABOUT_ANY_NET:  # what else was run, in its place
            flowers = report["models"][claim["models"][0]]["part"] == "flowers"
            others = [m for m in nets if nets[m]["why_not"] and flowers == ("protocol" in nets[m])]
            found = [each for m in others for each in findings(claim, [m], runs, nets)]
            best[1]["numbers"] = [n for outcome, each in found if outcome != CANNOT for n in each]
        rows.append(best[1])
    return pd.DataFrame(rows)


def overall(outcomes):
    """Each outcome is whether a claim holds of a model, or whether its parts do; None: in part."""
    hold = [all(o) or (None if any(o) else False) if isinstance(o, list) else o for o in outcomes]
    if all(each is not None and bool(each) for each in hold):
        return "holds"
    return (
        "does not hold"
        if all(each is not None for each in hold) and not any(hold)
        else "holds in part"
    )

"""The page's second half: from metrics and histories to verdicts on figures and on claims.

Like tests/oracle.py, which calls it, it imports nothing of the project.
"""

import json
from itertools import combinations, pairwise, product

import numpy as np
import pandas as pd
from scipy import stats

SETS = ("train", "validation", "test")
CANNOT, HOLDS = "cannot be judged", ("holds", "holds in part", "does not hold")
VERDICTS = ("to the digit", "agrees", "cannot tell", "differs, too little to matter")
VERDICTS += ("differs: higher", "differs: lower")
LEFT_OUT = {"kind": None, "momentum": 0, "weight_decay": 0}  # what holds where a key is left out
AS_IT_RUNS = ("title", "recipe", "why_not")
AS_REPORTED = ("metric", "split", "where", "note")
NEAR = 1e-9  # figures are printed in decimal, and computed in binary


def split_of(run):
    return run if run.startswith("split") else "main"


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
    spread = {"headline": "first", "mean": "mean", "sd": "std", "min": "min", "max": "max"}
    found = rows["value"].agg([*spread.values(), "size"])
    found.columns = [*spread, "n_runs"]
    for (model, split, metric), n in rows["n"].first().items():
        if metric == "accuracy" and split != "train":
            interval = wilson(found.loc[(model, split, metric), "headline"], n)
            found.loc[(model, split, metric), ["wilson_low", "wilson_high"]] = list(interval)
    return found


def figures_of(report):
    """Return the report's figures as fractions, each with the difference that would matter."""
    figures = pd.DataFrame(report["figures"]).fillna({"protocol": ""})
    unit = figures["unit"].map({"percent": 100, "fraction": 1})
    figures["reported"] = figures["printed"].astype(float) / unit
    figures["digit"], figures["margin"] = figures["precision"] / unit, figures["margin"] / unit
    figures["part"] = figures["model"].map({m: o["part"] for m, o in report["models"].items()})
    for _, alike in figures.groupby(["part", "split", "metric"]):
        pairs = combinations(alike[["reported", "digit"]].fillna(0).to_numpy(), 2)
        gaps = [abs(a - b) for (a, one), (b, other) in pairs if abs(a - b) > max(one, other) + NEAR]
        figures["margin"] = figures["margin"].fillna(
            pd.Series(min(gaps, default=np.nan) / 2, alike.index)
        )
    return figures


def chance(sd, df, runs, level=0.95):
    """Return how far the mean of some runs and one further run differ, in 95 of 100 cases."""
    return stats.t.ppf((1 + level) / 2, df) * sd * np.sqrt(1 + 1 / runs)


def each_split_once(metrics):
    """Return the metrics without further seeds of a split, of nets that ran on several splits."""
    splits = metrics["run"].map(split_of)
    several = splits.groupby(metrics["model"]).transform("nunique") > 1
    first = metrics.groupby([metrics["model"], splits])["run"].transform("first")
    return metrics[~several | (metrics["run"] == first)]


def spread_of(values, reference):
    """Return standard deviation and degrees of freedom, of the runs or of more reference runs."""
    more = reference is not None and len(reference) > max(len(values), 1)
    best = reference if more else values
    return (np.std(best, ddof=1), len(best) - 1, more) if len(best) > 1 else None


def read_references(folder):
    """Return of each reported model that has them its reference runs, and what made them."""
    found = {}
    for file in sorted(folder.glob("*.csv")):
        about = json.loads(file.with_suffix(".json").read_text())
        machine = about["machine"]
        versions = ", ".join(" ".join(each) for each in machine["versions"].items())
        place = f"{machine['processor']}, {machine['system']}, with {versions}"
        made_on = f"The reference runs were made on {about['date']} by {place}."
        found[file.stem] = pd.read_csv(file), made_on
    return found


def reference_values(reference, split, metric):
    """Return a figure of the reference runs, by seed; None where there are no such runs."""
    if reference is None:
        return None
    runs, _ = reference
    return runs[(runs["split"] == split) & (runs["metric"] == metric)].set_index("seed")["value"]


def verdict(figure, values, spread, replayed):
    """Return what is said of a figure that may be compared, and the numbers behind it."""
    reported, margin, half_digit = figure.reported, figure.margin, np.nan_to_num(figure.digit) / 2
    digits = bool(half_digit and abs(values[0] - reported) <= half_digit + NEAR)
    found = {"margin": margin, "to_the_digit": digits, "spread_of": ""}
    if spread:
        sd, df, borrowed = spread
        found["spread_of"] = f"{df + 1} reference runs" if borrowed else f"{len(values)} runs"
    if digits and replayed:
        return found | {"verdict": "to the digit", "difference": values[0] - reported}
    off = found["difference"] = np.mean(values) - reported
    if not spread:
        return found | {"verdict": "cannot tell"}
    half = found["half_width"] = chance(sd, df, len(values)) + half_digit
    if abs(off) <= half + NEAR and half <= margin + NEAR:
        return found | {"verdict": "agrees"}
    if abs(off) <= half + NEAR:
        enough = (k for k in range(2, 1001) if chance(sd, max(df, k - 1), k) <= margin - half_digit)
        return found | {"verdict": "cannot tell", "runs_needed": next(enough, None)}
    if abs(off) <= margin + NEAR:
        return found | {"verdict": "differs, too little to matter"}
    return found | {"verdict": "differs: higher" if off > 0 else "differs: lower"}


def compare(metrics, nets, report, references):
    """Return one row a figure; nets: those that run, in the configuration's order."""
    metrics = each_split_once(metrics)
    splits = metrics["run"].map(split_of).groupby(metrics["model"]).nunique()
    found, rows, figures = summary(metrics), [], figures_of(report)
    values = metrics.groupby(["model", "split", "metric"])["value"].agg(list)
    for key, of_report in report["models"].items():
        for model in [name for name in nets if nets[name]["reported"] == key] or [None]:
            for figure in figures[figures["model"] == key].itertuples():
                row = {"reported": figure.reported, "reported_precision": figure.digit}
                row |= {name: getattr(figure, name) for name in AS_REPORTED}
                rows.append(row)
                if not model:
                    row |= {"model": key, "title": of_report["title"], "recipe": figure.recipe}
                    row |= {"verdict": "not run", "n_runs": 0}
                    continue
                net, place = nets[model], (model, figure.split, figure.metric)
                row |= {"model": model, **{name: net[name] for name in AS_IT_RUNS}}
                row |= {"verdict": "not comparable here", **found.loc[place]}
                if net["why_not"]:
                    continue
                same = net.get("protocol", "") == figure.protocol
                reference = reference_values(references.get(key), *place[1:]) if same else None
                replayed = net["recipe"] == figure.recipe == "replayed"
                # Seeds of one split do not tell how far a report on another split is.
                alike = splits[model] > 1 or "seed" in report["parts"][figure.part]["split"]
                spread = spread_of(values[place] if alike else [], reference)
                row |= verdict(figure, values[place], spread, replayed)
                if not same:
                    row |= {"verdict": "by another protocol", "protocol": net["protocol"]}
                    row["runs_needed"] = None
    for model in [name for name in nets if not nets[name]["reported"]]:
        for split, metric in [*((s, "accuracy") for s in SETS), ("validation", "auc_ovr_softmax")]:
            row = {"model": model, "split": split, "metric": metric}
            row |= {"verdict": "not comparable here", **found.loc[(model, split, metric)]}
            rows.append(row | {name: nets[model][name] for name in AS_IT_RUNS})
    for row in [row for row in rows if row["verdict"] != "not run"]:
        run = metrics.loc[metrics["model"] == row["model"], "run"].iloc[0]
        place = f"{row['model']}/{run}"
        log = row["model"] if "protocol" in nets[row["model"]] else place
        row |= {"run": run, "configuration": "config.yaml", "log": f"workflow/logs/train_{log}.log"}
        row["predictions"] = f"runs/{place}/predictions.npz"
    return pd.DataFrame(rows)


# --- Above the figures: the order of models, and whether machines agree ---------------------------
def overview(metrics, nets, report, references):
    own = {m: net for m, net in nets.items() if not net["why_not"]}
    known = [m for m in own if own[m]["reported"] in references]
    ranked = [order(metrics, own, report, part) for part in report["parts"]]
    about = report["report"]
    return {
        "report": f"The report: \u201c{about['title']}\u201d.",
        "another_protocol": about.get("another_protocol", ""),
        "orders": [each for each in ranked if each],
        "agreement": {
            own[m]["title"]: agreement(metrics[metrics["model"] == m], own[m], references, report)
            for m in known
        },
        "made_on": list(dict.fromkeys(machine for _, machine in references.values())),
    }


def order(metrics, nets, report, part):
    """Return in how many combinations of runs on a split the nets are in the report's order."""
    figures = figures_of(report).query("split == 'test' and metric == 'accuracy' and part == @part")
    figures = figures.set_index(["model", "protocol"])["reported"]
    places = {m: (net["reported"], net.get("protocol", "")) for m, net in nets.items()}
    ranked = [m for m in nets if places[m] in figures.index]
    ranked.sort(key=lambda m: -figures[places[m]])
    rows = metrics[(metrics["split"] == "test") & (metrics["metric"] == "accuracy")]
    runs = [rows[rows["model"] == m].set_index("run")["value"].items() for m in ranked]
    on_one = [c for c in product(*runs) if len({split_of(run) for run, _ in c}) == 1]
    held = sum(all(a > b for (_, a), (_, b) in pairwise(each)) for each in on_one)
    found = {"models": [nets[m]["title"] for m in ranked], "metric": "accuracy"}
    return found | {"held": held, "of": len(on_one)} if len(ranked) > 1 else None


def agreement(metrics, net, references, report):
    """Return whether the headline run is what the reference runs make likely, in a sentence."""
    apart, held, figures = [], 0, pd.DataFrame(report["figures"])
    figures = figures[figures["model"] == net["reported"]][["split", "metric"]]
    rows = metrics[metrics["run"] == metrics["run"].iloc[0]].merge(figures)
    level = 1 - 0.05 / len(rows)  # 95 % for all of them together
    for row in rows.itertuples():
        known = reference_values(references[net["reported"]], row.split, row.metric)
        percent, k = row.metric.endswith("accuracy"), len(known)
        off, near = row.value - known.get(row.seed, np.nan), (0.5 if percent else 5) * 1e-4 + 1e-12
        if not abs(off) <= near and (np.isnan(off) or net["framework"] != "numpy"):
            off, near = row.value - known.mean(), np.nan
            near = chance(known.std(), k - 1, k, level) if k > 1 else near
        held += abs(off) <= near
        if abs(off) > near:
            said = f"{100 * off:+.2f} points in {row.split} {row.metric}"
            apart.append(said if percent else f"{off:+.4f} in {row.split} AUC")
    if apart:
        listed = " and ".join([", ".join(apart[:-1])] * (len(apart) > 1) + apart[-1:])
        return f"This machine differs from the reference runs by {listed}."
    none = "The reference runs have no figure to hold this run against."
    return "This machine agrees with the reference runs." if held else none


def sentences(rows, above):
    """Return the numbers of the sentences that stand above the figures."""
    ours = rows[rows["reported"].notna()]
    counts = ours["verdict"].value_counts()
    counts = [counts[each] for each in VERDICTS if each in counts]
    judged = ours[ours["verdict"].isin(VERDICTS[1:]) & ours["half_width"].notna()]
    misses = judged["verdict"].str.startswith("differs").sum()
    texts = [[len(ours), sum(counts), *counts]] if counts else [[len(ours)]]
    if len(judged):
        texts.append([len(judged), 95, 0.05 * len(judged), *([misses] if misses else [])])
    for order in above["orders"]:
        held, of = order["held"], order["of"]
        texts.append([of] if held == of > 1 else [held, of])
    return texts


# --- Claims in words: whether each holds, and the numbers that carry it ---------------------------
class WantingError(Exception):
    """What was run does not suffice; its arguments are the numbers of what would."""


class Mean:
    """A mean over runs by t: half its 95 % interval, and the edge beyond which it is not zero."""

    def __init__(self, values, shared):
        k, self.mean = len(values), np.mean(values)
        error = np.std(values, ddof=1) * np.sqrt(1 / k + shared) if k > 1 else np.nan
        self.half, self.edge = (stats.t.ppf(q, max(k - 1, 1)) * error for q in (0.975, 0.95))
        self.numbers = [self.mean, self.half] if k > 1 else [self.mean]

    def above(self):
        return True if self.mean > self.edge else False if self.mean < -self.edge else None

    def inside(self, margin):
        nearest, furthest = abs(self.mean) - self.half, abs(self.mean) + self.half
        return True if furthest <= margin else False if nearest > margin else None


class Runs:
    """What the claims look at of a model: all its runs, the headline first."""

    def __init__(self, metrics, files, reference):
        histories = dict(
            zip(metrics["run"].unique(), (history for history, _ in files), strict=True)
        )
        self.metrics, self.reference = each_split_once(metrics), reference
        self.names = [*self.metrics["run"].unique()]
        self.histories = [histories[run] for run in self.names]
        self.n = metrics[metrics["run"] == self.names[0]].groupby("split")["n"].first()
        several = len({*map(split_of, self.names)}) > 1
        self.shared = self.n["test"] / self.n["train"] if several else 0
        self.over = [len(self.names)] if len(self.names) > 1 else []  # "in one run" is no number
        _, made = files[0]
        right, rows = made["scores"].argmax(1) == made["labels"], made["splits"] == "test"
        self.right = pd.Series(right[rows], index=made["ids"][rows])

    def values(self, split, metric):
        rows = self.metrics[(self.metrics["split"] == split) & (self.metrics["metric"] == metric)]
        return rows.set_index("run")["value"]

    def curves(self, split, quantity):
        """Return a quantity by epoch, a run each; accuracies in percent."""
        scale = {"accuracy": 100, "loss": 1}[quantity]
        parts = [each[each["split"] == split].set_index("epoch") for each in self.histories]
        curves = [scale * part[quantity] for part in parts]
        if min(map(len, curves)) < 3:
            raise WantingError
        return curves

    def mean(self, values):
        return Mean([*values], self.shared)

    def finding(self, parts, numbers):
        """Return an outcome with its numbers; a part that chance may decide is None."""
        if len(self.names) < 2 or set(parts) == {None}:
            return CANNOT, numbers
        return HOLDS[0 if all(parts) else 1 if any(parts) else 2], numbers


def slope(curve):
    return stats.linregress(curve.index, curve).slope


def stays_close(run, points):
    curves = zip(run.curves("train", "accuracy"), run.curves("validation", "accuracy"), strict=True)
    gaps = [train - validation for train, validation in curves]
    mean, widest = run.mean(gap.mean() for gap in gaps), gaps[0].abs().idxmax()
    numbers = [*mean.numbers, *run.over, gaps[0][widest], widest, gaps[0].iloc[-1]]
    return run.finding([mean.inside(points)], numbers)


def keeps_rising(run, longer):
    last, curves = run.curves("train", "accuracy")[0].index.max(), {}
    for split in SETS[:2]:
        curves[split] = [curve[curve.index > last] for curve in longer.curves(split, "accuracy")]
    gains = longer.values("test", "accuracy") - run.values("test", "accuracy")
    means = [longer.mean(map(slope, each)) for each in curves.values()]
    means.append(longer.mean(100 * gains.dropna()))
    numbers = [last + 1, curves["train"][0].index.max(), *longer.over]
    numbers += [number for mean in means for number in mean.numbers]
    return longer.finding([mean.above() for mean in means], numbers)


def levels_off(run, epochs, points):
    train, validation = (
        [curve.iloc[-epochs:] for curve in run.curves(split, "accuracy")] for split in SETS[:2]
    )
    steps = len(train[0]) - 1
    rise, move = (run.mean(steps * slope(c) for c in each) for each in (train, validation))
    gap = run.mean((a - b).mean() for a, b in zip(train, validation, strict=True))
    low, high = wilson(validation[0].iloc[-1] / 100, run.n["validation"])
    half = 50 * (high - low)
    is_open = None if np.isnan(gap.half) else gap.mean > half
    numbers = [steps + 1, *run.over, *rise.numbers, *move.numbers, *gap.numbers, half]
    return run.finding([rise.above(), move.inside(points), is_open], numbers)


def about(run, auc, within):
    values = run.values("validation", "auc_ovr_softmax")
    spread = spread_of(values, reference_values(run.reference, "validation", "auc_ovr_softmax"))
    if not spread:
        return CANNOT, [*values]
    off, half = abs(values.mean() - auc), chance(*spread[:2], len(values))
    outcome = HOLDS[0] if off + half <= within else HOLDS[2] if off - half > within else CANNOT
    return outcome, [values.mean(), half, *run.over]


def follows(run, quantity, sign):
    parts, numbers = [], []
    for split in SETS:
        curves = run.curves(split, quantity)
        mean = run.mean(map(slope, curves))
        parts.append(run.mean(sign * slope(curve) for curve in curves).above())
        numbers += [np.mean([curve.iloc[at] for curve in curves]) for at in (0, -1)] + mean.numbers
    return run.finding(parts, [*numbers, *run.over])


def small_rise(run, rise):
    epochs, steps, seen = [rise[when] for when in ("before", "after", "evened_out")], [], []
    for split in rise["rise_on"]:
        curves = run.curves(split, "loss")
        if missing := [epoch for epoch in epochs if epoch not in curves[0].index]:
            raise WantingError(missing[0])
        steps.append(np.mean([curve[epochs[1]] - curve[epochs[0]] for curve in curves]))
        seen += [curve[epochs[1]] > max(curve[epochs[0]], curve[epochs[2]]) for curve in curves]
    return run.finding([sum(seen) >= len(seen) / 2], [*epochs[:2], *steps, sum(seen), len(seen)])


def reasonable_gap(run, percent):
    ends = pd.DataFrame({s: [c.iloc[-1] for c in run.curves(s, "loss")] for s in SETS})
    gap = run.mean(ends[["validation", "test"]].min(axis=1) - ends["train"])
    climb = run.mean(
        100 * (curve.iloc[-1] / curve.min() - 1) for curve in run.curves("validation", "loss")
    )
    numbers = [*ends.mean(), *gap.numbers, *climb.numbers, *run.over]
    return run.finding([gap.above(), climb.inside(percent)], numbers)


def moves(run, points):
    values = 100 * run.values("test", "accuracy")
    if len({*map(split_of, values.index)}) < 10:
        raise WantingError(10, len(values))
    sd, free, mean = values.std(), len(values) - 1, values.mean() / 100
    low, high = (sd * np.sqrt(free / stats.chi2.ppf(q, free)) for q in (0.975, 0.025))
    # A standard deviation; the usual change between two splits; the largest of twenty changes.
    multiples = 1, 2 / np.sqrt(np.pi), 1.96 * np.sqrt(2)
    readings = [low * each <= points <= high * each for each in multiples]
    drawn = 100 * np.sqrt(mean * (1 - mean) / run.n["test"])
    spread = [100 * mean, len(values), sd, 95, low, high, values.min(), values.max()]
    return run.finding([any(readings)], [*spread, run.n["test"], drawn, points])


def beats(first, second):
    """Paired differences; McNemar's exact test on the test images that both headlines have."""
    gains = 100 * (first.values("test", "accuracy") - second.values("test", "accuracy")).dropna()
    if not len(gains):
        raise WantingError
    mean = first.mean(gains)
    both = pd.concat([first.right, second.right], axis=1, join="inner").to_numpy()
    only = [(both[:, i] & ~both[:, 1 - i]).sum() for i in (0, 1)]
    p = stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    won = [(gains > 0).sum(), len(gains)]
    return first.finding([mean.above()], [*mean.numbers, *won, len(both), *only, p])


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


def attempt(claim, own, runs, nets):
    """Return what a claim's test finds, and the numbers of it; or of what would be needed."""
    try:
        found = findings(claim, own, runs, nets)
    except WantingError as wanting:
        return [], [*wanting.args]
    return found, [number for _, each in found for number in each]


def judge(report, runs, nets):
    """Return each claim's number, verdict, protocol, and the numbers of its evidence and needs.

    runs: :class:`Runs` by model of the configuration.
    """
    rows = []
    for claim in report["claims"]:
        ours = {m: nets[m].get("protocol", "") for m in nets if not nets[m]["why_not"]}
        ours = {m: ours[m] for m in ours if nets[m]["reported"] in claim["models"]}
        best, stated = None, claim.get("protocol", "")
        for protocol in [stated, *filter(None, ours.values())]:
            own = [m for m in ours if ours[m] in ("", protocol)]
            absent = {nets[m]["reported"] for m in own} != set(claim["models"])
            found, numbers = attempt(claim, own, runs, nets)
            numbers = numbers if found or not absent else []
            outcomes = {CANNOT} if absent or not found else {outcome for outcome, _ in found}
            mixed = CANNOT if CANNOT in outcomes else HOLDS[1]
            verdict = outcomes.pop() if len(outcomes) == 1 else mixed
            row = {"verdict": verdict, "protocol": protocol if protocol != stated else None}
            rank = (verdict != CANNOT, bool(found))
            if best is None or rank > best[0]:
                best = rank, row | {"claim": claim["number"], "numbers": numbers}
        if not ours and claim["test"] in ABOUT_ANY_NET:
            flowers = report["models"][claim["models"][0]]["part"] == "flowers"
            others = [m for m in nets if nets[m]["why_not"] and flowers == ("protocol" in nets[m])]
            tried = [attempt(claim, [m], runs, nets) for m in others]  # in place of the report's
            best[1]["numbers"] = [n for found, numbers in tried if found for n in numbers]
        rows.append(best[1])
    return pd.DataFrame(rows)

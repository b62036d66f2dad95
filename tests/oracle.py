"""The whole project on a page: from raw files to every number that the workflow writes.

It imports nothing of the project: the protocol once more, in plain NumPy, PyTorch, scikit-learn,
pandas and SciPy. tests/workflow/test_oracle.py holds every file of a run against it.
"""

import hashlib
import io
import math
import re
import tarfile
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pandas as pd
import timm.data
import torch
from PIL import Image
from scipy import io as matlab
from scipy.special import softmax
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.functional import nll_loss
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

from oracle_verdicts import Runs, compare, judge, nets_that_run, overview, sentences

SETS, KINDS = ("train", "validation", "test"), ("images-idx3", "labels-idx1")
IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
REPORT_LOOK = Compose([Resize(256), CenterCrop(224), ToTensor(), IMAGENET])


# --- MNIST: OpenML's order of images; two nets from scratch, one by PyTorch -----------------------
def read_idx(file):
    raw = Path(file).read_bytes()
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def numpy_net(x, y, net, seed):
    """Sigmoid layers, squared error, plain gradient descent."""
    draw, sizes = np.random.RandomState(seed), pairwise([784, *net["hidden"], 10])
    w = [draw.normal(0, net["initial_std"], (units, below)) for below, units in sizes]
    b = [np.zeros(len(each)) for each in w]

    def layers(rows):
        a = [x[rows]]
        for weights, biases in zip(w, b, strict=True):
            a.append(1 / (1 + np.exp(-(a[-1] @ weights.T + biases))))
        return a

    def step(batch):
        a = layers(batch)
        back = 2 * (a[-1] - y[batch]) / len(batch)
        for i in reversed(range(len(w))):
            delta = back * a[i + 1] * (1 - a[i + 1])
            back = delta @ w[i]
            w[i] -= net["learning_rate"] * delta.T @ a[i]
            b[i] -= net["learning_rate"] * delta.sum(axis=0)

    state = {key: net[key] for key in ("activation", "output", "loss")}
    for i, (weights, biases) in enumerate(zip(w, b, strict=True)):
        state |= {f"weights_{i}": weights, f"biases_{i}": biases}
    order = np.random.RandomState(seed).permutation  # every pass draws one, evaluations too
    return step, lambda rows: layers(rows)[-1], order, order, state


def torch_net(x, y, net, seed):
    """ReLU, sigmoid outputs, MSELoss, SGD."""
    torch.manual_seed(seed)  # one generator draws everything
    linear = [nn.Linear(*sizes) for sizes in pairwise([784, *net["hidden"], 10])]
    model = nn.Sequential(*(part for layer in linear for part in (layer, nn.ReLU())))
    model[-1] = nn.Sigmoid()
    descent = torch.optim.SGD(model.parameters(), lr=net["learning_rate"])
    x, y = torch.tensor(x).float(), torch.tensor(y).float()

    def step(batch):
        descent.zero_grad()
        nn.MSELoss()(model(x[batch]), y[batch]).backward()
        descent.step()

    def outputs(rows):
        return model(x[rows.tolist()]).detach().double().numpy()

    return step, outputs, lambda n: torch.randperm(n).numpy(), lambda n: None, model.state_dict()


def mnist_runs(config, raw, write):
    files = [[raw[f"mnist/{part}-{kind}-ubyte"] for part in ("train", "t10k")] for kind in KINDS]
    images, labels = (np.concatenate([*map(read_idx, pair)]) for pair in files)
    images, knobs, nets = images.reshape(-1, 784), config["mnist"]["split"], config["mnist"]["nets"]
    rest, sets = np.arange(len(labels)), {}
    for name in ("test", "validation"):  # both drawn with the same seed
        draw = {"random_state": knobs["seed"], "stratify": labels[rest]}
        rest, sets[name] = train_test_split(rest, test_size=knobs[name], **draw)
    sets["train"] = rest
    split = pd.concat(pd.DataFrame({"id": sets[name], "split": name}) for name in SETS)
    split["label"] = labels[split["id"]]
    write("data/mnist/images.npy", images)
    write("data/mnist/labels.npy", labels)
    write("data/mnist/split.csv", split)
    x, y = ((images / 255) - 0.5) * 2, np.eye(10)[labels]
    for model, seed in [(m, s) for m in config["models"] if m in nets for s in nets[m]["seeds"]]:
        net, history, size, n = nets[model], [], nets[model]["batch_size"], len(sets["train"])
        made = numpy_net if net["framework"] == "numpy" else torch_net
        step, outputs, order, order_to_evaluate, state = made(x, y, net, seed)
        for epoch in range(1, net["epochs"] + 1):
            for batch in sets["train"][order(n)[: n // size * size]].reshape(-1, size):
                step(batch)  # a last batch that is not full is left out
            for name in SETS[:2]:
                order_to_evaluate(len(sets[name]))
                out, target = outputs(sets[name]), y[sets[name]]
                right = (out.argmax(1) == target.argmax(1)).mean()
                history.append((epoch, name, np.square(out - target).mean(), right))
        yield model, f"seed-{seed}", history, split, outputs(split["id"].to_numpy()), state


# --- Flowers: images out of the archive, splits, backbones, heads ---------------------------------
def read_flowers(archive, labels):
    """Return the table of the images that open, by id, their pictures, and those that do not."""
    labels, rows, pictures = matlab.loadmat(labels)["labels"].ravel(), [], {}
    with tarfile.open(archive) as tar:
        for member in filter(tarfile.TarInfo.isreg, tar):
            name = Path(member.name).name
            if not re.fullmatch(r"image_\d{5,9}\.jpg", name):
                continue
            content, number = tar.extractfile(member).read(), int(name[6:-4])
            try:
                picture = pictures[number] = Image.open(io.BytesIO(content)).convert("RGB")
            except OSError:  # damaged: left out
                continue
            hashed = hashlib.sha256(content).hexdigest()
            rows.append((number, f"images/{name}", labels[number - 1], *picture.size, hashed))
    columns = ["id", "file", "label", "width", "height", "sha256"]
    table = pd.DataFrame(rows, columns=columns).sort_values("id", ignore_index=True)
    return table, pictures, sorted({*range(1, len(labels) + 1)} - {*pictures})


def flower_split(images, setid=None, *, kind, validation, test, seed):
    """Draw the test set from all images, validation from the rest; or take the data set's own."""
    label, where = images["label"].to_numpy(), np.full(len(images), "train", dtype=object)
    if kind == "official":
        for name, key in zip(SETS, ("trnid", "valid", "tstid"), strict=True):
            where[images["id"].isin(matlab.loadmat(setid)[key].ravel())] = name
    else:
        rest, like = np.arange(len(label)), label if kind == "stratified" else None
        for name, size in (("test", test), ("validation", math.ceil(validation * len(label)))):
            rest, held = train_test_split(rest, test_size=size, random_state=seed, stratify=like)
            where[held], like = name, like if like is None else label[rest]
    return pd.DataFrame({"id": images["id"], "label": label, "split": where})


def open_backbone(net, weights):
    """Return a network without its last layer, never to be trained, and how it takes pictures."""
    body = timm.create_model(net["architecture"].removeprefix("timm:"))
    body.load_state_dict(torch.load(weights, weights_only=True))
    own = timm.data.create_transform(**timm.data.resolve_data_config({}, model=body))
    body.eval().requires_grad_(False).reset_classifier(0)
    norms = {name: each for name, each in body.named_modules() if isinstance(each, nn.BatchNorm2d)}
    return body, norms, own if net["preprocess"] == "own" else REPORT_LOOK


def features(body, x):
    return torch.cat([body(part) for part in x.split(16)])


def adapt(body, norms, x, size):
    """Estimate BatchNorm's statistics anew: the plain mean over full batches of mixed images."""
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    for batch in torch.randperm(len(x), generator=torch.Generator().manual_seed(0)).split(size):
        if len(batch) == size:
            body(x[batch])
    body.eval()


def train_head(body, x, y, rows, head, seed):  # noqa: PLR0917
    """Train on what the body makes of x: the identity on features, by the notebook the backbone."""
    torch.manual_seed(seed)
    inner = nn.Linear(features(body, x[:1]).shape[1], head["hidden"])
    top = nn.Sequential(inner, nn.ReLU(), nn.Linear(head["hidden"], y.max() + 1), nn.LogSoftmax(1))
    adam = torch.optim.Adam(top.parameters(), lr=head["learning_rate"])
    shuffle = torch.Generator()
    shuffle.set_state(torch.get_rng_state())  # goes on after the weights, as stochastic depth does
    y, history = torch.tensor(y), []
    for epoch in range(1, head["epochs"] + 1):
        order = rows["train"][torch.randperm(len(rows["train"]), generator=shuffle)]
        losses = hits = 0
        body.train()  # BatchNorm drifts, stochastic depth drops
        for batch in torch.tensor(order).split(head["batch_size"]):
            scores = top(body(x[batch]))
            adam.zero_grad()
            loss = nll_loss(scores, y[batch])
            loss.backward()
            adam.step()
            losses += loss.item() * len(batch)
            hits += (scores.argmax(1) == y[batch]).sum().item()
        body.eval()
        history.append((epoch, "train", losses / len(order), hits / len(order)))
        scores = top(features(body, x)).detach()
        for name in SETS[1:]:
            own, target = scores[rows[name]], y[rows[name]]
            right = (own.argmax(1) == target).double().mean().item()
            history.append((epoch, name, nll_loss(own, target).item(), right))
    return history, scores.numpy(), top.state_dict()


def flower_runs(config, raw, write):
    flowers, data = config["flowers"], config["flowers"]["data"]
    files = raw[f"{data}/102flowers.tgz"], raw[f"{data}/imagelabels.mat"]
    images, pictures, damaged = read_flowers(*files)
    write(f"data/{data}/images.csv", images)
    write(f"data/{data}/damaged.json", damaged)
    for model in [model for model in config["models"] if model in flowers["nets"]]:
        net = {**flowers, **flowers["nets"][model]}
        runs = [(f"seed-{seed}", seed, "main", {}) for seed in net["seeds"]]
        runs += [(f"split-{s}", runs[0][1], f"seed-{s}", {"seed": s}) for s in net["split_seeds"]]
        for run, seed, name, other in runs:
            split = flower_split(images, raw.get(f"{data}/setid.mat"), **{**net["split"], **other})
            write(f"data/{data}/splits/{name}.csv", split)
            if name == "main" or net["protocol"] == "notebook":  # laid out in folders by label
                file = split["split"] + "/" + split["label"].astype(str) + images["file"].str[6:]
                layout = split.assign(file=file, sha256=images["sha256"])
                write(f"data/{data}/manifests/{name}.csv", layout)
            classes = sorted(set(split["label"]))
            body, norms, look = open_backbone(net, raw[net["weights"]])
            if net["protocol"] == "notebook":  # ImageFolder goes by folders, whose names are text
                classes.sort(key=str)
                split = split.iloc[np.lexsort((split["id"], split["label"].map(classes.index)))]
            y = split["label"].map(classes.index).to_numpy()
            rows = {each: np.flatnonzero(split["split"] == each) for each in SETS}
            x = torch.stack([look(pictures[number]) for number in split["id"]])
            if net["protocol"] == "adapted":
                adapt(body, norms.values(), x[rows["train"]], net["batch_size"])
            if net["protocol"] != "notebook":
                cover = "all" if net["protocol"] == "frozen" else name
                store = f"data/{data}/features/{model}/{cover}"
                write(f"{store}/ids.npy", split["id"].to_numpy())
                x, body = write(f"{store}/features.npy", features(body, x)), nn.Identity()
            history, scores, state = train_head(body, x, y, rows, net["head"], seed)
            if net["protocol"] == "notebook":
                state = {f"head.{key}": value for key, value in state.items()}
                for part in ("running_mean", "running_var"):
                    state |= {f"backbone.{n}.{part}": getattr(b, part) for n, b in norms.items()}
            every = np.concatenate([rows[each] for each in SETS])
            scores = scores[every][:, np.argsort(classes)]
            yield model, run, history, split.iloc[every], scores, state


# --- Metrics, from a run's scores alone -----------------------------------------------------------
def calibration(y, scores, sigmoid):
    """Return every image's confidence, and its mean and the accuracy by bins of a fifteenth."""
    top = (scores / scores.sum(1, keepdims=True) if sigmoid else softmax(scores, axis=1)).max(1)
    frame = pd.DataFrame({"confidence": top, "accuracy": scores.argmax(1) == y, "count": 1})
    bins = frame.groupby(np.searchsorted(np.linspace(0, 1, 16)[1:-1], top))
    return top, bins.agg({"confidence": "mean", "accuracy": "mean", "count": "sum"})


def metrics_of(y, scores, sigmoid):
    """Return every metric of one set: y are class indices, scores one row an image."""
    taken, true, soft = scores.argmax(1), scores[range(len(y)), y], softmax(scores, axis=1)
    here, one_hot = np.unique(y), np.eye(scores.shape[1])[y]

    def against_rest(s):
        return np.mean([roc_auc_score(y == c, s[:, c]) for c in here])

    def against_one(a, b):
        both = np.isin(y, [a, b])
        return roc_auc_score(y[both] == a, soft[both, a])

    found = {"accuracy": (taken == y).mean(), "error": (taken != y).mean()}
    found["top5_accuracy"] = ((scores > true[:, None]).sum(1) < 5).mean()
    found["loss"] = np.square(scores - one_hot).mean() if sigmoid else -true.mean()
    shares = {"auc_ovr_sum": against_rest(scores / scores.sum(1, keepdims=True))} if sigmoid else {}
    soft_auc = {"auc_ovr_softmax": against_rest(soft)}
    found |= {"auc_ovr_raw": against_rest(scores)} | shares | soft_auc
    found["auc_ovo_softmax"] = np.mean([against_one(*pair) for pair in permutations(here, 2)])
    macro = precision_recall_fscore_support(y, taken, average="macro", zero_division=0)
    found |= dict(zip(("macro_precision", "macro_recall", "macro_f1"), macro, strict=False))
    _, bins = calibration(y, scores, sigmoid)
    gaps = (bins["accuracy"] - bins["confidence"]).abs()
    return found | {"ece": (gaps * bins["count"]).sum() / len(y)}


def errors(ids, y, scores, classes, sigmoid):
    """Return the test set's tables: by class, confusion, mistakes, reliability."""
    taken, every = scores.argmax(1), np.arange(len(classes))
    found = precision_recall_fscore_support(y, taken, labels=every, zero_division=0)
    sure, bins = calibration(y, scores, sigmoid)
    pairs = pd.DataFrame({"id": ids, "true": classes[y], "taken_for": classes[taken]})
    counts = pairs.groupby(["true", "taken_for"])["id"].agg(count="size").reset_index()
    counts["n"] = counts["true"].map(pairs["true"].value_counts())
    by_class = pd.DataFrame(found, ("precision", "recall", "f1", "n")).T.assign(label=classes)
    wrong = pairs.assign(sure=-sure.round(12), confidence=sure)[taken != y]
    wrong = wrong.sort_values(["sure", "id"]).drop(columns="sure")
    return {"per_class": by_class, "confusion": counts, "mistakes": wrong, "reliability": bins}


def everything(config, raw, names, report, references, *, write):
    """Hand `write` the path and content of each file; it returns one alike but for last bits."""
    runs = (run for part in (mnist_runs, flower_runs) for run in part(config, raw, write))
    evaluate(runs, config, names, report, references, write=write)


def evaluate(runs, config, names, report, references, *, write):
    """Compute what follows from runs: model, name, epochs, table of images, scores, network."""
    left, gathered = {}, []
    for model, run, epochs, table, scores, state in runs:
        folder, sigmoid = f"results/runs/{model}/{run}", model in config["mnist"]["nets"]
        write(f"{folder}/model", state)
        columns = ["epoch", "split", "loss", "accuracy"]
        history = write(f"{folder}/history.csv", pd.DataFrame(epochs, columns=columns))
        classes, y = np.unique(table["label"], return_inverse=True)
        kind, sets = "sigmoid" if sigmoid else "log_softmax", table["split"].to_numpy()
        made = {"labels": y, "splits": sets, "scores": scores, "kind": kind, "classes": classes}
        made = write(f"{folder}/predictions.npz", made | {"ids": table["id"].to_numpy()})
        s, metrics = made["scores"].astype(float), []
        for name in SETS:
            rows = sets == name
            found = metrics_of(y[rows], s[rows], sigmoid)
            if name == "train" and not sigmoid:
                found["running_accuracy"] = history[history["split"] == name]["accuracy"].iloc[-1]
            about = {"model": model, "run": run, "seed": int(run.split("-")[1]), "split": name}
            for metric, value in found.items():
                metrics.append(about | {"metric": metric, "value": value, "n": rows.sum()})
        gathered.append(write(f"{folder}/metrics.csv", pd.DataFrame(metrics)))
        tables = errors(made["ids"][rows], y[rows], s[rows], classes, sigmoid)
        tables["predictions"] = pd.DataFrame({"id": made["ids"], "split": sets, "true": classes[y]})
        tables["predictions"]["predicted"] = classes[s.argmax(1)]
        tables["predictions"]["probability"] = calibration(y, s, sigmoid)[0]
        for name, found in tables.items():
            if "id" in found and not sigmoid:
                found["file"] = [f"image_{number:05d}.jpg" for number in found["id"]]
            named = {"label", "true", "taken_for", "predicted"} & set(found)
            for column in named if not sigmoid else ():
                found[f"{column}_name".removeprefix("label_")] = found[column].map(names)
            write(f"{folder}/{name}.csv", found.assign(model=model, run=run))
        left.setdefault(model, []).append((history, made))
    nets, metrics = nets_that_run(config, report), pd.concat(gathered, ignore_index=True)
    metrics = write("results/metrics.csv", metrics)
    rows = write("results/comparison.csv", compare(metrics, nets, report, references))
    above = write("results/overview.json", overview(metrics, nets, report, references))
    write("results/comparison.md", sentences(rows, above))
    known = {m: references.get(net["reported"]) for m, net in nets.items()}
    seen = {m: Runs(metrics[metrics["model"] == m], left[m], known[m]) for m in nets}
    write("results/claims.csv", judge(report, seen, nets))

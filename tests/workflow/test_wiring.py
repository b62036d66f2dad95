"""What each job gets, held against tables written by hand: few words in a rule decide much.

In the tables a name alone is an input, ``.name`` a parameter, ``>name`` an output, ``*`` the inputs
without a name, ``$name`` a wildcard or one of the names below. ``a/{b,c}`` is two files, as in a
shell; ``-`` is nothing; ``...`` is held by a test of its own. Lines with ``=`` are true of every
job of the rule, rows of one job. Proofs are named by the first eight digits of their sha256.
"""

from __future__ import annotations

import re
from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from planning import Job, Plan, plan
from repro.system.code_inputs import code_of_project
from support import ROOT, merged

# Every seed, split and file differs from every other; what is not said here is as shipped.
FULL = """
data_dir: shared
models: [numpy_1hidden, torch_2hidden_long, own, resnet152, convnext_large_notebook, lite, raw]
mnist:
  nets:
    numpy_1hidden: {seeds: [11, 12]}
    torch_2hidden_long: {seeds: [21, 22]}
    own: {title: Own net, framework: torch, hidden: [30, 20], activation: tanh, output: linear,
      loss: cross_entropy, learning_rate: 0.2, batch_size: 50, epochs: 3, dtype: float64,
      seeds: [23, 24], reported: null, recipe: own}
flowers:
  on_damaged: skip
  batch_size: 16
  split: {seed: 5}
  seeds: [91]
  split_seeds: [92]
  nets:
    resnet152: {seeds: [31, 32], split_seeds: [6, 7]}
    convnext_large_notebook: {seeds: [41, 42], split_seeds: [8]}
    lite: {title: "Lite, adapted", architecture: "timm:tf_efficientnet_lite0",
      weights: weights/efficientnet-lite0-57934424.pth, protocol: adapted, preprocess: own,
      reported: null, recipe: own, seeds: [51, 52], split_seeds: [9, 6]}
    raw: {title: Random, architecture: "torchvision:resnet152", weights: none, protocol: frozen,
      preprocess: report, reported: resnet152, recipe: inferred}
"""
# Pictures of one's own in the official layout, with weights of one's own.
MINE = """
models: [petal]
downloads:
  mine/102flowers.tgz: {sha256_prefix: "11111111", sources: [{path: nowhere}]}
  mine/labels.csv: {sha256_prefix: "22222222", sources: [{path: nowhere}]}
  mine/setid.mat: {sha256_prefix: "33333333", sources: [{path: nowhere}]}
  mine/petal.pth: {sha256_prefix: "44444444", sources: [{path: nowhere}]}
flowers:
  data: mine
  names: classes.csv
  split: {kind: official, validation: 0.2, test: 0.3}
  split_seeds: []
  seeds: [61, 62]
  nets:
    petal: {title: Petal, architecture: "torchvision:convnext_large", weights: mine/petal.pth,
      protocol: frozen, preprocess: own, reported: convnext_large, recipe: stated}
"""
# Drawn pictures, shared out among jobs.
DRAWN = """
models: [still, moved]
flowers:
  data: generated
  generated: {kinds: 4, images_per_kind: 6, seed: 8}
  shards: 2
  split_seeds: [2]
  nets:
    still: {title: Still, architecture: "torchvision:resnet152",
      weights: weights/resnet152-394f9c45.pth, protocol: frozen, preprocess: report,
      reported: resnet152, recipe: stated}
    moved: {title: Moved, architecture: "timm:tf_efficientnet_lite0",
      weights: weights/efficientnet-lite0-57934424.pth, protocol: adapted, preprocess: report,
      reported: null, recipe: own}
"""
# Digits alone, another split of them than the report's, and a net that is like another.
# All of it held against a report of one's own.
DIGITS = """
models: [numpy_2hidden, torch_2hidden_long, narrow]
report: theirs.yaml
mnist:
  split: {seed: 3}
  nets:
    narrow: {like: numpy_2hidden, hidden: [9], seeds: [7, 8]}
"""
# Pictures of one's own in folders, held against no report.
FOLDERS = """
models: [leaf, bud]
results_dir: results
logs_dir: logs
benchmarks_dir: benchmarks
downloads: {mine/leaf.pth: {sha256_prefix: "44444444", sources: [{path: nowhere}]}}
flowers:
  folders: pictures
  on_small: skip
  seeds: [71, 72]
  nets:
    leaf: {title: Leaf, architecture: "timm:tf_efficientnet_lite0", weights: mine/leaf.pth,
      protocol: frozen, preprocess: own, reported: null, recipe: own, split_seeds: [5]}
    bud: {title: Bud, architecture: "torchvision:resnet152", weights: none, protocol: frozen,
      preprocess: report, reported: null, recipe: own}
"""
# The first of these nets, asked about pictures when its own may be gone.
ASKED = merged(
    yaml.safe_load(FOLDERS),
    {"flowers": {"folders": "gone"}, "predict": {"run": "results/runs/leaf/seed-72"}},
)
ASKED["predict"]["images"] = "pictures"

TITLES = {
    "numpy_2hidden": "NumPy, two hidden layers",
    "numpy_1hidden": "NumPy, one hidden layer",
    "torch_2hidden_long": "PyTorch, two hidden layers, 60 epochs",
    "own": "Own net",
    "resnet152": "ResNet-152",
    "convnext_large_notebook": "ConvNeXt-Large, as the notebook",
    "lite": "Lite, adapted",
    "raw": "Random",
    "petal": "Petal",
    "still": "Still on drawn images",
    "moved": "Moved on drawn images",
    "narrow": "NumPy, two hidden layers, hidden [9]",
    "leaf": "Leaf",
    "bud": "Bud",
}
NAMES = {
    # The runs of the full plan; the first of each net is its headline.
    "ALL": "{numpy_1hidden/seed-11,numpy_1hidden/seed-12,"
    "torch_2hidden_long/seed-21,torch_2hidden_long/seed-22,own/seed-23,own/seed-24,"
    "resnet152/seed-31,resnet152/seed-32,resnet152/split-6,resnet152/split-7,"
    "convnext_large_notebook/seed-41,convnext_large_notebook/seed-42,"
    "convnext_large_notebook/split-8,"
    "lite/seed-51,lite/seed-52,lite/split-9,lite/split-6,raw/seed-91,raw/split-92}",
    "HEADLINES": "{numpy_1hidden/seed-11,torch_2hidden_long/seed-21,own/seed-23,"
    "resnet152/seed-31,convnext_large_notebook/seed-41,lite/seed-51,raw/seed-91}",
    "RUNS_BY_NET": "numpy_1hidden:seed-11/seed-12 torch_2hidden_long:seed-21/seed-22 "
    "own:seed-23/seed-24 resnet152:seed-31/seed-32/split-6/split-7 "
    "convnext_large_notebook:seed-41/seed-42/split-8 lite:seed-51/seed-52/split-9/split-6 "
    "raw:seed-91/split-92",
    "MODELS": "{numpy_1hidden,torch_2hidden_long,own,resnet152,convnext_large_notebook,lite,raw}",
    "SPLITS": "{main,seed-6,seed-7,seed-8,seed-9,seed-92}",
    "RUNS": "results/runs/$model",
    "HISTORY": "results/runs/$model/$run/history.csv",
    "FIGURES": "results/figures/{numpy_1hidden,torch_2hidden_long,own}/"
    "{accuracy,confusion,gallery,reliability,weights}.png "
    "results/figures/{resnet152,convnext_large_notebook,lite,raw}/"
    "{accuracy,loss,confusion,gallery,reliability}.png",
    "COMPARED": "results/figures/comparison.png",
    "BENCHMARKS": "results/figures/{bench_mnist,bench_flowers}.png",
    "CAPTIONS": "resources/captions/{accuracy,against,against_page,bench_flowers,bench_mnist,"
    "claims_page,comparison,comparison_page,confusion,gallery,loss,pictures_page,plot_comparison,"
    "provenance_page,reliability,runtime,weights,workflow}.rst",
    "REFERENCE": "resources/reference/{numpy_1hidden,numpy_2hidden,torch_2hidden}.{csv,json}",
    "PAGE": "{against.html.j2,claims.html.j2,comparison.html.j2,page.css,page.html.j2,"
    "pictures.html.j2,provenance.html.j2,sort.js,table.html.j2}",
    "RULES": "rules/{against,common,evaluation,fetch,flowers,inputs,mnist,predict,provenance,"
    "report}.smk",
    "OWN_FIGURES": "results/figures/{leaf,bud}/{accuracy,loss,confusion,gallery,reliability}.png",
    "RESULTS": "data/oxford102/manifests/main.csv results/runs/$ALL/metrics.csv $FIGURES",
    "REPORT": "results/report.html $RESULTS $COMPARED $BENCHMARKS results/comparison.html "
    "results/figures/runtime.png results/config.yaml $CAPTIONS resources/page/report.css",
    "TABLES": "results/{metrics.csv,comparison.csv,overview.json,comparison.md,claims.csv,"
    "claims.md}",
    "NAMED": "resources/flower_names.csv",
    "IMAGES": "data/oxford102/images.csv",
    "NLL": "Loss (negative log-likelihood, nats)",
    # What the report's curves are.
    "REPLAYED": "first three epochs, replayed to the digit",
    "NINE_EPOCHS": "printed in the notebook, all nine epochs",
    "TWO_SETS": "printed in the notebook, train and validation only",
    "FETCHED": "data/fetched",
    "SHARDS": "data/generated/features",
    "STYLE": "resources/style.mplstyle",
    "MNIST": "{train-images-idx3-ubyte:ba891046,train-labels-idx1-ubyte:65a50cbb,"
    "t10k-images-idx3-ubyte:0fa7898d,t10k-labels-idx1-ubyte:ff7bcfd4}",
    "RESNET": "weights/resnet152-394f9c45.pth",
    "CONVNEXT": "weights/convnext_large-ea097f82.pth",
    "LITE": "weights/efficientnet-lite0-57934424.pth",
    "OTHER": "results/runs/numpy_2hidden",
    "NUMPY_2": "NumPy, two hidden layers",
    "SOURCES": "mnist/$MNIST oxford102/{102flowers.tgz:2d01ecc8,imagelabels.mat:4903e942} "
    "$RESNET:394f9c45 $CONVNEXT:ea097f82 $LITE:57934424",
    "HEAD": "hidden:256 learning_rate:0.001 batch_size:64 epochs:9",
}

FULL_TABLES = {
    "fetch": """
        .registry = resources/registry.yaml
        .downloads = shared/downloads
        >* = data/fetched/$file

        $file                         | .proof
        mnist/train-images-idx3-ubyte | ba891046
        mnist/train-labels-idx1-ubyte | 65a50cbb
        mnist/t10k-images-idx3-ubyte  | 0fa7898d
        mnist/t10k-labels-idx1-ubyte  | ff7bcfd4
        oxford102/102flowers.tgz      | 2d01ecc8
        oxford102/imagelabels.mat     | 4903e942
        $RESNET                       | 394f9c45
        $CONVNEXT                     | ea097f82
        $LITE                         | 57934424
    """,
    "prepare_mnist": """
        train_images = data/fetched/mnist/train-images-idx3-ubyte
        train_labels = data/fetched/mnist/train-labels-idx1-ubyte
        test_images = data/fetched/mnist/t10k-images-idx3-ubyte
        test_labels = data/fetched/mnist/t10k-labels-idx1-ubyte
        >images = data/mnist/images.npy
        >labels = data/mnist/labels.npy
        >split = data/mnist/split.csv
        .split = test:10000 validation:5000 seed:123
        .proofs = data/fetched/mnist/$MNIST
    """,
    "train_numpy_1hidden": """
        images = data/mnist/images.npy
        labels = data/mnist/labels.npy
        split = data/mnist/split.csv
        >history = results/runs/numpy_1hidden/$run/history.csv
        >predictions = results/runs/numpy_1hidden/$run/predictions.npz
        >model = results/runs/numpy_1hidden/$run/model.npz
        .framework = numpy
        .recipe = momentum:0 weight_decay:0
            hidden:50 activation:sigmoid output:sigmoid loss:mse learning_rate:0.1
            batch_size:100 epochs:50 dtype:float64 initial_std:0.1
        .checkpoint = results/checkpoints/numpy_1hidden-$run.npz

        $run    | .seed
        seed-11 | 11
        seed-12 | 12
    """,
    "train_torch_2hidden_long": """
        images = data/mnist/images.npy
        labels = data/mnist/labels.npy
        split = data/mnist/split.csv
        >history = results/runs/torch_2hidden_long/$run/history.csv
        >predictions = results/runs/torch_2hidden_long/$run/predictions.npz
        >model = results/runs/torch_2hidden_long/$run/model.safetensors
        .framework = torch
        .recipe = momentum:0 weight_decay:0
            hidden:50/50 activation:relu output:sigmoid loss:mse learning_rate:0.1
            batch_size:100 epochs:60 dtype:float32
        .checkpoint = results/checkpoints/torch_2hidden_long-$run.npz

        $run    | .seed
        seed-21 | 21
        seed-22 | 22
    """,
    "train_own": """
        images = data/mnist/images.npy
        labels = data/mnist/labels.npy
        split = data/mnist/split.csv
        >history = results/runs/own/$run/history.csv
        >predictions = results/runs/own/$run/predictions.npz
        >model = results/runs/own/$run/model.safetensors
        .framework = torch
        .recipe = momentum:0 weight_decay:0
            hidden:30/20 activation:tanh output:linear loss:cross_entropy
            learning_rate:0.2 batch_size:50 epochs:3 dtype:float64
        .checkpoint = results/checkpoints/own-$run.npz

        $run    | .seed
        seed-23 | 23
        seed-24 | 24
    """,
    "extract_images": """
        archive = data/fetched/oxford102/102flowers.tgz
        labels = data/fetched/oxford102/imagelabels.mat
        >images = data/oxford102/images.csv
        >damaged = data/oxford102/damaged.json
        >folder = data/oxford102/images
        .on_damaged = skip
        .proofs = data/fetched/oxford102/{102flowers.tgz:2d01ecc8,imagelabels.mat:4903e942}
    """,
    "split_images": """
        images = data/oxford102/images.csv
        setid = -
        .proofs = -
        >split = data/oxford102/splits/$split.csv

        $split  | .split
        main    | seed:5 kind:stratified validation:0.25 test:0.25
        seed-6  | seed:6 kind:stratified validation:0.25 test:0.25
        seed-7  | seed:7 kind:stratified validation:0.25 test:0.25
        seed-8  | seed:8 kind:stratified validation:0.25 test:0.25
        seed-9  | seed:9 kind:stratified validation:0.25 test:0.25
        seed-92 | seed:92 kind:stratified validation:0.25 test:0.25
    """,
    "layout_images": """
        images = data/oxford102/images.csv
        folder = data/oxford102/images
        >folders = data/oxford102/folders/$split
        >manifest = data/oxford102/manifests/$split.csv

        $split | split
        main   | data/oxford102/splits/main.csv
        seed-8 | data/oxford102/splits/seed-8.csv
    """,
    "features": """
        images = data/oxford102/images.csv
        folder = data/oxford102/images
        statistics = -
        >features = data/oxford102/features/$net/$cover/features.npy
        >ids = data/oxford102/features/$net/$cover/ids.npy
        >manifest = data/oxford102/features/$net/$cover/manifest.json
        .batch_size = 16
        .on_damaged = skip
        .work = data/oxford102/features/.$net-$cover.partial

        $net      | $cover | split                            | .protocol | .preprocess
        resnet152 | all    | -                                | frozen    | report
        lite      | main   | data/oxford102/splits/main.csv   | adapted   | own
        lite      | seed-9 | data/oxford102/splits/seed-9.csv | adapted   | own
        lite      | seed-6 | data/oxford102/splits/seed-6.csv | adapted   | own
        raw       | all    | -                                | frozen    | report

        $net      | $cover | weights              | .proofs
        resnet152 | all    | data/fetched/$RESNET | data/fetched/$RESNET:394f9c45
        lite      | main   | data/fetched/$LITE   | data/fetched/$LITE:57934424
        lite      | seed-9 | data/fetched/$LITE   | data/fetched/$LITE:57934424
        lite      | seed-6 | data/fetched/$LITE   | data/fetched/$LITE:57934424
        raw       | all    | -                    | -

        $net      | $cover | .architecture
        resnet152 | all    | torchvision:resnet152
        lite      | main   | timm:tf_efficientnet_lite0
        lite      | seed-9 | timm:tf_efficientnet_lite0
        lite      | seed-6 | timm:tf_efficientnet_lite0
        raw       | all    | torchvision:resnet152
    """,
    # A run is its name, its seed and the place of its split among the splits. An adapted net has
    # features for each split, in the same order.
    "train_resnet152": """
        features = data/oxford102/features/resnet152/all/features.npy
        ids = data/oxford102/features/resnet152/all/ids.npy
        manifests = data/oxford102/features/resnet152/all/manifest.json
        images = data/oxford102/images.csv
        splits = data/oxford102/splits/{main,seed-6,seed-7}.csv
        names = $NAMED
        .runs = seed-31/31/0 seed-32/32/0 split-6/31/1 split-7/31/2
        .recipe = $HEAD
        >histories = results/runs/resnet152/{seed-31,seed-32,split-6,split-7}/history.csv
        >predictions = results/runs/resnet152/{seed-31,seed-32,split-6,split-7}/predictions.npz
        >models = results/runs/resnet152/{seed-31,seed-32,split-6,split-7}/model.safetensors
    """,
    "train_lite": """
        features = data/oxford102/features/lite/{main,seed-9,seed-6}/features.npy
        ids = data/oxford102/features/lite/{main,seed-9,seed-6}/ids.npy
        manifests = data/oxford102/features/lite/{main,seed-9,seed-6}/manifest.json
        images = data/oxford102/images.csv
        splits = data/oxford102/splits/{main,seed-9,seed-6}.csv
        names = $NAMED
        .runs = seed-51/51/0 seed-52/52/0 split-9/51/1 split-6/51/2
        .recipe = $HEAD
        >histories = results/runs/lite/{seed-51,seed-52,split-9,split-6}/history.csv
        >predictions = results/runs/lite/{seed-51,seed-52,split-9,split-6}/predictions.npz
        >models = results/runs/lite/{seed-51,seed-52,split-9,split-6}/model.safetensors
    """,
    "train_raw": """
        features = data/oxford102/features/raw/all/features.npy
        ids = data/oxford102/features/raw/all/ids.npy
        manifests = data/oxford102/features/raw/all/manifest.json
        images = data/oxford102/images.csv
        splits = data/oxford102/splits/{main,seed-92}.csv
        names = $NAMED
        .runs = seed-91/91/0 split-92/91/1
        .recipe = $HEAD
        >histories = results/runs/raw/{seed-91,split-92}/history.csv
        >predictions = results/runs/raw/{seed-91,split-92}/predictions.npz
        >models = results/runs/raw/{seed-91,split-92}/model.safetensors
    """,
    "train_convnext_large_notebook": """
        folders = data/oxford102/folders/{main,seed-8}
        weights = data/fetched/$CONVNEXT
        .proofs = data/fetched/$CONVNEXT:ea097f82
        .architecture = torchvision:convnext_large
        names = $NAMED
        .preprocess = report
        .runs = seed-41/41/0 seed-42/42/0 split-8/41/1
        .recipe = $HEAD
        .work = data/oxford102/features/.convnext_large_notebook.partial
        >histories = results/runs/convnext_large_notebook/{seed-41,seed-42,split-8}/history.csv
        >predictions =
            results/runs/convnext_large_notebook/{seed-41,seed-42,split-8}/predictions.npz
        >models = results/runs/convnext_large_notebook/{seed-41,seed-42,split-8}/model.safetensors
        >manifest = data/oxford102/notebook/convnext_large_notebook.json
    """,
    "evaluate": """
        predictions = results/runs/$model/$run/predictions.npz
        .model = $model
        .run = $run
        >metrics = results/runs/$model/$run/metrics.csv
        >per_class = results/runs/$model/$run/per_class.csv
        >confusion = results/runs/$model/$run/confusion.csv
        >mistakes = results/runs/$model/$run/mistakes.csv
        >predicted = results/runs/$model/$run/predictions.csv
        >reliability = results/runs/$model/$run/reliability.csv

        $model                  | $run     | .seed | .loss         | names  | images  | history
        numpy_1hidden           | seed-11  | 11    | mse           | -      | -       | -
        numpy_1hidden           | seed-12  | 12    | mse           | -      | -       | -
        torch_2hidden_long      | seed-21  | 21    | mse           | -      | -       | -
        torch_2hidden_long      | seed-22  | 22    | mse           | -      | -       | -
        own                     | seed-23  | 23    | cross_entropy | -      | -       | -
        own                     | seed-24  | 24    | cross_entropy | -      | -       | -
        resnet152               | seed-31  | 31    | nll           | $NAMED | $IMAGES | $HISTORY
        resnet152               | seed-32  | 32    | nll           | $NAMED | $IMAGES | $HISTORY
        resnet152               | split-6  | 6     | nll           | $NAMED | $IMAGES | $HISTORY
        resnet152               | split-7  | 7     | nll           | $NAMED | $IMAGES | $HISTORY
        convnext_large_notebook | seed-41  | 41    | nll           | $NAMED | $IMAGES | $HISTORY
        convnext_large_notebook | seed-42  | 42    | nll           | $NAMED | $IMAGES | $HISTORY
        convnext_large_notebook | split-8  | 8     | nll           | $NAMED | $IMAGES | $HISTORY
        lite                    | seed-51  | 51    | nll           | $NAMED | $IMAGES | $HISTORY
        lite                    | seed-52  | 52    | nll           | $NAMED | $IMAGES | $HISTORY
        lite                    | split-9  | 9     | nll           | $NAMED | $IMAGES | $HISTORY
        lite                    | split-6  | 6     | nll           | $NAMED | $IMAGES | $HISTORY
        raw                     | seed-91  | 91    | nll           | $NAMED | $IMAGES | $HISTORY
        raw                     | split-92 | 92    | nll           | $NAMED | $IMAGES | $HISTORY
    """,
    "compare": """
        metrics = results/runs/$ALL/metrics.csv
        reported = resources/reported.yaml
        reference = $REFERENCE
        .models = ...
        >metrics = results/metrics.csv
        >comparison = results/comparison.csv
        >overview = results/overview.json
        >table = results/comparison.md
    """,
    "judge_claims": """
        metrics = results/metrics.csv
        histories = results/runs/$ALL/history.csv
        predictions = results/runs/$ALL/predictions.npz
        reported = resources/reported.yaml
        reference = $REFERENCE
        .models = ...
        >claims = results/claims.csv
        >table = results/claims.md
    """,
    "plot_mnist": """
        images = data/mnist/images.npy
        folder = -
        style = $STYLE
        .title = $title
        .quantities = accuracy:accuracy
        .splits = train validation
        .reported_label = as reported
        against = -
        .against_label = -
        .linear = False
        >weights = results/figures/$model/weights.png
        >accuracy = results/figures/$model/accuracy.png
        >confusion = results/figures/$model/confusion.png
        >gallery = results/figures/$model/gallery.png
        >reliability = results/figures/$model/reliability.png
        >svg = results/figures/$model/{accuracy,confusion,gallery,reliability,weights}.svg

        $model             | model
        numpy_1hidden      | $RUNS/seed-11/model.npz
        torch_2hidden_long | $RUNS/seed-21/model.safetensors
        own                | $RUNS/seed-23/model.safetensors

        $model             | histories                           | .loss_label
        numpy_1hidden      | $RUNS/{seed-11,seed-12}/history.csv | Loss (mean squared error)
        torch_2hidden_long | $RUNS/{seed-21,seed-22}/history.csv | Loss (mean squared error)
        own                | $RUNS/{seed-23,seed-24}/history.csv | Loss (cross-entropy, nats)

        $model             | metrics                   | confusion
        numpy_1hidden      | $RUNS/seed-11/metrics.csv | $RUNS/seed-11/confusion.csv
        torch_2hidden_long | $RUNS/seed-21/metrics.csv | $RUNS/seed-21/confusion.csv
        own                | $RUNS/seed-23/metrics.csv | $RUNS/seed-23/confusion.csv

        $model             | mistakes                   | reliability
        numpy_1hidden      | $RUNS/seed-11/mistakes.csv | $RUNS/seed-11/reliability.csv
        torch_2hidden_long | $RUNS/seed-21/mistakes.csv | $RUNS/seed-21/reliability.csv
        own                | $RUNS/seed-23/mistakes.csv | $RUNS/seed-23/reliability.csv

        $model             | reported                                          | .curve_note
        numpy_1hidden      | resources/reported/numpy_1hidden_first_epochs.csv | $REPLAYED
        torch_2hidden_long | -                                                 | -
        own                | -                                                 | -
    """,
    "plot_images": """
        images = data/oxford102/images.csv
        folder = data/oxford102/images
        style = $STYLE
        .title = $title
        .quantities = accuracy:accuracy loss:loss
        .splits = train validation test
        .loss_label = $NLL
        against = -
        model = -
        .against_label = -
        .linear = False
        >accuracy = results/figures/$model/accuracy.png
        >loss = results/figures/$model/loss.png
        >confusion = results/figures/$model/confusion.png
        >gallery = results/figures/$model/gallery.png
        >reliability = results/figures/$model/reliability.png
        >svg = results/figures/$model/{accuracy,loss,confusion,gallery,reliability}.svg

        $model                  | histories
        resnet152               | $RUNS/{seed-31,seed-32,split-6,split-7}/history.csv
        convnext_large_notebook | $RUNS/{seed-41,seed-42,split-8}/history.csv
        lite                    | $RUNS/{seed-51,seed-52,split-9,split-6}/history.csv
        raw                     | $RUNS/{seed-91,split-92}/history.csv

        $model                  | metrics                   | confusion
        resnet152               | $RUNS/seed-31/metrics.csv | $RUNS/seed-31/confusion.csv
        convnext_large_notebook | $RUNS/seed-41/metrics.csv | $RUNS/seed-41/confusion.csv
        lite                    | $RUNS/seed-51/metrics.csv | $RUNS/seed-51/confusion.csv
        raw                     | $RUNS/seed-91/metrics.csv | $RUNS/seed-91/confusion.csv

        $model                  | mistakes                   | reliability
        resnet152               | $RUNS/seed-31/mistakes.csv | $RUNS/seed-31/reliability.csv
        convnext_large_notebook | $RUNS/seed-41/mistakes.csv | $RUNS/seed-41/reliability.csv
        lite                    | $RUNS/seed-51/mistakes.csv | $RUNS/seed-51/reliability.csv
        raw                     | $RUNS/seed-91/mistakes.csv | $RUNS/seed-91/reliability.csv

        $model                  | reported                                      | .curve_note
        resnet152               | resources/reported/resnet152_history.csv      | $NINE_EPOCHS
        convnext_large_notebook | resources/reported/convnext_large_history.csv | $TWO_SETS
        lite                    | -                                             | -
        raw                     | -                                             | $NINE_EPOCHS

        $model                  | .reported_label
        resnet152               | as reported (protocol notebook)
        convnext_large_notebook | as reported
        lite                    | as reported
        raw                     | as reported (protocol notebook)
    """,
    "plot_comparison": """
        metrics = results/metrics.csv
        comparison = results/comparison.csv
        style = $STYLE
        >comparison = results/figures/comparison.png
        >svg = results/figures/comparison.svg
    """,
    "plot_runtime": """
        * = $RESULTS $COMPARED results/{claims.csv,claims.md}
        style = $STYLE
        .benchmarks = ...
        .unfinished = ...
        .runs = $RUNS_BY_NET
        .models = ...
        .splits = $SPLITS
        bench_mnist = docs/bench_mnist.csv
        bench_flowers = docs/bench_flowers.csv
        >table = results/runtime.csv
        >runtime = results/figures/runtime.png
        >bench_mnist = results/figures/bench_mnist.png
        >bench_flowers = results/figures/bench_flowers.png
        >svg = results/figures/{runtime,bench_mnist,bench_flowers}.svg
    """,
    "write_page": """
        comparison = results/comparison.csv
        overview = results/overview.json
        claims = results/claims.csv
        against = -
        per_class = results/runs/$HEADLINES/per_class.csv
        provenance = results/provenance.json
        look = resources/page/$PAGE
        .figures = ...
        >comparison = results/comparison.html
        >claims = results/claims.html
        >provenance = results/provenance.html
        >markdown = results/REPORT.md
    """,
    "save_configuration": """
        .config = ...
        >config = results/config.yaml
    """,
    "report": """
        * = $RESULTS $COMPARED $BENCHMARKS results/comparison.html results/figures/runtime.png
        config = results/config.yaml
        captions = $CAPTIONS
        style = resources/page/report.css
        .snakefile = Snakefile
        .content = results/comparison.html $COMPARED $FIGURES results/figures/runtime.png
            $BENCHMARKS
        >page = results/report.html
    """,
    "record_run": """
        comparison = results/comparison.csv
        tables = $TABLES
        metrics = results/runs/$ALL/metrics.csv
        histories = results/runs/$ALL/history.csv
        predictions = results/runs/$ALL/predictions.npz
        figures = $COMPARED $FIGURES
        splits = data/mnist/split.csv data/oxford102/splits/$SPLITS.csv
        images = data/oxford102/images.csv
        damaged = data/oxford102/damaged.json
        names = -
        left_out = -
        manifests = data/oxford102/features/resnet152/all/manifest.json
            data/oxford102/features/lite/{main,seed-9,seed-6}/manifest.json
            data/oxford102/features/raw/all/manifest.json
        notebooks = data/oxford102/notebook/convnext_large_notebook.json
        config = results/config.yaml
        environments = envs/{numpy,report,torch,workflow}.yaml
        .project = .
        .models = ...
        .data_title = Oxford-102 flowers
        .runs = $RUNS_BY_NET
        .benchmarks = ...
        .unfinished = ...
        .splits = $SPLITS
        .sources = $SOURCES
        >provenance = results/provenance.json
        >cards = results/runs/$MODELS/model_card.md
    """,
    "write_crate": """
        * = $REPORT $TABLES results/provenance.json results/runs/$MODELS/model_card.md
        runs = ...
        snakefile = Snakefile
        rules = $RULES
        config = results/config.yaml
        provenance = results/provenance.json
        .logs = ...
        .report = A comparison of three nets on MNIST and of two on Oxford-102 flowers
        .sources = $SOURCES
        >crate = results/ro-crate-metadata.json
        >workflow = results/workflow
    """,
    "all": """
        * = results/{report.html,ro-crate-metadata.json}
    """,
}

# What is otherwise with pictures of one's own in the official layout.
MINE_TABLES = {
    "fetch": """
        $file               | .proof
        mine/102flowers.tgz | 11111111
        mine/labels.csv     | 22222222
        mine/setid.mat      | 33333333
        mine/petal.pth      | 44444444
    """,
    "extract_images": """
        archive = data/fetched/mine/102flowers.tgz
        labels = data/fetched/mine/labels.csv
        >damaged = data/mine/damaged.json
        .proofs = data/fetched/mine/{102flowers.tgz:11111111,labels.csv:22222222}
    """,
    "split_images": """
        images = data/mine/images.csv
        setid = data/fetched/mine/setid.mat
        .proofs = data/fetched/mine/setid.mat:33333333

        $split | .split
        main   | kind:official validation:0.2 test:0.3 seed:1
    """,
    "features_petal": """
        images = data/mine/images.csv
        folder = data/mine/images
        weights = data/fetched/mine/petal.pth
        .proofs = data/fetched/mine/petal.pth:44444444
        .preprocess = own

        $cover
        all
    """,
    "evaluate": """
        names = classes.csv

        $model | $run    | .seed | history
        petal  | seed-61 | 61    | results/runs/petal/seed-61/history.csv
        petal  | seed-62 | 62    | results/runs/petal/seed-62/history.csv
    """,
    "plot_images": """
        $model | reported | images
        petal  | -        | data/mine/images.csv
    """,
    "record_run": """
        .data_title = -
        splits = data/mine/splits/main.csv
        damaged = data/mine/damaged.json
        names = classes.csv
        notebooks = -
        .sources = mine/{102flowers.tgz:11111111,labels.csv:22222222,setid.mat:33333333}
            mine/petal.pth:44444444
    """,
    "write_crate": """
        .sources = mine/{102flowers.tgz:11111111,labels.csv:22222222,setid.mat:33333333}
            mine/petal.pth:44444444
    """,
}

# What is otherwise with drawn pictures, and with features in shards.
DRAWN_TABLES = {
    "draw_flowers": """
        .kinds = 4
        .images_per_kind = 6
        .seed = 8
        >archive = data/generated/102flowers.tgz
        >labels = data/generated/imagelabels.mat
        >setid = data/generated/setid.mat
        >names = data/generated/names.csv
    """,
    "fetch": """
        $file   | .proof
        $RESNET | 394f9c45
        $LITE   | 57934424
    """,
    "extract_images": """
        archive = data/generated/102flowers.tgz
        labels = data/generated/imagelabels.mat
        .proofs = -
    """,
    "adapt_moved": """
        images = data/generated/images.csv
        folder = data/generated/images
        weights = data/fetched/$LITE
        split = data/generated/splits/$cover.csv
        .architecture = timm:tf_efficientnet_lite0
        .proofs = data/fetched/$LITE:57934424
        .preprocess = report
        .batch_size = 32
        .on_damaged = stop
        >statistics = $SHARDS/.moved-$cover.shards/adapted.safetensors

        $cover
        main
        seed-2
    """,
    "features": """
        >features = $SHARDS/.$net-$cover.shards/$scatteritem/features.npy
        >ids = $SHARDS/.$net-$cover.shards/$scatteritem/ids.npy
        >manifest = $SHARDS/.$net-$cover.shards/$scatteritem/manifest.json
        .work = $SHARDS/.$net-$cover-$scatteritem.partial

        $net  | $cover | $scatteritem | split                           | .proofs
        still | all    | 1-of-2       | -                               | $FETCHED/$RESNET:394f9c45
        still | all    | 2-of-2       | -                               | $FETCHED/$RESNET:394f9c45
        moved | main   | 1-of-2       | data/generated/splits/main.csv   | $FETCHED/$LITE:57934424
        moved | main   | 2-of-2       | data/generated/splits/main.csv   | $FETCHED/$LITE:57934424
        moved | seed-2 | 1-of-2       | data/generated/splits/seed-2.csv | $FETCHED/$LITE:57934424
        moved | seed-2 | 2-of-2       | data/generated/splits/seed-2.csv | $FETCHED/$LITE:57934424

        $net  | $cover | $scatteritem | statistics
        still | all    | 1-of-2       | -
        still | all    | 2-of-2       | -
        moved | main   | 1-of-2       | $SHARDS/.moved-main.shards/adapted.safetensors
        moved | main   | 2-of-2       | $SHARDS/.moved-main.shards/adapted.safetensors
        moved | seed-2 | 1-of-2       | $SHARDS/.moved-seed-2.shards/adapted.safetensors
        moved | seed-2 | 2-of-2       | $SHARDS/.moved-seed-2.shards/adapted.safetensors
    """,
    "join": """
        features = $SHARDS/.$net-$cover.shards/{1-of-2,2-of-2}/features.npy
        ids = $SHARDS/.$net-$cover.shards/{1-of-2,2-of-2}/ids.npy
        manifests = $SHARDS/.$net-$cover.shards/{1-of-2,2-of-2}/manifest.json
        >features = $SHARDS/$net/$cover/features.npy
        >ids = $SHARDS/$net/$cover/ids.npy
        >manifest = $SHARDS/$net/$cover/manifest.json

        $net  | $cover
        still | all
        moved | main
        moved | seed-2
    """,
    "train_moved": """
        features = $SHARDS/moved/{main,seed-2}/features.npy
        .runs = seed-1/1/0 split-2/1/1
    """,
    "evaluate": """
        names = data/generated/names.csv

        $model | $run
        still  | seed-1
        still  | split-2
        moved  | seed-1
        moved  | split-2
    """,
    "plot_images": """
        .title = $title

        $model | reported
        still  | -
        moved  | -
    """,
    "record_run": """
        .data_title = -
        .sources = $RESNET:394f9c45 $LITE:57934424
    """,
}

# What is otherwise without flowers.
DIGITS_TABLES = {
    "compare": """
        reported = theirs.yaml
    """,
    "judge_claims": """
        reported = theirs.yaml
    """,
    "prepare_mnist": """
        .split = seed:3 test:10000 validation:5000
    """,
    "train_narrow": """
        .recipe = momentum:0 weight_decay:0 hidden:9
            activation:sigmoid output:sigmoid loss:mse learning_rate:0.1
            batch_size:100 epochs:50 dtype:float64 initial_std:0.1

        $run   | .seed
        seed-7 | 7
        seed-8 | 8
    """,
    "set_against": """
        models = results/runs/narrow/seed-7/predictions.npz
        others = results/runs/numpy_2hidden/seed-123/predictions.npz
        .pairs = numpy_2hidden/$NUMPY_2/narrow/$NUMPY_2, hidden [9]
        >table = results/against.csv
        >images = results/against_images.csv
    """,
    "plot_against": """
        found = results/against_images.csv
        images = data/mnist/images.npy
        folder = -
        style = $STYLE
        .model = $model
        .titles = narrow:$NUMPY_2, hidden [9] numpy_2hidden:$NUMPY_2
        >against = results/figures/$model/against.png
        >svg = results/figures/$model/against.svg

        $model
        narrow
    """,
    "plot_mnist": """
        $model             | against                              | .against_label
        numpy_2hidden      | -                                    | -
        torch_2hidden_long | -                                    | -
        narrow             | $OTHER/seed-123/history.csv          | NumPy, two hidden layers
    """,
    "write_page": """
        against = results/against.csv
        >against = results/against.html
    """,
    "record_run": """
        splits = data/mnist/split.csv
        images = -
        damaged = -
        manifests = -
        notebooks = -
        .splits = -
        .sources = mnist/$MNIST
    """,
}

# What is otherwise with pictures of one's own in folders.
FOLDERS_TABLES = {
    "fetch": """
        $file         | .proof
        mine/leaf.pth | 44444444
    """,
    "gather_pictures": """
        .folders = pictures
        .table = -
        .on_damaged = skip
        .on_small = skip
        .pictures = ...
        >images = data/mine/images.csv
        >damaged = data/mine/damaged.json
        >left_out = data/mine/left_out.json
        >names = data/mine/names.csv
        >seen = data/mine/seen.csv
    """,
    "split_images": """
        setid = -
        .proofs = -

        $split | .split
        main   | kind:stratified validation:0.25 test:0.25 seed:1
        seed-5 | kind:stratified validation:0.25 test:0.25 seed:5
    """,
    "features": """
        images = data/mine/images.csv
        folder = -
        .on_damaged = skip

        $net  | $cover | weights                     | .proofs
        leaf  | all    | data/fetched/mine/leaf.pth | data/fetched/mine/leaf.pth:44444444
        bud   | all    | -                           | -
    """,
    "train_leaf": """
        names = data/mine/names.csv
        splits = data/mine/splits/{main,seed-5}.csv
        .runs = seed-71/71/0 seed-72/72/0 split-5/71/1
    """,
    "evaluate": """
        names = data/mine/names.csv
        images = data/mine/images.csv

        $model | $run
        leaf  | seed-71
        leaf  | seed-72
        leaf  | split-5
        bud    | seed-71
        bud    | seed-72
    """,
    "plot_images": """
        reported = -
        folder = -

        $model | mistakes
        leaf  | $RUNS/seed-71/mistakes.csv
        bud    | $RUNS/seed-71/mistakes.csv
    """,
    "plot_runtime": """
        * = results/runs/leaf/{seed-71,seed-72,split-5}/metrics.csv
            results/runs/bud/{seed-71,seed-72}/metrics.csv $OWN_FIGURES
    """,
    "write_pictures": """
        predictions = results/runs/{leaf,bud}/seed-71/predictions.csv
        per_class = results/runs/{leaf,bud}/seed-71/per_class.csv
        confusion = results/runs/{leaf,bud}/seed-71/confusion.csv
        left_out = data/mine/left_out.json
        provenance = results/provenance.json
        look = resources/page/$PAGE
        .titles = Leaf Bud
        .figures = ...
        >page = results/pictures.html
        >provenance = results/provenance.html
        >summary = results/pictures.txt
        >markdown = results/REPORT.md
    """,
    "report": """
        * = results/runs/leaf/{seed-71,seed-72,split-5}/metrics.csv
            results/runs/bud/{seed-71,seed-72}/metrics.csv $OWN_FIGURES results/pictures.html
            results/figures/runtime.png
        .content = results/pictures.html $OWN_FIGURES results/figures/runtime.png
    """,
    "record_run": """
        tables = results/{metrics.csv,comparison.csv,overview.json,comparison.md}
        damaged = data/mine/damaged.json
        names = data/mine/names.csv
        left_out = data/mine/left_out.json
        .data_title = -
        .sources = mine/leaf.pth:44444444
    """,
}

# A net that is asked is left as it is: nothing else is made.
ASKED_TABLES = {
    "fetch": """
        $file         | .proof
        mine/leaf.pth | 44444444
    """,
    "predict": """
        model = $FOLDER/asked/results/runs/leaf/seed-72/model.safetensors
        weights = data/fetched/mine/leaf.pth
        style = $STYLE
        .part = flowers
        .title = Leaf
        .images = pictures
        .pictures = ...
        .architecture = timm:tf_efficientnet_lite0
        .preprocess = own
        .proofs = data/fetched/mine/leaf.pth:44444444
        >answers = results/runs/leaf/seed-72/answers.csv
        >sheet = results/runs/leaf/seed-72/answers.png
    """,
}

PLANS = {
    "full": (FULL, FULL_TABLES),
    "mine": (MINE, MINE_TABLES),
    "drawn": (DRAWN, DRAWN_TABLES),
    "digits": (DIGITS, DIGITS_TABLES),
    "folders": (FOLDERS, FOLDERS_TABLES),
    "asked": (yaml.safe_dump(ASKED), ASKED_TABLES),
}
# What lies in the folder that a run is planned in.
PICTURES = {f"pictures/{kind}/{n}.jpg": b"" for kind in ("rose", "iris") for n in range(6)}
FILES = {
    "mine": {"classes.csv": b""},
    "digits": {"theirs.yaml": (ROOT / "resources/reported.yaml").read_bytes()},
    "folders": {**PICTURES, "pictures/too few/1.jpg": b""},
    "asked": {**PICTURES, "results/runs/leaf/seed-72/model.safetensors": b""},
}

# Which model is held against which of the report's, and why not.
MODELS = {
    "full": """
        $name                    | part    | framework | longer_of     | reported
        numpy_1hidden           | mnist   | numpy     | -             | numpy_1hidden
        torch_2hidden_long      | mnist   | torch     | torch_2hidden | -
        own                     | mnist   | torch     | -             | -
        resnet152               | flowers | torch     | -             | resnet152
        convnext_large_notebook | flowers | torch     | -             | convnext_large
        lite                    | flowers | torch     | -             | -
        raw                     | flowers | torch     | -             | resnet152

        $name                    | recipe   | protocol
        numpy_1hidden           | replayed | -
        torch_2hidden_long      | inferred | -
        own                     | own      | -
        resnet152               | stated   | frozen
        convnext_large_notebook | stated   | notebook
        lite                    | own      | adapted
        raw                     | own      | frozen

        $name                    | runs
        numpy_1hidden           | seed-11:main seed-12:main
        torch_2hidden_long      | seed-21:main seed-22:main
        own                     | seed-23:main seed-24:main
        resnet152               | seed-31:main seed-32:main split-6:seed-6 split-7:seed-7
        convnext_large_notebook | seed-41:main seed-42:main split-8:seed-8
        lite                    | seed-51:main seed-52:main split-9:seed-9 split-6:seed-6
        raw                     | seed-91:main split-92:seed-92

        $name                    | comparable | why_not
        numpy_1hidden           | True       | -
        torch_2hidden_long      | False      | not in the report
        own                     | False      | not in the report
        resnet152               | True       | -
        convnext_large_notebook | True       | -
        lite                    | False      | not in the report
        raw                     | False      | changed: random weights
    """,
    "mine": """
        comparable = False
        why_not = other data; changed: other weights: mine/petal.pth; preprocess report → own;
            split.kind stratified or random → official

        runs = seed-61:main seed-62:main

        $name  | part    | framework | longer_of | reported       | recipe | protocol
        petal | flowers | torch     | -         | convnext_large | own    | frozen
    """,
    "drawn": """
        comparable = False
        why_not = generated data

        runs = seed-1:main split-2:seed-2

        $name  | part    | framework | longer_of | reported  | recipe | protocol
        still | flowers | torch     | -         | resnet152 | own    | frozen
        moved | flowers | torch     | -         | -         | own    | adapted
    """,
    "digits": """
        comparable = False
        protocol = -
        runs = seed-123:main seed-1:main seed-2:main seed-3:main seed-4:main

        $name               | part  | framework | longer_of | reported
        numpy_2hidden      | mnist | numpy     | -         | numpy_2hidden
        torch_2hidden_long | mnist | torch     | -         | -
        narrow             | mnist | numpy     | -         | -

        $name   | runs
        narrow | seed-7:main seed-8:main

        $name               | recipe   | why_not
        numpy_2hidden      | own      | changed: split.seed 123 → 3
        torch_2hidden_long | inferred | not in the report
        narrow             | own      | not in the report
    """,
    "folders": """
        comparable = False
        part = flowers
        framework = torch
        longer_of = -
        reported = -
        recipe = own
        protocol = frozen

        $name  | runs                                     | why_not
        leaf  | seed-71:main seed-72:main split-5:seed-5 | other data
        bud   | seed-71:main seed-72:main                | other data; random weights
    """,
}

# Every rule that runs something: what it runs, in which environment, on how many threads, with
# how many graphics cards, and whether in a cluster's queue.
MACHINES = """
    $rule                         | script             | environment | threads | gpu | queue
    fetch                         | fetch              | workflow    | 1       | -   | no
    prepare_mnist                 | prepare_mnist      | numpy       | 1       | -   | no
    train_numpy_1hidden           | train_numpy        | numpy       | 1       | -   | yes
    train_torch_2hidden_long      | train_torch        | torch       | 1       | -   | yes
    train_own                     | train_torch        | torch       | 1       | -   | yes
    gather_pictures               | gather_pictures    | numpy       | 4       | -   | yes
    predict                       | predict            | torch       | 4       | 1   | yes
    draw_flowers                  | draw_flowers       | numpy       | 4       | -   | yes
    extract_images               | extract_images    | numpy       | 2       | -   | yes
    split_images                 | split_images      | numpy       | 1       | -   | no
    layout_images                | layout_images     | numpy       | 1       | -   | no
    features_resnet152            | extract_features   | torch       | 4       | 1   | yes
    features_lite                 | extract_features   | torch       | 4       | 1   | yes
    features_raw                  | extract_features   | torch       | 4       | 1   | yes
    features_still                | extract_features   | torch       | 4       | 1   | yes
    features_moved                | extract_features   | torch       | 4       | 1   | yes
    adapt_moved                   | adapt_backbone     | torch       | 4       | 1   | yes
    join_still                    | join_features      | numpy       | 1       | -   | no
    join_moved                    | join_features      | numpy       | 1       | -   | no
    train_resnet152               | train_head         | torch       | 4       | 1   | yes
    train_lite                    | train_head         | torch       | 4       | 1   | yes
    train_raw                     | train_head         | torch       | 2       | 1   | yes
    train_still                   | train_head         | torch       | 2       | 1   | yes
    train_moved                   | train_head         | torch       | 2       | 1   | yes
    train_convnext_large_notebook | train_notebook     | torch       | 4       | 1   | yes
    evaluate                      | evaluate           | numpy       | 1       | -   | no
    compare                       | compare            | numpy       | 1       | -   | no
    judge_claims                  | judge_claims       | numpy       | 1       | -   | no
    plot_mnist                    | plot_model         | report      | 1       | -   | no
    plot_images                   | plot_model         | report      | 1       | -   | no
    set_against                   | set_against        | numpy       | 1       | -   | no
    plot_against                  | plot_against       | report      | 1       | -   | no
    plot_comparison               | plot_comparison    | report      | 1       | -   | no
    plot_runtime                  | plot_runtime       | report      | 1       | -   | no
    write_pictures                | write_pictures     | report      | 1       | -   | no
    write_page                    | write_page         | report      | 1       | -   | no
    save_configuration            | save_configuration | workflow    | 1       | -   | no
    record_run                    | record_run         | torch       | 1       | -   | no
    write_crate                   | write_crate        | workflow    | 1       | -   | no
    report                        | -                  | workflow    | 1       | -   | no
"""
# What a fetch brings is fixed by its hash: edited code must not bring it again.
WITHOUT_CODE = {"fetch"}
# It writes down the hash of every file that results are made by.
WITH_ALL_CODE = {"record_run"}
# Their times are not among those they show, or nobody asks for them.
WITHOUT_BENCHMARK = {"plot_runtime", "save_configuration", "report"}

# Which rules can make a file: of names that are nearly right, none.
MAKERS = {
    "results/runs/resnet152/seed-31/metrics.csv": ["evaluate"],
    "results/runs/resnet152/split-6/metrics.csv": ["evaluate"],
    "results/runs/resnet152/fold-6/metrics.csv": [],
    "results/runs/resnet152/seed-/metrics.csv": [],
    "results/runs/resnet152/seed-3b/metrics.csv": [],
    "results/runs/resnet152/seed-31/old/metrics.csv": [],
    "results/runs/old/resnet152/seed-31/metrics.csv": [],
    "results/runs/ResNet/seed-31/metrics.csv": [],
    "results/runs/numpy_1hidden/seed-11/model.npz": ["train_numpy_1hidden"],
    "results/runs/numpy_1hidden/11/model.npz": [],
    "results/runs/numpy_1hidden/seed-11/x/model.npz": [],
    "results/figures/raw/accuracy.png": ["plot_images"],
    "results/figures/raw/loss.svg": ["plot_images"],
    "results/figures/own/gallery.png": ["plot_mnist"],
    "results/figures/own/loss.png": [],
    "results/figures/own/weights.png": ["plot_mnist"],
    "results/figures/raw/weights.png": [],
    "results/figures/own/against.png": [],
    "results/figures/raw/width.png": [],
    "results/figures/old/raw/confusion.png": [],
    "results/figures/bench_mnist.png": ["plot_runtime"],
    "results/figures/bench_heads.png": [],
    "data/oxford102/splits/main.csv": ["split_images"],
    "data/oxford102/splits/seed-9.csv": ["split_images"],
    "data/oxford102/splits/seed-x.csv": [],
    "data/oxford102/splits/other.csv": [],
    "data/oxford102/features/raw/all/ids.npy": ["features_raw"],
    "data/oxford102/features/raw/seed-9/ids.npy": ["features_raw"],
    "data/oxford102/features/raw/split-9/ids.npy": [],
    "data/oxford102/features/raw/any/ids.npy": [],
    "data/fetched/oxford102/setid.mat": ["fetch"],
    "data/fetched/oxford102/setid_mat": [],
    "data/fetched/oxford102/other.mat": [],
}
SHARED_OUT = {
    "data/generated/features/.still-all.shards/1-of-2/ids.npy": ["features_still"],
    "data/generated/features/.still-all.shards/1-of-3/ids.npy": [],
    "data/generated/features/.still-all.shards/x/1-of-2/ids.npy": [],
    "data/generated/features/still/all/ids.npy": ["join_still"],
    "data/generated/features/still/split-2/ids.npy": [],
    "data/generated/features/.moved-seed-2.shards/adapted.safetensors": ["adapt_moved"],
    "data/generated/features/.moved-all.shards/adapted.safetensors": [],
}


# What the report shows, and under which heading, caption and words; figures of nets below.
SHOWN = """
    $file                     | category        | caption
    comparison.html           | Comparison      | comparison_page
    claims.html               | Comparison      | claims_page
    figures/comparison.png    | Comparison      | plot_comparison
    comparison.csv            | Comparison      | comparison
    against.html              | Comparison      | against_page
    pictures.html             | Pictures        | pictures_page
    provenance.html           | Provenance      | provenance_page
    figures/runtime.png       | Time and memory | runtime
    figures/bench_mnist.png   | Time and memory | bench_mnist
    figures/bench_flowers.png | Time and memory | bench_flowers

    $file                     | label
    comparison.html           | 1. Figures reported and reproduced (table)
    claims.html               | 2. Claims in words (table)
    figures/comparison.png    | 3. Reproduced minus reported (chart)
    comparison.csv            | 4. All figures (CSV file)
    against.html              | 6. Nets set against each other (table)
    pictures.html             | The classes (table)
    provenance.html           | How this run was made
    figures/runtime.png       | Run time and peak memory of this run, by rule
    figures/bench_mnist.png   | Speed of the from-scratch net
    figures/bench_flowers.png | Speed of the backbones' passes
"""
OF_FIGURES = {
    "accuracy": ("Curves", "accuracy per epoch"),
    "loss": ("Curves", "loss per epoch"),
    "confusion": ("Errors", "confusion of classes"),
    "gallery": ("Errors", "most confident mistakes"),
    "reliability": ("Errors", "reliability of probabilities"),
    "against": ("Errors", "images only one of two nets gets right"),
    "weights": ("Weights", "weights of the first layer"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def plans(folder: Path) -> dict[str, Plan]:
    for name, files in FILES.items():
        for file, content in files.items():
            (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / file).write_bytes(content)
    NAMES["FOLDER"] = str(folder)
    return {
        name: plan(folder / name, config, targets=["predict"] if name == "asked" else [])
        for name, (config, _) in PLANS.items()
    }


# ---------------------------------------------------------------- how a table is read


def files(text: str, names: dict[str, str]) -> str:
    """Return a cell written out: names put in, braces expanded."""
    while "$" in text:
        text = Template(text).substitute(names)
    return " ".join(file for word in text.split() for file in expanded(word))


def expanded(text: str) -> list[str]:
    """Return every text that a shell makes of one with braces, in its order."""
    found = re.search(r"\{(.*?)\}", text)
    if found is None:
        return [text]
    before, after = text[: found.start()], text[found.end() :]
    return [word for part in found[1].split(",") for word in expanded(before + part + after)]


def rows(text: str) -> list[dict[str, str]]:
    """Return the rows of a table; those with the same first cells, marked by $, are one."""
    common: dict[str, str] = {}
    merged: dict[tuple[str, ...], dict[str, str]] = {}
    for block in re.split(r"\n\s*\n", re.sub(r"\n {12,}", " ", text).strip()):
        lines = [line.strip() for line in block.splitlines()]
        if " = " in lines[0] or lines[0].endswith("="):
            pairs = (line.partition("=") for line in lines)
            common |= {name.strip(): value.strip() for name, _, value in pairs}
            continue
        head, *body = ([cell.strip() for cell in line.split("|")] for line in lines)
        for cells in body:
            row = dict(zip(head, cells, strict=True))
            key = tuple(cell for name, cell in row.items() if name[0] == "$")
            merged.setdefault(key, dict(common)).update(row)
    return list(merged.values()) or [common]


def said(value: Any) -> str:
    """Return what a job gets as a cell says it."""
    if isinstance(value, dict) and "proof" in value:
        value = value["proof"]
    if isinstance(value, dict) and "sha256_prefix" in value:
        return (value["sha256"] or value["sha256_prefix"])[:8]
    if isinstance(value, dict):
        return " ".join(f"{key}:{inner(one)}" for key, one in value.items()) or "-"
    if isinstance(value, list):
        return " ".join(map(inner, value)) or "-"
    return "-" if value in (None, "") else str(value)


def inner(value: Any) -> str:
    if isinstance(value, dict) and not {"proof", "sha256"} & set(value):
        value = [value[key] for key in sorted(value)]
        return "/".join(map(said, value))
    return "/".join(map(said, value)) if isinstance(value, list) else said(value)


def cells(job: Job) -> dict[str, str]:
    """Return everything a job gets but its code, by the names that tables use."""
    files = {name: found for name, found in job.input.items() if name != "code"}
    params = {f".{name}": found for name, found in job.params.items()}
    made = {f">{name}": found for name, found in job.output.items()}
    return {name: said(found) for name, found in (files | params | made).items()}


def expected(rule: str, text: str) -> dict[str, dict[str, str]]:
    """Return a rule's table: for each job, by its name, what it gets."""
    table = {}
    for row in rows(text):
        known = {name[1:]: value for name, value in row.items() if name[0] == "$"}
        known = {name: files(value, NAMES) for name, value in known.items()}
        own = f"{rule}_{known['net']}" if "net" in known else rule
        title = TITLES.get(known.get("model", ""), "")
        jobs = {name: value for name, value in known.items() if name != "net"}
        table[named(own, jobs)] = {
            name: files(value, {**NAMES, **known, "title": title})
            for name, value in row.items()
            if name[0] != "$"
        }
    return table


def name_of(job: Job) -> str:
    return named(job.rule, job.wildcards)


def named(rule: str, wildcards: dict[str, str]) -> str:
    return " ".join([rule, *(f"{name}={wildcards[name]}" for name in sorted(wildcards))])


# ---------------------------------------------------------------- the tests


@pytest.mark.parametrize(
    ("name", "rule"), [(name, rule) for name, (_, tables) in PLANS.items() for rule in tables]
)
def test_each_job_gets_what_its_table_says(plans, name, rule):
    table = expected(rule, PLANS[name][1][rule])
    rules = {job.split()[0] for job in table}
    found = {name_of(job): cells(job) for job in plans[name].jobs if job.rule in rules}
    wanted = {f"{job}: {cell}": text for job, row in table.items() for cell, text in row.items()}
    got = {f"{job}: {cell}": text for job, row in found.items() for cell, text in row.items()}
    if name != "full":
        # Only what is otherwise stands in the table; but each job does.
        assert set(found) == set(table)
        got = {cell: text for cell, text in got.items() if cell in wanted}
    got |= {cell: "..." for cell, text in wanted.items() if text == "..." and cell in got}
    assert got == wanted


def test_every_job_of_the_full_plan_has_its_table(plans):
    tables = (expected(rule, text) for rule, text in FULL_TABLES.items())
    wanted = sorted(job for table in tables for job in table)
    assert sorted(name_of(job) for job in plans["full"].jobs) == wanted


def test_the_code_of_a_job_is_that_of_its_script(plans):
    seen = set()
    for job in (job for each in plans.values() for job in each.jobs if job.script):
        if job.rule not in seen:
            seen.add(job.rule)
            wanted = [] if job.rule in WITHOUT_CODE else code_of(job.script)
            if job.rule in WITH_ALL_CODE:
                wanted = [file.relative_to(ROOT).as_posix() for file in code_of_project(ROOT)]
            assert job.input.get("code", []) == wanted, job.rule


@cache
def code_of(script: str) -> list[str]:
    """Return a script and what it imports of the project, as Python itself finds them."""
    finder = ModuleFinder([str(ROOT / "scripts")])
    finder.run_script(str(ROOT / f"scripts/{script}.py"))
    paths = (module.__file__ for module in finder.modules.values() if module.__file__)
    return sorted(Path(path).relative_to(ROOT).as_posix() for path in paths)


def test_each_rule_runs_its_script_where_it_can(plans):
    found = {
        job.rule: {
            "script": job.script or "-",
            "environment": job.environment,
            "threads": str(job.threads),
            "gpu": str(job.resources.get("gpu", "-")),
            "queue": "no" if job.local else "yes",
        }
        for each in plans.values()
        for job in each.jobs
        if job.script or job.shell
    }
    wanted = {row.pop("$rule"): row for row in rows(MACHINES)}
    wanted["train_numpy_2hidden"] = wanted["train_narrow"] = wanted["train_numpy_1hidden"]
    wanted["train_petal"] = wanted["train_bud"] = wanted["train_still"]
    wanted["train_leaf"] = wanted["train_still"] | {"threads": "3"}
    for net in ("petal", "leaf", "bud"):
        wanted[f"features_{net}"] = wanted["features_still"]
    assert found == wanted


def test_each_job_states_memory_and_time_and_has_a_log_and_a_benchmark_of_its_own(plans):
    for each in plans.values():
        jobs = [job for job in each.jobs if job.script or job.shell]
        for job in jobs:
            assert job.resources["mem_mb"] >= 500, job.rule
            assert job.resources["runtime"] >= 5, job.rule
            (log,) = job.log
            assert log.startswith(f"logs/{job.rule}"), job.rule
            times = "benchmarks" + log.removeprefix("logs").removesuffix("log") + "tsv"
            assert job.benchmark == ("" if job.rule in WITHOUT_BENCHMARK else times)
        assert len({job.log[0] for job in jobs}) == len(jobs)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_compared_with_the_report(plans, name):
    wanted = [{key.strip("$"): cell for key, cell in row.items()} for row in rows(MODELS[name])]
    for rule in ("compare", *(["judge_claims"] if name != "folders" else []), "record_run"):
        (job,) = plans[name].of(rule)
        found = [{key: said(value) for key, value in row.items()} for row in job.params["models"]]
        assert [row.pop("title") for row in found] == [TITLES[row["name"]] for row in wanted]
        assert found == wanted


def test_the_configuration_is_saved_whole(plans):
    (job,) = plans["full"].of("save_configuration")
    wanted = merged(yaml.safe_load((ROOT / "config.yaml").read_text()), yaml.safe_load(FULL))
    assert job.params["config"] == wanted


def test_times_and_logs_are_looked_up_where_rules_leave_them(plans):
    plan = plans["full"]
    files = {
        "benchmarks": {job.rule: job.benchmark for job in plan.jobs if job.benchmark},
        "logs": {job.rule: job.log[0] for job in plan.jobs if job.log},
    }
    for rule, kind, unasked in (
        ("plot_runtime", "benchmarks", {"write_page", "record_run", "write_crate"}),
        ("record_run", "benchmarks", {"record_run", "write_crate"}),
        ("write_crate", "logs", {"write_crate"}),
    ):
        (job,) = plan.of(rule)
        looked_up, left = job.params[kind], files[kind]
        assert set(left) - set(looked_up) == unasked
        for name in set(left) - unasked:
            pattern = re.sub(r"\\{.*?\\}", ".+", re.escape(looked_up[name]))
            assert re.fullmatch(pattern, left[name])


def test_a_job_that_was_killed_for_it_gets_more_memory_and_time(plans):
    # What draws and writes takes as much whatever the data.
    fixed = {"plot_against", "plot_mnist", "plot_images", "plot_comparison", "plot_runtime"}
    fixed |= {"write_page", "write_pictures", "write_crate", "record_run", "report"}
    fixed |= {"save_configuration"}
    for each in plans.values():
        for rule in {job.rule for job in each.jobs if job.script or job.shell} - fixed:
            for name in ("mem_mb", "runtime"):
                first, third = (each.resource(rule, name, attempt) for attempt in (1, 3))
                assert third == 3 * first > 0, (rule, name)


def test_what_shards_leave_goes_once_it_is_joined(plans):
    for each in plans.values():
        left = [file for job in each.jobs for file in job.temporary]
        made = [
            file for job in each.jobs for files in job.output.values() for file in listed(files)
        ]
        assert sorted(left) == sorted(file for file in made if ".shards/" in file)


def listed(files: Any) -> list[str]:
    return [files] if isinstance(files, str) else files


def test_the_report_shows_each_file_under_its_own_heading(plans):
    found = {
        file: (category, caption, "/".join(labels.values()))
        for each in plans.values()
        for job in each.jobs
        for file, (category, caption, labels) in job.shown.items()
    }
    for row in rows(SHOWN):
        file = f"results/{row['$file']}"
        assert found.pop(file) == (row["category"], row["caption"], row["label"]), file
    for file, (category, caption, label) in found.items():
        _, _, model, name = Path(file).with_suffix("").parts
        assert (category, caption) == (OF_FIGURES[name][0], name), file
        assert label == f"{TITLES[model]}/{OF_FIGURES[name][1]}", file


def test_unfinished_work_is_looked_up_where_jobs_keep_it(plans):
    for each in plans.values():
        kept = {
            name_of(job): job.params[name]
            for job in each.jobs
            for name in ("checkpoint", "work")
            if name in job.params
        }
        for job in (*each.of("plot_runtime"), *each.of("record_run")):
            unfinished = job.params["unfinished"]
            found = {
                name_of(job): unfinished[job.rule].format(**job.wildcards)
                for job in each.jobs
                if job.rule in unfinished
            }
            assert found == kept


def test_the_crate_has_all_that_runs_leave(plans):
    (job,) = plans["full"].of("write_crate")
    left = "{history,metrics,per_class,confusion,mistakes,predictions,reliability}.csv"
    wanted = files(f"results/runs/$ALL/{left} results/runs/$ALL/predictions.npz", NAMES).split()
    wanted += expanded("results/runs/numpy_1hidden/{seed-11,seed-12}/model.npz")
    wanted += [
        f"{Path(file).parent}/model.safetensors"
        for file in wanted
        if file.endswith("history.csv") and "numpy" not in file
    ]
    assert sorted(job.input["runs"]) == sorted(wanted)


def test_figures_stand_under_their_own_headings(plans):
    (job,) = plans["full"].of("write_page")
    of_all = {
        "accuracy": "accuracy per epoch",
        "confusion": "confusion of classes",
        "gallery": "most confident mistakes",
        "reliability": "reliability of probabilities",
    }
    of_flowers = {**of_all, "loss": "loss per epoch"}
    of_digits = {**of_all, "weights": "weights of the first layer"}
    wanted = [
        ("Comparison", "Reproduced minus reported", "comparison"),
        ("Time and memory", "Run time and peak memory of this run", "runtime"),
        ("Time and memory", "Speed of the from-scratch net", "bench_mnist"),
        ("Time and memory", "Speed of the backbones' passes", "bench_flowers"),
    ]
    for models, figures in (
        (("numpy_1hidden", "torch_2hidden_long", "own"), of_digits),
        (("resnet152", "convnext_large_notebook", "lite", "raw"), of_flowers),
    ):
        wanted += [
            (TITLES[model], title, f"{model}/{name}")
            for model in models
            for name, title in figures.items()
        ]
    found = [(head, title, file) for head, title, file in job.params["figures"]]
    assert sorted(found) == sorted(
        (head, title, f"results/figures/{name}.png") for head, title, name in wanted
    )


def test_planning_writes_nothing(plans, folder):
    for name in plans:
        left = {file.relative_to(folder / name).parts[0] for file in (folder / name).rglob("*")}
        given = {Path(file).parts[0] for file in FILES.get(name, ())}
        assert left - {".snakemake"} == {"config.yaml"} | given


@pytest.mark.parametrize("name", ["full", "drawn"])
def test_only_right_names_can_be_made(plans, name):
    wanted = {"full": MAKERS, "drawn": SHARED_OUT}[name]
    assert {file: plans[name].makers(file) for file in wanted} == wanted

import io
import tarfile

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.io import loadmat

from repro.errors import UserError
from repro.features.backbones import create, read_state, without_classifier
from repro.flowers.archive import extract
from repro.flowers.labels import read_labels, read_official_split
from repro.rehearsal.stand_ins import as_downloads, make_flowers, make_weights, scaled_counts
from repro.system.files import hash_of
from support import ROOT

OFFICIAL = pd.read_csv(ROOT / "resources/rehearsal_counts.csv", comment="#")["images"].tolist()


def test_the_shipped_counts_are_the_data_sets():
    assert (len(OFFICIAL), sum(OFFICIAL), min(OFFICIAL), max(OFFICIAL)) == (102, 8189, 40, 258)


@pytest.mark.parametrize("images", [8, 48, 50, 407, 408, 500, 3001, 8189])
def test_as_many_images_as_asked_and_four_a_label_at_least(images):
    counts = scaled_counts(images, OFFICIAL)
    assert sum(counts) == images
    assert min(counts) >= 4
    assert len(counts) == min(102, images // 4)


def test_all_images_have_the_official_counts():
    assert scaled_counts(8189, OFFICIAL) == OFFICIAL


@pytest.mark.parametrize("images", [7, 8190])
def test_too_few_or_too_many_are_refused(images):
    with pytest.raises(UserError, match=f"{images} images; expected 8 to 8189"):
        scaled_counts(images, OFFICIAL)


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    return make_flowers(tmp_path_factory.mktemp("flowers"), [4, 9, 5], 1)


def test_the_archive_has_the_official_layout(flowers, tmp_path):
    with tarfile.open(flowers["102flowers.tgz"], "r:gz") as tar:
        members = tar.getmembers()
        contents = [tar.extractfile(member).read() for member in members[1:]]
    assert (members[0].name, members[0].isdir()) == ("jpg", True)
    names = [member.name for member in members[1:]]
    assert sorted(names) == [f"jpg/image_{number:05d}.jpg" for number in range(1, 19)]
    assert names != sorted(names)
    assert len(set(contents)) == 18
    for content in contents:
        with Image.open(io.BytesIO(content)) as image:
            assert min(image.size) == 500
            assert 500 <= max(image.size) <= 750
    assert len(extract(flowers["102flowers.tgz"], tmp_path)) == 18


def test_labels_and_sets_are_matlab_files_of_the_official_form(flowers):
    assert loadmat(flowers["imagelabels.mat"])["labels"].dtype == np.uint8
    labels = read_labels(flowers["imagelabels.mat"])
    assert np.bincount(labels).tolist() == [0, 4, 9, 5]
    # The images of a label follow one another.
    assert np.count_nonzero(np.diff(labels)) == 2
    sets = read_official_split(flowers["setid.mat"])
    assert sorted(np.concatenate(list(sets.values()))) == list(range(1, 19))
    for name, counts in {"train": [1, 2, 1], "validation": [1, 2, 1], "test": [2, 5, 3]}.items():
        assert np.bincount(labels[sets[name] - 1])[1:].tolist() == counts


def test_what_is_there_is_not_drawn_again(flowers):
    before = {file: file.stat().st_mtime_ns for file in flowers.values()}
    assert make_flowers(flowers["setid.mat"].parent, [4, 9, 5], 1) == flowers
    assert {file: file.stat().st_mtime_ns for file in flowers.values()} == before


@pytest.mark.heavy
def test_the_same_pictures_whatever_the_number_of_processes(flowers, tmp_path):
    again = make_flowers(tmp_path, [4, 9, 5], 2)
    assert all(hash_of(again[name]) == hash_of(file) for name, file in flowers.items())


@pytest.mark.parametrize("architecture", ["torchvision:resnet50", "torchvision:convnext_tiny"])
def test_features_of_the_weights_are_finite_and_differ(architecture, tmp_path):
    file = tmp_path / "weights.pth"
    make_weights(file, architecture, legacy=True)
    network = create(architecture)
    network.load_state_dict(read_state(file))
    rng = np.random.default_rng(0)
    smooth = np.repeat(np.repeat(rng.normal(size=(2, 3, 7, 7)), 32, 2), 32, 3)
    with torch.no_grad():
        features = without_classifier(architecture, network)(torch.tensor(smooth).float())
    assert features.isfinite().all()
    assert features.abs().max() < 100
    assert (features[0] - features[1]).abs().max() > 0.01


def test_an_entry_names_a_file_with_its_hash_and_place(tmp_path):
    file = tmp_path / "weights.pth"
    file.write_bytes(b"weights")
    entry = as_downloads({"weights/x.pth": file})["weights/x.pth"]
    assert (entry["sha256"], entry["size"]) == (hash_of(file), 7)
    assert entry["sources"] == [{"path": str(file)}]
    assert "stand-in" in entry["description"]

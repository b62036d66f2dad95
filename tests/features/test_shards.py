"""Shards of a feature extraction: joined they are the whole, and nothing else is let through."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from photos import make_photos
from repro.errors import UserError
from repro.features.backbones import Preprocess, build
from repro.features.batch_norm import adapt
from repro.features.extraction import extract
from repro.features.forward import Forward
from repro.features.shards import join
from repro.features.store import FeatureFiles, Shard
from support import bytes_of

SMALL = Preprocess(resize=40, crop=32)
CPU = torch.device("cpu")
IMAGES = 30


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos"), IMAGES)


@pytest.fixture(scope="module")
def backbone():
    return build("torchvision:mobilenet_v3_small", None)


def run(images, backbone, work, shard=None, **changes):
    options = {"device": CPU, "batch_size": 4, "workers": 2, "shard": shard} | changes
    return extract(images, backbone, SMALL, work, **options)


def shards(images, backbone, folder, of, **changes):
    return [
        run(images, backbone, folder / f"{k}-of-{of}", Shard(k, of), **changes)
        for k in range(1, of + 1)
    ]


def files_in(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return FeatureFiles(*(folder / name for name in ("features.npy", "ids.npy", "manifest.json")))


@pytest.fixture(scope="module")
def three(photos, backbone, tmp_path_factory):
    return shards(photos, backbone, tmp_path_factory.mktemp("three"), 3)


@pytest.fixture
def parts(three, tmp_path):
    """The three shards, to be changed."""
    copied = []
    for part in three:
        folder = tmp_path / part.manifest.parent.name
        shutil.copytree(part.manifest.parent, folder)
        copied.append(files_in(folder))
    return copied


def change(part, **values):
    manifest = json.loads(part.manifest.read_text())
    manifest["shard"].update(values.pop("shard", {}))
    part.manifest.write_text(json.dumps({**manifest, **values}))


@pytest.mark.parametrize("images", [0, 1, 7, 8, 9, 30, 8189])
@pytest.mark.parametrize("of", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("batch_size", [1, 8, 32])
def test_shards_follow_each_other_and_end_where_batches_do(images, of, batch_size):
    spans = [Shard(k, of).span(images, batch_size) for k in range(1, of + 1)]
    assert [first for first, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == images
    assert all(end % batch_size == 0 or end == images for _, end in spans)
    sizes = [end - first for first, end in spans]
    assert max(sizes) - min(sizes) < 2 * batch_size


@pytest.mark.parametrize("name", ["", "2", "0-of-4", "5-of-4", "a-of-b", "1-of-4x"])
def test_a_name_that_is_no_shard_is_refused(name):
    assert Shard.named("2-of-4") == Shard(2, 4)
    with pytest.raises(UserError, match="expected NUMBER-of-COUNT"):
        Shard.named(name)


# 30 images are 8 batches of 4: of 11 shards some are empty.
@pytest.mark.parametrize("of", [1, 3, 11])
def test_joined_shards_are_the_whole_byte_for_byte(photos, backbone, tmp_path, of):
    whole = run(photos, backbone, tmp_path / "whole")
    joined = files_in(tmp_path / "joined")
    # In any order.
    join(shards(photos, backbone, tmp_path, of)[::-1], joined)
    assert bytes_of(joined) == bytes_of(whole)


@pytest.mark.fault(
    "features", "a shard is stopped in the middle", "it goes on and ends in the same bytes"
)
def test_a_stopped_shard_goes_on_and_ends_in_the_same_bytes(
    photos, backbone, three, tmp_path, *, monkeypatch, happened
):
    calls = []
    plain = Forward.__call__

    def stop_at_second(self, pixels):
        calls.append(len(pixels))
        if len(calls) == 2:
            raise RuntimeError("stopped")
        return plain(self, pixels)

    work, shard = tmp_path / "work", Shard(2, 3)
    options = {"workers": 1, "checkpoint_seconds": 0}
    with monkeypatch.context() as patch:
        patch.setattr(Forward, "__call__", stop_at_second)
        with pytest.raises(RuntimeError, match="stopped"):
            run(photos, backbone, work, shard, **options)
    counts = []
    resumed = run(photos, backbone, work, shard, on_images=counts.append)
    assert 0 <= counts[0] < 12
    assert bytes_of(resumed) == bytes_of(three[1])
    happened("features, ids and manifest are those of a shard that was let alone")


def test_an_unfinished_shard_of_another_cut_is_refused(photos, backbone, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Forward, "__call__", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(photos, backbone, tmp_path, Shard(1, 3))
    with pytest.raises(UserError, match=r"shard\.of: 3 there, 2 now"):
        run(photos, backbone, tmp_path, Shard(1, 2))


@pytest.mark.fault("features", "a shard is missing", "refused; nothing is joined")
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_shard_is_noticed(parts, tmp_path, missing):
    del parts[missing]
    with pytest.raises(UserError, match=r"of-3/manifest\.json.*but 2 shards are to be joined"):
        join(parts, files_in(tmp_path / "joined"))
    assert list((tmp_path / "joined").iterdir()) == []


@pytest.mark.parametrize("name", ["features", "ids", "manifest"])
def test_a_missing_file_of_a_shard_is_named(parts, tmp_path, name):
    getattr(parts[1], name).unlink()
    with pytest.raises(UserError, match=r"2-of-3/\w+\.\w+: there is no such file"):
        join(parts, files_in(tmp_path / "joined"))


@pytest.mark.fault("features", "a byte of a shard is changed", "refused, naming the file")
@pytest.mark.parametrize("name", ["features", "ids"])
def test_a_changed_byte_of_a_shard_is_noticed(parts, tmp_path, name):
    file = getattr(parts[1], name)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"2-of-3/{name}\.npy: was changed or damaged"):
        join(parts, files_in(tmp_path / "joined"))


def test_a_manifest_that_is_none_is_named(parts, tmp_path):
    parts[2].manifest.write_text("[]")
    with pytest.raises(
        UserError, match=r"3-of-3/manifest\.json: damaged, or not the file that belongs here"
    ):
        join(parts, files_in(tmp_path / "joined"))


@pytest.mark.fault(
    "features", "a shard of other weights, images, device or versions", "refused with what differs"
)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights_sha256": "0" * 64}, "weights_sha256: .* 0000"),
        ({"images_sha256": "0" * 64}, "images_sha256: .* 0000"),
        ({"device": "cuda"}, "device: cpu there, cuda here"),
        ({"versions": {}}, r"versions\.torch: .* there, none here"),
        (
            {"protocol": {"name": "adapted", "statistics_sha256": "1"}},
            r"protocol\.name: frozen there, adapted here",
        ),
        ({"unheard_of": 1}, "unheard_of: none there, 1 here"),
    ],
)
def test_a_shard_of_another_extraction_is_refused(parts, tmp_path, values, message):
    change(parts[1], **values)
    with pytest.raises(UserError, match=rf"2-of-3/manifest\.json: made otherwise.*{message}"):
        join(parts, files_in(tmp_path / "joined"))


def test_a_shard_of_other_images_is_refused(photos, backbone, parts, tmp_path):
    other = [replace(image, id=image.id + 100) for image in photos]
    parts[1] = run(other, backbone, tmp_path / "other", Shard(2, 3))
    with pytest.raises(UserError, match=r"other/manifest\.json: made otherwise than"):
        join(parts, files_in(tmp_path / "joined"))


@pytest.mark.fault("features", "a shard twice", "refused")
def test_a_shard_that_is_there_twice_is_refused(parts, tmp_path):
    with pytest.raises(UserError, match=r"2-of-3/manifest\.json: shard 2 of 3 overlaps"):
        join([parts[0], parts[1], parts[1]], files_in(tmp_path / "joined"))


@pytest.mark.fault("features", "shards that overlap, leave a gap or end early", "refused")
def test_shards_that_overlap_or_leave_a_gap_or_end_early_are_refused(parts, tmp_path):
    joined = files_in(tmp_path / "joined")
    spans = [json.loads(part.manifest.read_text())["shard"] for part in parts]
    assert [(span["first"], span["end"]) for span in spans] == [(0, 8), (8, 20), (20, 30)]
    change(parts[1], shard={"first": 4, "end": 16})
    with pytest.raises(UserError, match=r"2-of-3/manifest\.json: .*overlaps.*expected 8"):
        join(parts, joined)
    change(parts[1], shard={"first": 12, "end": 24})
    with pytest.raises(UserError, match=r"2-of-3/manifest\.json: .*leaves a gap.*expected 8"):
        join(parts, joined)
    change(parts[1], shard={"first": 8, "end": 20})
    change(parts[2], shard={"first": 20, "end": 29}, rows=9)
    with pytest.raises(UserError, match=r"3-of-3/manifest\.json: the shards end at image 29"):
        join(parts, joined)
    change(parts[2], shard={"end": 30})
    with pytest.raises(UserError, match=r"3-of-3/manifest\.json: .* has 9 images .*expected 10"):
        join(parts, joined)


def test_shards_share_statistics_that_one_job_has_estimated(photos, tmp_path):
    kept = tmp_path / "kept.safetensors"
    options = {"device": CPU, "batch_size": 4, "workers": 1}

    def fresh():
        return build("torchvision:mobilenet_v3_small", None)

    with pytest.raises(UserError, match=r"kept\.safetensors: missing, or"):
        adapt(fresh(), photos, SMALL, kept, must_be_kept=True, **options)
    done = adapt(fresh(), photos, SMALL, kept, **options)
    assert len(done["statistics_sha256"]) == 64
    before = kept.read_bytes()
    assert adapt(fresh(), photos, SMALL, kept, must_be_kept=True, **options) == done
    with pytest.raises(UserError, match="made with another network, other images"):
        adapt(fresh(), photos[:-1], SMALL, kept, must_be_kept=True, **options)
    assert kept.read_bytes() == before
    kept.write_bytes(before[: len(before) // 2])
    with pytest.raises(UserError, match=r"kept\.safetensors: missing, or"):
        adapt(fresh(), photos, SMALL, kept, must_be_kept=True, **options)

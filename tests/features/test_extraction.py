import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

from photos import make_photos
from repro.errors import UserError
from repro.features import batch_norm, extraction, store
from repro.features.backbones import Preprocess, batch_norms, build
from repro.features.batch_norm import adapt
from repro.features.extraction import extract
from repro.features.forward import Forward
from repro.features.pixels import DamagedImageError, normalised, read_batch, read_pixels
from repro.features.store import read_features
from repro.flowers.images import hash_of_images
from support import ROOT, bytes_of

SMALL = Preprocess(resize=40, crop=32)
NET = "torchvision:mobilenet_v3_small"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos"), 30)


@pytest.fixture(scope="module")
def backbone():
    return build(NET, None)


@pytest.fixture
def begun(photos, backbone, tmp_path, monkeypatch):
    """A working folder of an extraction that was stopped at once."""
    with monkeypatch.context() as patch:
        patch.setattr(Forward, "__call__", _broken)
        with pytest.raises(RuntimeError, match="stopped"):
            run(photos, backbone, tmp_path)
    return tmp_path


def _broken(*arguments):
    raise RuntimeError("stopped")


def run(images, backbone, work, **changes):
    options = {"device": CPU, "batch_size": 4, "workers": 2} | changes
    return extract(images, backbone, SMALL, work, **options)


def read(files, images):
    return read_features(files.features, files.ids, files.manifest, hash_of_images(images))


# --- pixels ------------------------------------------------------------------------------------


def reference(file, preprocess):
    mode = transforms.InterpolationMode(preprocess.interpolation)
    pipeline = transforms.Compose(
        [
            transforms.Resize(preprocess.resize, interpolation=mode),
            transforms.CenterCrop(preprocess.crop),
            transforms.ToTensor(),
            transforms.Normalize(preprocess.mean, preprocess.std),
        ]
    )
    return pipeline(Image.open(file).convert("RGB"))


def ours(images, preprocess):
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (preprocess.mean, preprocess.std))
    return normalised(read_batch(images, preprocess, 0, len(images)).pixels, mean, std)


@pytest.mark.parametrize("preprocess", [SMALL, Preprocess(48, 33, interpolation="bicubic")])
def test_inputs_are_bit_for_bit_torchvisions(photos, preprocess):
    expected = torch.stack([reference(image.file, preprocess) for image in photos[:10]])
    assert torch.equal(ours(photos[:10], preprocess), expected)


def test_inputs_of_real_photographs_are_bit_for_bit_torchvisions(photographs, tmp_path):
    subprocess.run(
        ["tar", "-xzf", photographs / "102flowers.tgz", "-C", tmp_path, "jpg/image_00001.jpg"],
        check=True,
    )
    image = replace(make_photos(tmp_path, 1)[0], file=tmp_path / "jpg/image_00001.jpg", sha256="")
    expected = reference(image.file, Preprocess())
    assert torch.equal(ours([image], Preprocess())[0], expected)


def test_inputs_are_channels_last_in_memory(photos):
    assert ours(photos[:2], SMALL).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P"])
def test_any_kind_of_picture_is_read_as_red_green_blue(photos, tmp_path, mode):
    file = tmp_path / ("picture.jpg" if mode in ("L", "CMYK") else "picture.png")
    Image.open(photos[0].file).convert(mode).save(file)
    image = replace(photos[0], file=file, sha256="")
    assert read_pixels(image, SMALL).shape == (32, 32, 3)


@pytest.mark.fault(
    "archives and images",
    "an image missing, empty, cut off or no picture, at its pass through the net",
    "named, with the way out",
)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "there is no such file"),
        (lambda file: file.write_bytes(b""), "damaged, or not a whole picture"),
        (lambda file: file.write_bytes(b"no picture"), "damaged, or not a whole picture"),
        (
            lambda file: file.write_bytes(file.read_bytes()[:-300]),
            "damaged, or not a whole picture",
        ),
    ],
)
def test_a_damaged_image_is_named(tmp_path, damage, message):
    image = replace(make_photos(tmp_path, 1)[0], sha256="")
    damage(image.file)
    with pytest.raises(DamagedImageError, match=rf"image_00001\.jpg: image 1: {message}"):
        read_pixels(image, SMALL)


@pytest.mark.fault(
    "archives and images", "an image exchanged after it was prepared", "found by its hash"
)
def test_a_file_that_is_not_the_one_prepared_is_named(tmp_path):
    first, second = make_photos(tmp_path, 2)
    with pytest.raises(DamagedImageError, match="its sha256 is another"):
        read_pixels(replace(first, file=second.file), SMALL)


# --- extraction --------------------------------------------------------------------------------


def test_each_row_is_its_images_feature(photos, backbone, tmp_path):
    found = read(run(photos, backbone, tmp_path / "work"), photos)
    with torch.inference_mode():
        plain = build(NET, None).module
        expected = plain(torch.stack([reference(image.file, SMALL) for image in photos]))
    assert found.features.dtype == np.float32
    assert found.features.shape == (30, 1024)
    np.testing.assert_array_equal(found.ids, [image.id for image in photos])
    np.testing.assert_allclose(found.features, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("batch_size", "workers"), [(4, 1), (4, 3), (8, 2), (64, 2)])
def test_the_bytes_do_not_depend_on_the_number_of_threads(
    photos, backbone, tmp_path, batch_size, workers
):
    one = run(photos, backbone, tmp_path / "one", batch_size=batch_size, workers=1)
    other = run(photos, backbone, tmp_path / "other", batch_size=batch_size, workers=workers)
    assert bytes_of(one) == bytes_of(other)


def test_a_restart_goes_on_where_it_stopped(photos, backbone, tmp_path, monkeypatch):
    whole = run(photos, backbone, tmp_path / "whole")
    calls = []
    plain = Forward.__call__

    def stop_at_third(self, pixels):
        calls.append(len(pixels))
        if len(calls) == 4:
            raise RuntimeError("stopped")
        return plain(self, pixels)

    monkeypatch.setattr(Forward, "__call__", stop_at_third)
    with pytest.raises(RuntimeError, match="stopped"):
        run(photos, backbone, tmp_path / "work", workers=1, checkpoint_seconds=0)
    done = json.loads((tmp_path / "work/progress.json").read_text())["rows"]
    assert 0 < done < 30
    monkeypatch.setattr(Forward, "__call__", plain)
    counts = []
    resumed = run(photos, backbone, tmp_path / "work", on_images=counts.append)
    assert counts[0] == done
    assert sum(counts) == 30
    assert bytes_of(resumed) == bytes_of(whole)


CHILD = """
import sys
from pathlib import Path
import torch
from repro.features.backbones import Preprocess, build
from repro.features.extraction import extract
from repro.flowers.images import read_images
images = read_images(Path(sys.argv[1]))
extract(images, build(sys.argv[2], None), Preprocess(40, 32), Path(sys.argv[3]),
        device=torch.device("cpu"), batch_size=4, workers=2, checkpoint_seconds=0)
"""


@pytest.mark.fault(
    "kills",
    "SIGKILL in a feature extraction",
    "no finished file; the next run goes on and ends in the same bytes",
)
def test_a_killed_extraction_ends_in_the_same_bytes(backbone, tmp_path, happened):
    images = make_photos(tmp_path / "photos", 400)
    work = tmp_path / "work"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, tmp_path / "photos/images.csv", NET, work],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"},
    )
    rows = 0
    while rows < 40:
        assert child.poll() is None, "the extraction ended before it could be killed"
        time.sleep(0.01)
        if (work / "binding.json").exists():
            rows = json.loads((work / "progress.json").read_text())["rows"]
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (work / "manifest.json").exists()
    counts = []
    resumed = run(images, backbone, work, on_images=counts.append)
    assert 40 <= counts[0] < 400
    whole = run(images, backbone, tmp_path / "whole")
    assert bytes_of(resumed) == bytes_of(whole)
    happened("went on from its last block; the three files are those of a run that was let alone")


@pytest.mark.fault("features", "stopped while the finished rows are hashed", "no row is made again")
def test_an_extraction_stopped_at_its_very_end_keeps_all_rows(
    photos, backbone, tmp_path, monkeypatch, happened
):
    whole = bytes_of(run(photos, backbone, tmp_path / "whole"))
    with monkeypatch.context() as patch:
        patch.setattr(store, "hash_of", _broken)
        with pytest.raises(RuntimeError, match="stopped"):
            run(photos, backbone, tmp_path / "work")
    monkeypatch.setattr(Forward, "__call__", _broken)
    assert bytes_of(run(photos, backbone, tmp_path / "work")) == whole
    happened("the next start made the same three files without the network's forward pass")


@pytest.mark.fault(
    "features",
    "an unfinished extraction of other weights, images or settings",
    "refused with what differs",
)
@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda s: s.update(backbone=replace(s["backbone"], weights_sha256="0" * 64)), "weights_"),
        (
            lambda s: s.update(backbone=replace(s["backbone"], weights_loaded="by order")),
            "weights_",
        ),
        (lambda s: s.update(images=s["images"][::-1]), "images_sha256"),
        (lambda s: s.update(images=s["images"][:-1]), "images: 30 there, 29 now"),
        (lambda s: s.update(preprocess=Preprocess(48, 32)), "preprocess"),
        (lambda s: s.update(batch_size=5), "batch_size: 4 there, 5 now"),
        (lambda s: s.update(protocol={"name": "adapted"}), "protocol"),
    ],
)
def test_an_unfinished_extraction_of_something_else_is_refused(
    photos, backbone, begun, change, key
):
    settings = {
        "images": photos,
        "backbone": backbone,
        "preprocess": SMALL,
        "work": begun,
        "device": CPU,
        "batch_size": 4,
    }
    change(settings)
    with pytest.raises(UserError, match=f"{key}.*Delete the folder"):
        extract(**settings)


@pytest.mark.fault("features", "an unfinished extraction by other library versions", "refused")
def test_other_library_versions_are_refused(photos, backbone, begun, monkeypatch):
    monkeypatch.setattr(extraction, "version", lambda package: "0.0")
    with pytest.raises(UserError, match=r"versions\.torch: .* there, 0\.0 now"):
        run(photos, backbone, begun)


@pytest.mark.fault("features", "an unfinished extraction by other code", "refused")
def test_other_code_is_refused(photos, backbone, begun, tmp_path, monkeypatch):
    here = extraction._hash_of_code()
    checkout = tmp_path / "checkout"
    shutil.copytree(extraction._OUTERMOST.parents[1], checkout / "repro")
    monkeypatch.setattr(extraction, "_OUTERMOST", checkout / "repro/features/batch_norm.py")
    assert extraction._hash_of_code() == here
    edited = checkout / "repro/features/pixels.py"
    edited.write_text(edited.read_text() + "# another way to read a photograph\n")
    with pytest.raises(UserError, match=r"code_sha256: [0-9a-f]{8}… there, [0-9a-f]{8}… now"):
        run(photos, backbone, begun)


def test_a_damaged_image_stops_the_run_or_is_left_out(backbone, tmp_path, caplog, monkeypatch):
    # The finished rows are gone through in blocks.
    monkeypatch.setattr(store, "_ROWS_AT_ONCE", 3)
    images = make_photos(tmp_path / "photos", 10)
    whole = read(run(images, backbone, tmp_path / "whole"), images)
    images[4].file.write_bytes(b"broken")
    with pytest.raises(DamagedImageError, match=r"image_00005\.jpg"):
        run(images, backbone, tmp_path / "stop")
    found = read(run(images, backbone, tmp_path / "skip", on_damaged="skip"), images)
    np.testing.assert_array_equal(found.ids, [1, 2, 3, 4, 6, 7, 8, 9, 10])
    assert list(found.manifest["damaged"]) == ["5"]
    assert "image_00005.jpg" in found.manifest["damaged"]["5"]
    others = np.delete(whole.features, 4, axis=0)
    np.testing.assert_allclose(found.features, others, rtol=1e-4, atol=1e-6)
    assert "1 damaged images are left out" in caplog.text
    assert found.rows_of([10, 5, 1]) == [8, 0]
    with pytest.raises(UserError, match="image 11 is in the split but has no features"):
        found.rows_of([11])


def test_a_batch_of_nothing_but_damaged_images_is_left_out(backbone, tmp_path):
    images = make_photos(tmp_path / "photos", 10)
    for image in images[4:8]:
        image.file.unlink()
    found = read(run(images, backbone, tmp_path / "skip", on_damaged="skip"), images)
    np.testing.assert_array_equal(found.ids, [1, 2, 3, 4, 9, 10])


def test_an_unknown_way_with_damaged_images_is_refused(photos, backbone, tmp_path):
    with pytest.raises(UserError, match="expected stop or skip"):
        run(photos, backbone, tmp_path, on_damaged="ignore")


@pytest.mark.fault("weights", "weights that give NaN", "refused, naming the first image")
def test_features_that_are_not_finite_are_refused(photos, tmp_path):
    backbone = build(NET, None)
    backbone.module.features[0][0].weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(
        UserError, match=r"image_00001\.jpg: what the network gives .* is no number"
    ):
        run(photos, backbone, tmp_path)


def test_rows_count_as_done_only_once_they_are_on_the_disk(photos, backbone, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(np.memmap, "flush", _broken)
        with pytest.raises(RuntimeError, match="stopped"):
            run(photos, backbone, tmp_path)
    assert json.loads((tmp_path / "progress.json").read_text())["rows"] == 0


@pytest.mark.fault(
    "features", "a row that was never filled", "noticed before the store is finished"
)
def test_a_row_left_empty_is_noticed(photos, backbone, begun):
    (begun / "progress.json").write_text('{"rows": 30, "damaged": {}}')
    with pytest.raises(UserError, match="30 images have no features"):
        run(photos, backbone, begun)


@pytest.mark.fault("features", "a file of a finished store is cut off", "refused")
@pytest.mark.parametrize("name", ["features", "ids", "manifest"])
def test_features_that_do_not_belong_together_are_refused(photos, backbone, tmp_path, name):
    files = run(photos, backbone, tmp_path)
    file = getattr(files, name)
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(UserError, match="run again"):
        read(files, photos)


@pytest.mark.fault("features", "features of other images", "refused")
def test_features_of_other_images_are_refused(photos, backbone, tmp_path):
    files = run(photos, backbone, tmp_path)
    with pytest.raises(UserError, match="made of other images"):
        read(files, photos[::-1])


# ru_maxrss would not do: a new process inherits it from the one that started it.
MEMORY = """
import sys
from pathlib import Path
import torch
from repro.compute import devices
from repro.features.backbones import Preprocess, build
from repro.features.extraction import extract
from repro.flowers.images import read_images
images = read_images(Path(sys.argv[1]))
images = [*images] * (int(sys.argv[3]) // len(images))
images = [type(i)(n, i.file, i.sha256, i.label) for n, i in enumerate(images)]
devices.keep_freed_memory()
backbone = build("torchvision:mobilenet_v3_small", None)
extract(images, backbone, Preprocess(72, 64), Path(sys.argv[2]), device=torch.device("cpu"),
        batch_size=8, workers=2, checkpoint_seconds=0.5)
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.heavy
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_peak_memory_does_not_grow_with_the_number_of_images(tmp_path):
    make_photos(tmp_path / "photos", 20)
    peaks = {}
    for count in (500, 2000):
        command = [sys.executable, "-c", MEMORY, tmp_path / "photos/images.csv"]
        output = subprocess.run(
            [*command, tmp_path / f"work{count}", str(count)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        peaks[count] = int(output) / 1024
    print(f"peak memory, MiB: {peaks}")
    # 1,500 more rows of 1,024 float32 are 6 MiB; 1,500 more decoded images would be 18 MiB.
    assert peaks[2000] - peaks[500] < 12


# --- the forward pass --------------------------------------------------------------------------


class _Greedy(nn.Module):
    """Runs out of memory above a number of images."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.seen = most, []

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.seen.append(len(x))
        return x.mean(dim=(2, 3))


@pytest.mark.fault(
    "features", "out of memory", "half as many images at once, with a warning; the same features"
)
def test_out_of_memory_halves_the_batch_with_a_warning(caplog, happened):
    module = _Greedy(3)
    forward = Forward(module, SMALL, CPU, fuse=False)
    pixels = torch.randint(0, 256, (10, 32, 32, 3), dtype=torch.uint8)
    found = forward(pixels)
    expected = Forward(_Greedy(99), SMALL, CPU, fuse=False)(pixels)
    assert torch.equal(found, expected)
    assert module.seen == [2, 2, 2, 2, 2]
    assert "out of memory with 10 images at once; going on with 5" in caplog.text
    assert "out of memory with 5 images at once; going on with 2" in caplog.text
    module.seen.clear()
    forward(pixels[:4])
    assert module.seen == [2, 2]
    happened(caplog.records[0].getMessage())


@pytest.mark.fault("features", "out of memory with a single image", "told in words")
def test_out_of_memory_with_one_image_is_the_users_to_mend():
    forward = Forward(_Greedy(0), SMALL, CPU, fuse=False)
    with pytest.raises(UserError, match="out of memory even with a single image"):
        forward(torch.zeros((4, 32, 32, 3), dtype=torch.uint8))


@pytest.mark.fault(
    "features", "out of memory where BatchNorm takes its statistics from the batch", "refused"
)
def test_out_of_memory_is_not_met_by_other_statistics():
    module = nn.Sequential(nn.BatchNorm2d(3), _Greedy(3))
    pixels = torch.zeros((10, 32, 32, 3), dtype=torch.uint8)
    with pytest.raises(UserError, match=r"10 images at once.*set a smaller flowers\.batch_size"):
        Forward(module.train(), SMALL, CPU, fuse=False)(pixels)
    assert len(Forward(module.eval(), SMALL, CPU, fuse=False)(pixels)) == 10


def test_other_errors_are_not_taken_for_it():
    forward = Forward(nn.Linear(3, 3), SMALL, CPU, fuse=False)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        forward(torch.zeros((4, 32, 32, 3), dtype=torch.uint8))


def test_the_way_of_a_graphics_card_gives_the_same_features(
    photos, backbone, tmp_path, monkeypatch
):
    expected = run(photos, backbone, tmp_path / "cpu")
    monkeypatch.setattr(extraction, "_computed_on_cpu", extraction._computed_on_card)
    found = run(photos, backbone, tmp_path / "card")
    np.testing.assert_allclose(
        np.load(found.features), np.load(expected.features), rtol=1e-4, atol=1e-6
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card")
def test_a_graphics_card_gives_nearly_the_same_features(photos, tmp_path):
    expected = run(photos, build(NET, None), tmp_path / "cpu")
    found = run(photos, build(NET, None), tmp_path / "card", device=torch.device("cuda"))
    np.testing.assert_allclose(
        np.load(found.features), np.load(expected.features), rtol=2e-2, atol=2e-2
    )


# --- adapted -----------------------------------------------------------------------------------


def test_adapted_statistics_are_the_mean_over_batches(photos, tmp_path):
    backbone = build("torchvision:resnet18", None)
    for layer in batch_norms(backbone.module):  # as a file of weights may leave it
        layer.num_batches_tracked.fill_(7)
        layer.running_mean.fill_(3)
    done = adapt(
        backbone, photos, SMALL, tmp_path / "kept", device=CPU, batch_size=8, workers=1, seed=4
    )
    order = torch.randperm(30, generator=torch.Generator().manual_seed(4))[:24]
    first = build("torchvision:resnet18", None).module.conv1
    inputs = torch.stack([reference(photos[i].file, SMALL) for i in order])
    with torch.no_grad():
        outputs = [first(batch) for batch in inputs.split(8)]
    mean = torch.stack([o.mean(dim=(0, 2, 3)) for o in outputs]).mean(dim=0)
    variance = torch.stack([o.var(dim=(0, 2, 3)) for o in outputs]).mean(dim=0)
    norm = backbone.module.bn1
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, variance, rtol=1e-4, atol=1e-5)
    assert (norm.training, norm.momentum) == (False, 0.1)
    assert (done["adapted_on"], done["batch_norm_layers"]) == (24, 20)


def test_a_killed_adaptation_is_not_done_twice(photos, tmp_path, monkeypatch):
    options = {"device": CPU, "batch_size": 8, "workers": 1}
    first = build("torchvision:resnet18", None)
    done = adapt(first, photos, SMALL, tmp_path / "kept", **options)
    monkeypatch.setattr(batch_norm, "adapt_batch_norm", _broken)
    again = build("torchvision:resnet18", None)
    assert adapt(again, photos, SMALL, tmp_path / "kept", **options) == done
    for one, other in zip(batch_norms(first.module), batch_norms(again.module), strict=True):
        assert torch.equal(one.running_var, other.running_var)
    monkeypatch.undo()
    others = adapt(again, photos[:16], SMALL, tmp_path / "kept", **options)
    assert others["adapted_on_sha256"] != done["adapted_on_sha256"]


@pytest.mark.fault(
    "configuration",
    "adapted: batches of one image, of which BatchNorm can take no statistics",
    "refused before the first image",
)
def test_adapting_to_single_images_is_refused_before_the_first(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(batch_norm, "read_batch", _broken)
    backbone = build("torchvision:resnet18", None)
    with pytest.raises(UserError, match=r"Set flowers\.batch_size to 2 or more"):
        adapt(backbone, photos, SMALL, tmp_path / "kept", device=CPU, batch_size=1, workers=1)
    assert not any(layer.training for layer in batch_norms(backbone.module))


def test_a_network_without_batch_norm_stays_as_it_is_and_that_is_said(photos, tmp_path, caplog):
    backbone = build("timm:convnext_atto", None)
    before = {name: tensor.clone() for name, tensor in backbone.module.state_dict().items()}
    with caplog.at_level("INFO"):
        adapt(backbone, photos, SMALL, tmp_path / "kept", device=CPU, batch_size=8, workers=1)
    assert "no BatchNorm: adapted is the same as frozen" in caplog.text
    assert all(torch.equal(before[n], t) for n, t in backbone.module.state_dict().items())

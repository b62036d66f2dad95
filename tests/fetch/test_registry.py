import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from repro.errors import UserError
from repro.fetch.proof import Proof, prove
from repro.fetch.registry import check_url, load_registry

SHIPPED = Path(__file__).parents[2] / "resources" / "registry.yaml"
A, B = "a" * 64, "b" * 64


def entry(**changes: Any) -> dict[str, Any]:
    whole = {"sha256": A, "size": 3, "sources": [{"url": "https://example.org/f"}]}
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def source(**fields: Any) -> dict[str, Any]:
    return entry(sources=[fields])


def test_the_shipped_registry_is_valid_and_consistent() -> None:
    registry = load_registry([SHIPPED])
    assert len(registry) == 10
    for name, one in registry.items():
        assert one.description and one.licence, name
        digits = re.search(r"-([0-9a-f]{8})\.pth$", name)
        if digits:
            assert (one.proof.sha256 or one.proof.sha256_prefix or "").startswith(digits[1])
        for road in one.sources:
            assert road.kind != "path", f"{name}: a local path cannot serve others"


@pytest.mark.heavy
def test_the_shipped_registry_agrees_with_torchvision() -> None:
    from torchvision.datasets import MNIST, Flowers102
    from torchvision.models import ConvNeXt_Large_Weights, ResNet152_Weights

    registry = load_registry([SHIPPED])
    md5s = dict(MNIST.resources)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        first = registry[f"mnist/{name}-ubyte"].sources[0]
        assert first.proof.md5 == md5s[f"{name}-ubyte.gz"]
        assert first.location.removesuffix(f"{name}-ubyte.gz") in MNIST.mirrors
    for file, md5 in Flowers102._file_dict.values():
        assert registry[f"oxford102/{file}"].proof.md5 == md5
    for weights in (ResNet152_Weights.IMAGENET1K_V1, ConvNeXt_Large_Weights.IMAGENET1K_V1):
        file = weights.url.rpartition("/")[2]
        assert registry[f"weights/{file}"].sources[0].location == weights.url


def test_layers(tmp_path: Path) -> None:
    below = tmp_path / "below.yaml"
    below.write_text(
        f"files:\n  one:\n    size: 3\n    sha256: {A}\n    description: kept\n"
        "    sources: [{url: 'https://example.org/one'}]\n"
    )
    mirror = {"one": {"sources": [{"path": "~/one"}, {"path": "file:///data/o%20ne"}]}}
    registry = load_registry([below], mirror)
    assert registry["one"].proof == Proof(size=3, sha256=A), "a mirror brings the same file"
    assert [str(road) for road in registry["one"].sources] == ["~/one", "/data/o ne"]
    assert registry["one"].description == "kept"

    other = load_registry([below], {"one": {"md5": "c" * 32}, "two": entry(sha256=B)})
    assert other["one"].proof == Proof(md5="c" * 32), "a new hash means another file"
    assert set(other) == {"one", "two"}
    assert load_registry([below], None)["one"].proof.size == 3


def test_an_unknown_name_brings_suggestions() -> None:
    with pytest.raises(UserError, match=r"setid\.mat.*did you mean oxford102/setid\.mat"):
        load_registry([SHIPPED])["oxford/setid.mat"]
    with pytest.raises(UserError, match="the registry has: mnist/"):
        load_registry([SHIPPED])["zzz"]
    assert "oxford/setid.mat" not in load_registry([SHIPPED])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (7, "must be a map of keys"),
        (entry(sha256=...), "has no hash"),
        (entry(sha256=57934424), "sha256: 57934424 is not allowed; must be of type string"),
        (entry(sha256="a" * 63), "sha256"),
        (entry(md5="g" * 32), "md5"),
        (entry(sha256_prefix="abcdef0"), "sha256_prefix"),
        (entry(size="3"), "size: '3'"),
        (entry(size=-1), "size: -1"),
        (entry(size=True), "size: True"),
        (entry(sources=...), "'sources' is missing"),
        (entry(sources="https://example.org"), "sources"),
        (entry(licence=3), "licence: 3 is not allowed; must be of type string"),
        (entry(sha265=B), "unknown key 'sha265'"),
        (entry(sources=["https://example.org"]), "sources.0: 'https://example.org'"),
        (source(url="https://example.org/f", path="f"), "has url and path; name one of"),
        (source(unpack="gzip"), "has none; name one of url, package, path"),
        (source(url="http://example.org/f"), "refused: not https"),
        (source(url="ftp://example.org/f"), "no https"),
        (source(url="https:///f"), "no https"),
        (source(url="https://[::1/f"), "no URL"),
        (source(url="https://example.org/f", member="m"), "'member'"),
        (source(package="p==1"), "'member'"),
        (source(package="p", member="m"), "package: .* must be NAME==VERSION"),
        (
            source(package="--index-url=https://evil==1", member="m"),
            "package: .* must be NAME==VERSION",
        ),
        (source(package="p==1 --pre", member="m"), "package: .* must be NAME==VERSION"),
        (source(path=""), "path: '' is not allowed"),
        (source(path="file://elsewhere/f"), "is file:///folder/file"),
        (
            source(url="https://example.org/f", unpack="zip"),
            "unpack: 'zip' is not allowed; must be one",
        ),
        (entry(size=..., sources=[{"path": "f", "unpack": "gzip"}]), "so its size is needed"),
        (source(path="f", unpack="mnist-pickle", md5="c" * 32), "needs the sha256"),
    ],
)
def test_a_wrong_entry_is_named(fields: Any, message: str) -> None:
    with pytest.raises(UserError, match=f"the configuration: downloads: flowers/x: .*{message}"):
        load_registry([], {"flowers/x": fields})


@pytest.mark.fault("configuration", "a download's name that leads out of its folder", "refused")
@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a//b", "a\\b", "", ".x", 7])
def test_a_name_cannot_lead_out_of_the_folder(name: Any) -> None:
    with pytest.raises(UserError, match="no path inside the folder of downloads"):
        load_registry([], {name: entry()})


@pytest.mark.fault("configuration", "a file that is no registry", "named")
@pytest.mark.parametrize(
    "content", ["[1, 2]", "files: 3", "files: {}\nother: 1", "files: [", "\x00", "file: {}"]
)
def test_a_file_that_is_no_registry_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(UserError, match=r"mine\.yaml"):
        load_registry([tmp_path / "mine.yaml"])
    with pytest.raises(UserError, match=r"absent\.yaml"):
        load_registry([tmp_path / "absent.yaml"])


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/f", "http://[::1]/f", "http://localhost/f"])
def test_plain_http_to_this_machine_is_admitted(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url", ["http://localhost:1@example.org/f", "http://127.0.0.1.example.org/f", "http://10.0.0.1"]
)
def test_plain_http_to_a_look_alike_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="not https"):
        check_url(url)


def test_proof(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    sha256, md5 = hashlib.sha256(b"abc").hexdigest(), hashlib.md5(b"abc").hexdigest()  # noqa: S324
    assert Proof(3, sha256, md5, sha256[:8]).mismatch(path) is None
    assert Proof().mismatch(path) is None
    assert Proof(size=4).mismatch(path) == "3 bytes, expected 4"
    assert Proof(sha256=A).mismatch(path) == f"sha256 of {sha256}, expected {A}"
    assert Proof(3, sha256, md5=A[:32]).mismatch(path) == f"md5 of {md5}, expected {A[:32]}"
    for prefix in ("00000000", sha256[1:9]):
        assert "sha256_prefix" in (Proof(sha256_prefix=prefix).mismatch(path) or "")
    path.write_bytes(b"\n <!DOCTYPE html><p>Please log in")
    assert "web page" in (Proof(sha256=A).mismatch(path) or "")
    assert str(Proof(4000, A)) == f"4,000 bytes, sha256 {A}"


@pytest.mark.fault(
    "weights", "a file put in place by hand with the wrong hash", "refused before it is used"
)
def test_files_are_proved_where_a_job_finds_them(tmp_path: Path) -> None:
    """A copy out of a bucket has a longer path than the one its proof goes by."""
    copy = tmp_path / "bucket/data/downloads/f"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"abc")
    files = [str(tmp_path / "bucket/old-data/downloads/f"), str(copy)]
    proofs = {"data/downloads/f": {"sha256": hashlib.sha256(b"abc").hexdigest(), "size": 3}}
    prove(proofs, files)
    copy.write_bytes(b"abd")
    with pytest.raises(UserError, match=re.escape(f"{copy}: not the right file")):
        prove(proofs, files)
    with pytest.raises(UserError, match=r"^data/downloads/f: there is no such file"):
        prove(proofs)

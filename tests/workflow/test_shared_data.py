"""Two folders, one folder of downloads; two runs at once."""

import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from support import MNIST_PARTS

ARRAYS = ("data/mnist/images.npy", "data/mnist/labels.npy")


@pytest.fixture
def server(tmp_path):
    """A server of this machine's own that counts what is asked for."""
    root = tmp_path / "served"
    root.mkdir()
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(root))

        def do_GET(self):
            asked.append(self.path.removeprefix("/"))
            super().do_GET()

        def log_message(self, *arguments):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", root, asked
    httpd.shutdown()


@pytest.fixture
def two(tmp_path, server, make_another):
    """Two projects that share one data folder, their MNIST on the server."""
    url, root, _ = server
    projects = [make_another(name) for name in ("first", "second")]
    for part in MNIST_PARTS:
        shutil.copy(projects[0].folder / "mnist-source" / part, root / part)
    for project in projects:
        config = yaml.safe_load(project.config.read_text())
        config["data_dir"] = str(tmp_path / "shared")
        for part in MNIST_PARTS:
            config["downloads"][f"mnist/{part}"]["sources"] = [{"url": f"{url}/{part}"}]
        project.config.write_text(yaml.safe_dump(config))
    return projects


def shared_files(tmp_path):
    files = (tmp_path / "shared/downloads/mnist").iterdir()
    return {file.name: file.stat().st_mtime_ns for file in files if not file.name.startswith(".")}


@pytest.mark.heavy
@pytest.mark.fault(
    "two runs",
    "two runs at once, in two folders with one data_dir",
    "each file is downloaded once; both end, with the same bytes",
)
def test_two_runs_at_once_download_once(two, server, happened):
    drivers = [project.start("--", *ARRAYS) for project in two]
    said = [driver.communicate(timeout=240)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], said
    assert sorted(server[2]) == sorted(MNIST_PARTS)
    first, second = ([(p.folder / name).read_bytes() for name in ARRAYS] for p in two)
    assert first == second
    # Nothing that is prepared is shared.
    assert not (two[0].folder / ARRAYS[0]).samefile(two[1].folder / ARRAYS[0])
    happened("four files asked for once each; the same arrays in both folders")


@pytest.mark.heavy
@pytest.mark.fault(
    "two runs",
    "a download forced anew, or deleted as a failed job's output, beside a run that uses the file",
    "the shared file stays as it is; the other run has nothing to redo",
)
def test_what_one_run_does_to_its_downloads_does_not_reach_the_other(
    two, server, tmp_path, happened
):
    for project in two:
        project.snakemake("--", *ARRAYS)
    before = shared_files(tmp_path)
    assert set(before) == set(MNIST_PARTS)
    two[1].snakemake("--forcerun", "fetch", "--", *ARRAYS)
    two[1].snakemake("--delete-all-output", "--", *ARRAYS)
    assert not (two[1].folder / "data/fetched/mnist" / MNIST_PARTS[0]).exists()
    assert shared_files(tmp_path) == before
    assert two[0].planned("--", *ARRAYS) == {}
    assert len(server[2]) == len(MNIST_PARTS)
    happened("the shared files are untouched; nothing is planned in the other folder")


@pytest.mark.heavy
@pytest.mark.fault(
    "two runs",
    "a shared download is replaced by other bytes, or removed",
    "other bytes are refused by name; a removed file is brought again",
)
def test_a_shared_file_that_has_changed_is_refused_and_a_removed_one_brought_again(
    two, server, tmp_path, happened
):
    two[0].snakemake("--", *ARRAYS)
    file = tmp_path / "shared/downloads/mnist" / MNIST_PARTS[1]
    right = file.read_bytes()
    file.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    said = two[0].snakemake("--forcerun", "prepare_mnist", "--", *ARRAYS, ok=False)
    assert MNIST_PARTS[1] in said
    assert "not the right file" in said
    # Its own folder is none the worse: fetch proves, says so and brings the right one.
    two[1].snakemake("--", *ARRAYS)
    assert file.read_bytes() == right
    file.unlink()
    two[0].snakemake("--forcerun", "prepare_mnist", "--", *ARRAYS)
    assert file.read_bytes() == right
    happened("refused as not the right file; brought again")


@pytest.mark.heavy
def test_relative_folders_give_links_that_may_move(project, tmp_path):
    project.snakemake("--", *ARRAYS)
    link = project.folder / "data/fetched/mnist" / MNIST_PARTS[0]
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    moved = project.folder.rename(tmp_path / "moved")
    assert (moved / "data/fetched/mnist" / MNIST_PARTS[0]).is_file()

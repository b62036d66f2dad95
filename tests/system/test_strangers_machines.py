"""Scripts and figures on machines that are not ours: file systems, settings, users, line ends."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest

from small_disk import in_namespace
from support import ROOT

BODY = b"what is wanted"
SHA256 = hashlib.sha256(BODY).hexdigest()


def run(command: list[str], folder: Path, ok: bool = True, **environment: str) -> str:
    """Run a command; return all it said."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("scripts", "tests"))
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == ok, done.stdout
    return done.stdout


def python(code: str, folder: Path, ok: bool = True, **environment: str) -> str:
    return run([sys.executable, "-c", textwrap.dedent(code)], folder, ok, **environment)


def snakemake(folder: Path, *arguments: str, ok: bool = True, **environment: str) -> str:
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), *arguments]
    return run(command, folder, ok, **environment)


# ---------------------------------------------------------------- file systems


@pytest.mark.fault(
    "strange machines",
    "a file system without symbolic links, or without any",
    "a download is linked as one file, or copied, with a warning",
)
@pytest.mark.parametrize("kinds", [["symlink"], ["symlink", "link"]])
def test_without_links_a_download_is_in_its_place_all_the_same(tmp_path, kinds, happened):
    (tmp_path / "mine").write_bytes(BODY)
    said = python(
        f"""
        import errno, os
        from pathlib import Path
        def refused(*_, **__):
            raise PermissionError(errno.EPERM, "Operation not permitted")
        for kind in {kinds}:
            setattr(os, kind, refused)
        from scripts_support import run_rule
        from snakemake.iocontainers import Wildcards
        import repro.fetch.sources
        downloads = {{"a/f": {{"sha256": "{SHA256}", "sources": [{{"path": "mine"}}]}}}}
        for _ in range(2):
            run_rule("fetch", Path("."), input={{}}, output={{"file": "data/a/f"}},
                wildcards={{"file": "a/f"}}, config={{"downloads": downloads}},
                params={{"registry": "{ROOT}/resources/registry.yaml", "downloads": "shared"}})
        """,
        tmp_path,
    )
    placed, shared = tmp_path / "data/a/f", tmp_path / "shared/a/f"
    assert placed.read_bytes() == BODY
    assert not placed.is_symlink()
    assert placed.samefile(shared) == (kinds == ["symlink"])
    how = "linked as one file" if kinds == ["symlink"] else "copied"
    assert f"no symbolic links on this file system; {how}" in said
    happened(said.partition("WARNING ")[2].splitlines()[0])


@pytest.mark.fault(
    "strange machines", "results is a link to a folder that is gone", "told before anything runs"
)
def test_a_link_to_what_is_gone_is_told(tmp_path, happened):
    (tmp_path / "results").symlink_to("/nowhere/results")
    said = snakemake(tmp_path, "-n", ok=False)
    assert "results: is a link to /nowhere/results, which is not there" in said
    assert "Traceback" not in said
    happened(re.search(r"results: is.*", said)[0])


def test_clean_empties_what_is_linked_and_leaves_the_link(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    elsewhere = tmp_path / "elsewhere"
    for name in ("results", "logs"):
        (elsewhere / name / "runs").mkdir(parents=True)
        (tmp_path / name).symlink_to(elsewhere / name)
    (elsewhere / "results/README.md").write_text("stays")
    run(["make", "clean"], tmp_path)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["README.md"]
    assert list((tmp_path / "logs").iterdir()) == []


@pytest.mark.fault(
    "strange machines", "braces in the name of the project's folder", "told before anything runs"
)
def test_braces_in_the_path_are_told(tmp_path, happened):
    folder = tmp_path / "a{b}c"
    folder.mkdir()
    for part in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / part, folder)
    for part in ("rules", "scripts", "config", "profiles"):
        (folder / part).symlink_to(ROOT / part)
    said = run([sys.executable, "-m", "snakemake", "-n"], folder, ok=False)
    assert "give this project's folder a name without them" in said
    assert "Traceback" not in said
    happened(re.search(r"\S*a\{b\}c: .*", said)[0])


def test_line_ends_of_windows_change_no_file(tmp_path):
    """As where git is told to: `core.autocrlf=true` is its installer's advice there."""
    files = ["Makefile", "profiles/after-a-kill.sh", "scripts/repro/plan.py", "config.yaml"]
    files += ["docs/comparison.png", "resources/reported/resnet152_history.csv"]
    origin = tmp_path / "origin"
    for name in [".gitattributes", *files]:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, origin / name)
    git = ["git", "-c", "core.autocrlf=true", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    run([*git, "init", "-q"], origin)
    run([*git, "add", "-A"], origin)
    run([*git, "commit", "-qm", "all"], origin)
    run([*git, "clone", "-q", "-c", "core.autocrlf=true", str(origin), "clone"], tmp_path)
    for name in files:
        assert (tmp_path / "clone" / name).read_bytes() == (ROOT / name).read_bytes(), name


@pytest.mark.fault(
    "strange machines",
    "a limit on the size of a file (`ulimit -f`)",
    "named, not taken for a want of permission",
)
def test_a_limit_on_the_size_of_files_is_told(tmp_path, happened):
    said = python(
        """
        import resource
        from pathlib import Path
        from repro.system import logs
        from repro.system.files import write_text
        logs.set_up(None)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        write_text(Path("made.txt"), "x" * 2000)
        """,
        tmp_path,
        ok=False,
    )
    assert "made.txt: cannot write here (File too large); raise the limit" in said
    assert "Traceback" not in said
    happened(said.partition("ERROR ")[2])


@pytest.mark.fault(
    "strange machines",
    "the folder a run is started in cannot be written",
    "told before anything runs",
)
def test_a_folder_that_cannot_be_written_is_told(tmp_path, happened):
    read_only = (
        'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 77; cd "$1"; shift; '
    )
    command = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "-n"]
    done = in_namespace(read_only + 'exec "$@"', [tmp_path, *command], tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert ".snakemake: cannot write here (Read-only file system)" in said
    assert "Traceback" not in said
    happened(re.search(r"\S*\.snakemake: .*", said)[0])


# ---------------------------------------------------------------- settings


@pytest.mark.fault(
    "strange machines",
    "MPLBACKEND as a notebook sets it; dollar signs in a title",
    "figures are drawn",
)
def test_figures_need_no_backend_and_a_title_is_no_formula(tmp_path, happened):
    title = r"NA: $x^2$, a $\frac$ of $5"
    code = f"""
        from repro.figures import style
        from repro.figures.curves import curves
        import pandas as pd
        history = pd.DataFrame({{"epoch": [1, 2], "split": "train", "accuracy": .5, "loss": .1}})
        with style.styled({str(ROOT / "resources/style.mplstyle")!r}):
            figure = curves([history], "accuracy", ["train"], {title!r})
            style.save(figure, "figure.png")
            formulas = figure.findobj(lambda each: getattr(each, "get_parse_math", bool)())
        print(sorted({{each.get_text() for each in formulas}}))
    """
    said = python(code, tmp_path, MPLBACKEND="module://matplotlib_inline.backend_inline")
    assert said == "[]\n"
    assert (tmp_path / "figure.png").stat().st_size > 1000
    happened("the figure is drawn, its title as it was given")


@pytest.mark.parametrize("word", ["NA", "nan", "None", "null", "12", "1e5", "inf", "True"])
def test_a_text_that_looks_like_something_else_stays_a_text(tmp_path, word):
    from repro.system.tables import read_csv

    file = tmp_path / "table.csv"
    table = pd.DataFrame({"model": [word], "title": [word], "note": [None], "value": [0.5]})
    table.to_csv(file, index=False)
    row = read_csv(file).iloc[0]
    assert row["model"] == row["title"] == word
    assert pd.isna(row["note"])
    assert row["value"] == 0.5


def test_what_the_command_line_hands_over_as_text_is_told(tmp_path):
    given = ["flowers={split_seeds: [2], split: {kind: random, validation: 0.2}}"]
    given += ["models=numpy_1hidden", "rehearsal=yes"]
    said = snakemake(tmp_path, "-n", "--config", *given, ok=False)
    for words in ("integer (a whole number); write 2", "write 0.2", "write [numpy_1hidden]"):
        assert words in said
    assert "boolean (true or false); write true" in said
    assert said.count("--configfile") == 1


# ---------------------------------------------------------------- users


@pytest.mark.fault(
    "strange machines", "a container's user without a name or a home", "the image sets both"
)
def test_a_user_without_a_name_or_a_home(tmp_path, happened):
    image = (ROOT / "profiles/kubernetes/Dockerfile").read_text()
    (line,) = re.findall(r"^ENV (.*)", image, re.MULTILINE)
    named = dict(pair.split("=") for pair in line.split())
    # May read what root may, as this Python may lie in root's home; but is nobody, and has none.
    caps = "+dac_override,+dac_read_search"
    nobody = [
        *("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", f"--inh-caps={caps}"),
        f"--ambient-caps={caps}",
    ]
    if not shutil.which("setpriv") or subprocess.run([*nobody, "true"], check=False).returncode:
        pytest.skip("only root may become another user, by setpriv")
    (tmp_path / "Snakefile").write_text(
        'rule all:\n    output: "made"\n    shell: "touch {output}"\n'
    )
    command = [*nobody, sys.executable, "-m", "snakemake", "--cores=1", "--quiet=all"]
    plain = {"PATH": os.environ["PATH"]}
    for environment, made in ((plain, False), ({**plain, **named}, True)):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert (tmp_path / "made").exists() == made, done.stderr
    happened("with the image's HOME and USER a job runs")


@pytest.mark.fault(
    "strange machines",
    "a user without a name whose home cannot be written, as `docker run --user` makes one",
    "`make` gives Snakemake a name and a cache in the project's folder",
)
def test_make_gives_a_name_and_a_cache(tmp_path, happened):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "more.mk").write_text(
        "include Makefile\nshow:\n\t@snakemake --cores=1 --quiet=all\n"
    )
    (tmp_path / "Snakefile").write_text('rule all:\n    output: "made"\n    script: "script.py"\n')
    (tmp_path / "script.py").write_text("open(snakemake.output[0], 'w').write('made')")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["make", "-f", "more.mk", "show"]
    # A user without a name, where one may be made.
    nobody = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    caps = "+dac_override,+dac_read_search"
    nobody += [f"--inh-caps={caps}", f"--ambient-caps={caps}"]
    if shutil.which("setpriv") and not subprocess.run([*nobody, "true"], check=False).returncode:
        command = [*nobody, *command]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PATH": path, "HOME": "/proc/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (tmp_path / "made").exists(), done.stderr
    assert (tmp_path / ".snakemake/cache/snakemake").is_dir()
    happened("a job runs; Snakemake's cache is in .snakemake")

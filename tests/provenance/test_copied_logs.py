"""Logs in the crate: where on this machine things lie is taken out, and nothing else."""

import pytest
import yaml

import write_crate
from repro.plan import Plan


@pytest.mark.parametrize(
    ("home", "said"),
    [
        ("/home/me", "./data and ~/.netrc"),
        ("/", "./data and /home/me/.netrc"),
        ("", "./data and /home/me/.netrc"),
    ],
)
def test_only_the_working_folder_and_a_home_of_one_s_own_are_taken_out(
    root, tmp_path, monkeypatch, home, said
):
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", home)
    log = tmp_path / config["logs_dir"] / "compare.log"
    log.parent.mkdir()
    log.write_text(f"{tmp_path}/data and /home/me/.netrc")
    pattern = f"{config['logs_dir']}/compare.log"
    (copy,) = write_crate.copy_logs({"compare": pattern}, Plan(config), tmp_path / "kept")
    assert copy == tmp_path / "kept/compare.log"
    assert copy.read_text() == said

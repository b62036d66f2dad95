"""Files, folders and links that are whole or absent."""

import os
from pathlib import Path

import pytest

from repro.system.disk import put_in_place
from repro.system.files import atomic_folder, atomic_path, link


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "table.csv"
    with atomic_path(target) as aside:
        aside.write_text("whole")
        assert aside.parent == target.parent
        assert not target.exists()
        written = aside.stat().st_ino
    assert target.read_text() == "whole"
    # The very file: it was named, not copied, so there is no moment at which half of it is there.
    assert target.stat().st_ino == written
    assert names(target.parent) == ["table.csv"]


def test_who_reads_the_old_file_reads_it_whole(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old and long")
    with target.open() as reader:
        with atomic_path(target) as aside:
            aside.write_text("new")
        assert reader.read() == "old and long"
    assert target.read_text() == "new"


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    target, order = tmp_path / "table.csv", []
    flush, name = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: order.append(os.fstat(handle).st_ino) or flush(handle)
    )
    monkeypatch.setattr(Path, "replace", lambda *paths: order.append("named") or name(*paths))
    with atomic_path(target) as aside:
        aside.write_text("whole")
    assert order == [target.stat().st_ino, "named"]


def test_what_was_fetched_is_named_not_copied(tmp_path):
    part, target = tmp_path / "f.part", tmp_path / "f"
    part.write_text("whole")
    target.write_text("old")
    written = part.stat().st_ino
    put_in_place(part, target)
    assert target.stat().st_ino == written
    assert names(tmp_path) == ["f"]


def test_what_fails_leaves_the_file_as_it_was(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(ValueError, match="midway"), atomic_path(target) as aside:
        aside.write_text("ne")
        raise ValueError("midway")
    assert names(tmp_path) == ["table.csv"]
    assert target.read_text() == "old"


def test_a_file_may_be_read_by_whom_the_umask_lets(tmp_path):
    mask = os.umask(0)
    os.umask(mask)
    with atomic_path(tmp_path / "table.csv") as aside:
        aside.write_text("whole")
    assert (tmp_path / "table.csv").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_folder_takes_its_name_when_it_is_whole(tmp_path):
    target = tmp_path / "images"
    with atomic_folder(target) as aside:
        (aside / "a").write_text("a")
        assert not target.exists()
        written = aside.stat().st_ino
    assert names(tmp_path) == ["images"]
    assert names(target) == ["a"]
    assert target.stat().st_ino == written


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "images"
    for name in ("old", "new"):
        with atomic_folder(target) as aside:
            (aside / name).write_text(name)
    assert names(target) == ["new"]


def test_what_fails_leaves_the_folder_as_it_was(tmp_path):
    target = tmp_path / "images"
    with atomic_folder(target) as aside:
        (aside / "old").write_text("old")
    with pytest.raises(ValueError, match="midway"), atomic_folder(target) as aside:
        (aside / "new").write_text("new")
        raise ValueError("midway")
    assert names(tmp_path) == ["images"]
    assert names(target) == ["old"]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    left = tmp_path / ".images.partial"
    left.mkdir()
    (left / "half").write_text("ha")
    with atomic_folder(tmp_path / "images") as aside:
        (aside / "a").write_text("a")
    assert names(tmp_path / "images") == ["a"]
    assert names(tmp_path) == ["images"]


def test_a_link_between_relative_paths_may_move_with_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/downloads/mnist").mkdir(parents=True)
    (tmp_path / "data/downloads/mnist/f").write_text("f")
    link("data/downloads/mnist/f", "data/fetched/mnist/f")
    (tmp_path / "data").rename(tmp_path / "moved")
    assert (tmp_path / "moved/fetched/mnist/f").read_text() == "f"


def test_a_link_below_a_link_to_a_folder_elsewhere_leads_to_its_file(tmp_path, monkeypatch):
    """As where a working folder stands on another disk."""
    (tmp_path / "other disk/deep/work").mkdir(parents=True)
    (tmp_path / "run/data").mkdir(parents=True)
    (tmp_path / "run/data/f").write_text("f")
    (tmp_path / "run/work").symlink_to(tmp_path / "other disk/deep/work")
    monkeypatch.chdir(tmp_path / "run")
    link("data/f", "work/fetched/f")
    assert (tmp_path / "other disk/deep/work/fetched/f").read_text() == "f"


def test_a_link_replaces_what_is_there(tmp_path):
    (tmp_path / "f").write_text("f")
    (tmp_path / "link").write_text("a file")
    for _ in range(2):
        link(tmp_path / "f", tmp_path / "link")
    assert (tmp_path / "link").samefile(tmp_path / "f")
    assert names(tmp_path) == ["f", "link"]

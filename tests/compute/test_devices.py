import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import torch

from repro.compute import card_slots, devices
from repro.compute.card_slots import take_slot
from repro.compute.devices import choose
from support import ROOT

HOLD = """
import sys, time
from pathlib import Path
from repro.compute.card_slots import take_slot
index, lock = take_slot(sys.argv[2:], Path(sys.argv[1]))
print(index, flush=True)
time.sleep(60)
"""


@pytest.fixture
def hold(tmp_path):
    """Start a process that takes a slot and keeps it; return it and the number of its slot."""
    started = []

    def start(*names):
        child = subprocess.Popen(
            [sys.executable, "-c", HOLD, tmp_path, *names],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        )
        started.append(child)
        return child, int(child.stdout.readline())

    yield start
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.fixture
def two_cards(monkeypatch, tmp_path):
    """Let PyTorch believe in two graphics cards."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"Card {index}")
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"uuid-{index}")
    )
    monkeypatch.setattr(devices, "slot_folder", lambda: tmp_path)
    monkeypatch.setattr(devices, "_held", [])


def test_without_a_gpu_granted_the_cpu_works(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("was asked"))
    assert choose(0) == torch.device("cpu")


def test_without_a_gpu_in_the_machine_the_cpu_works(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level("INFO"):
        assert choose(1) == torch.device("cpu")
    assert "no graphics card that PyTorch can use" in caplog.text


def test_a_card_that_another_job_holds_is_not_chosen(two_cards, hold, caplog):
    assert hold("uuid-0")[1] == 0
    with caplog.at_level("INFO"):
        assert choose(1) == torch.device("cuda", 1)
    assert "working on card 1, Card 1" in caplog.text


def test_a_chosen_card_is_held(two_cards, tmp_path):
    assert choose(1) == torch.device("cuda", 0)
    with pytest.raises(TimeoutError):
        take_slot(["uuid-0"], tmp_path, timeout=0)


def test_jobs_that_run_together_take_different_cards(hold):
    assert {hold("a", "b")[1], hold("a", "b")[1]} == {0, 1}


def test_a_card_is_the_same_under_another_number(hold, tmp_path):
    # As with CUDA_VISIBLE_DEVICES=0,1 in one job and 1,0 in the other.
    assert hold("a", "b")[1] == 0
    index, lock = take_slot(["b", "a"], tmp_path)
    assert index == 0
    lock.release()
    assert hold("b", "a")[1] == 0
    with pytest.raises(TimeoutError, match="all 2 cards are taken"):
        take_slot(["a", "b"], tmp_path, timeout=0)


def test_a_killed_job_gives_its_card_back(hold, tmp_path):
    child, _ = hold("a")
    with pytest.raises(TimeoutError):
        take_slot(["a"], tmp_path, timeout=0)
    child.kill()
    child.wait()
    index, lock = take_slot(["a"], tmp_path, timeout=5)
    assert index == 0
    lock.release()


def test_a_job_waits_for_a_card_and_says_so_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(card_slots, "_POLL_SECONDS", 0.01)
    _, lock = take_slot(["a"], tmp_path)
    threading.Timer(0.3, lock.release).start()
    with caplog.at_level("INFO"):
        index, again = take_slot(["a"], tmp_path, timeout=20)
    assert index == 0
    assert caplog.text.count("all 1 graphics cards are taken by other jobs: waiting") == 1
    again.release()


def test_threads_are_at_least_one():
    before = torch.get_num_threads()
    try:
        devices.set_threads(0)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_freed_memory_is_kept_by_the_c_library(monkeypatch):
    settings = {}
    library = SimpleNamespace(mallopt=settings.__setitem__)
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: library)
    devices.keep_freed_memory()
    # mallopt(3): -1 is M_TRIM_THRESHOLD (never give back), -4 is M_MMAP_MAX (no maps of their own).
    assert settings[-1] == 2**31 - 1
    assert settings[-4] == 0


def test_another_c_library_is_left_alone(monkeypatch):
    def absent(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(devices.ctypes, "CDLL", absent)
    devices.keep_freed_memory()

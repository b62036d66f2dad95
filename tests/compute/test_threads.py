import threading
import time

import pytest
import torch

from repro.compute.threads import map_in_threads


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_results_come_in_order_whoever_is_done_first(workers):
    def work(i):
        time.sleep(0.02 if i % 3 == 0 else 0)
        return i * i

    assert list(map_in_threads(work, range(20), workers)) == [i * i for i in range(20)]


def test_nothing_runs_far_ahead_of_who_takes_the_results():
    begun = []
    results = map_in_threads(begun.append, range(100), 2)
    for _ in range(3):
        next(results)
    time.sleep(0.1)
    assert len(begun) <= 3 + 2 + 2
    results.close()
    assert len(begun) < 100


def test_an_error_reaches_who_takes_the_results_and_stops_the_rest():
    begun = []

    def work(i):
        begun.append(i)
        if i == 3:
            raise ValueError("number three")
        return i

    with pytest.raises(ValueError, match="number three"):
        list(map_in_threads(work, range(100), 2))
    assert len(begun) < 10


def test_work_is_done_side_by_side():
    meeting = threading.Barrier(2, timeout=10)
    assert list(map_in_threads(lambda i: meeting.wait() >= 0, range(2), 2)) == [True, True]


def test_inside_pytorch_uses_one_thread_and_afterwards_as_many_as_before():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert set(map_in_threads(lambda i: torch.get_num_threads(), range(4), 2)) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

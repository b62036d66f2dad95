from concurrent.futures import ThreadPoolExecutor

import pytest

from repro.compute.pool import map_bounded


def test_results_come_in_order_and_never_many_are_begun():
    begun, taken, most = [], [], []

    def work(item):
        begun.append(item)
        return item * item

    with ThreadPoolExecutor(3) as pool:
        for result in map_bounded(pool, work, range(50), 5):
            taken.append(result)
            most.append(len(begun) - len(taken))
    assert taken == [item * item for item in range(50)]
    assert max(most) <= 5


def test_fewer_items_than_may_be_begun_all_come():
    with ThreadPoolExecutor(2) as pool:
        assert list(map_bounded(pool, str, iter([1, 2]), 10)) == ["1", "2"]


def test_a_failure_comes_in_its_turn():
    with ThreadPoolExecutor(2) as pool:
        results = map_bounded(pool, lambda item: 1 // item, [1, 1, 0, 1], 2)
        assert [next(results), next(results)] == [1, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)

"""Work done in threads, each on a piece of its own, with the results in order.

Threads that share one layer's or one step's work wait for the slowest of them after each, thousands
of times a second, and on a busy machine most of the time goes into waiting. Threads with a piece
each do not wait, and a piece's numbers do not depend on how many threads there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

from repro.compute.pool import Item, Result, map_bounded

_AHEAD = 2


def map_in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in order, worked out ahead in ``workers`` threads.

    Inside ``work`` PyTorch uses the calling thread only. Memory stays level however many items
    there are.
    """
    workers = max(1, workers)
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from map_bounded(pool, work, items, workers + _AHEAD)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        # Part of that setting is the process's own, not the thread's.
        torch.set_num_threads(threads)

"""What a run's jobs are at, by a clock of the test's own."""

import os

import pytest

from repro.terminal.jobs import Jobs, in_words


@pytest.fixture
def jobs():
    """Two trainings of typically 100 s and a plot of 10 s, planned at time 1000."""
    found = Jobs({"train_a": 100.0, "plot": 10.0}, clock=lambda: found_at[0])
    found_at = [1000.0]
    found.plan({"train_a": 2, "plot": 1})
    found.wait = lambda seconds: found_at.__setitem__(0, found_at[0] + seconds)
    return found


def test_at_first_it_is_as_long_as_typical_with_two_at_a_time(jobs):
    assert jobs.seconds_left() == pytest.approx((100 + 100 + 10) / 2)


def test_a_slow_machine_has_longer_to_go(jobs):
    jobs.start(1, "train_a", "Train", None)
    jobs.wait(400)
    job, seconds = jobs.end(1)
    assert (job.words, seconds, jobs.done) == ("Train", 400, 1)
    # 100 s of work took 400 s; before, 20 were taken to take 10.
    assert jobs.seconds_left() == pytest.approx(110 * 410 / 120)


def test_a_log_says_how_far_a_job_is_and_an_older_one_nothing(jobs, tmp_path):
    log = tmp_path / "a.log"
    log.write_text("12:00:00 INFO a: epoch 1 of 4: loss 1\n12:00:01 INFO a: epoch 3 of 4: loss 1\n")
    job = jobs.start(1, "train_a", None, [log])
    os.utime(log, (999, 999))
    assert job.amount() is None
    os.utime(log, (1001, 1001))
    assert (job.words, job.amount()) == ("train_a", (3, 4))
    jobs.wait(300)
    # A quarter of its own 400 s, and the others at the pace of 300 s for what it has done.
    assert jobs.seconds_left() == pytest.approx((100 + 110) * (310 / 320))


def test_what_may_take_hours_and_is_nowhere_timed_is_not_guessed(jobs):
    jobs.plan({"features_big": 1, "plot": 1})
    assert jobs.seconds_left() is None
    jobs.plan({"new_plot": 1})
    assert jobs.seconds_left() == pytest.approx(1)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.3, "under 1 s"), (3.4, "3 s"), (42, "40 s"), (100, "2 min"), (6000, "1.7 h")],
)
def test_a_time_in_words(seconds, words):
    assert in_words(seconds) == words

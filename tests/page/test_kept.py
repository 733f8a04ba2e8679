import time

from echodfkd_jax.page.kept import KEPT_ANSWERS, Answer, KeptAnswers

ANSWER = Answer({}, {}, video="a.mp4", curve="a.png", archive="a.zip")


def test_an_answer_is_found_under_its_name_only():
    kept = KeptAnswers()
    name = kept.add(ANSWER)
    assert kept.get(name) is ANSWER
    assert kept.get("another") is None
    assert len(name) >= 16


def test_the_oldest_goes_first():
    kept = KeptAnswers()
    names = [kept.add(ANSWER) for _ in range(KEPT_ANSWERS + 1)]
    assert kept.get(names[0]) is None
    assert all(kept.get(name) for name in names[1:])


def test_after_its_time_it_is_gone():
    kept = KeptAnswers(kept_s=0.05)
    name = kept.add(ANSWER)
    deadline = time.monotonic() + 5
    while kept.get(name) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert kept.get(name) is None

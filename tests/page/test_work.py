from echodfkd_jax.page.archives import different
from echodfkd_jax.page.work import MAX_STEPS, History


def test_steps_are_taken_back_and_made_again():
    history = History()
    assert (history.now, history.can_undo, history.can_redo) == (None, False, False)
    history.keep({"a": 1})
    history.keep({"a": 2})
    history.undo()
    assert (history.now, history.can_undo, history.can_redo) == ({"a": 1}, True, True)
    history.undo()
    history.undo()
    assert (history.now, history.can_undo) == (None, False)
    history.redo()
    history.redo()
    history.redo()
    assert (history.now, history.can_redo) == ({"a": 2}, False)


def test_a_new_step_forgets_what_was_taken_back():
    history = History()
    history.keep({"a": 1})
    history.undo()
    history.keep({"b": 1})
    assert not history.can_redo
    history.undo()
    assert history.now is None


def test_the_same_again_is_no_step():
    history = History()
    history.keep({"a": 1})
    history.keep({"a": 1})
    history.undo()
    assert history.now is None


def test_only_so_many_steps_are_remembered():
    history = History()
    for number in range(MAX_STEPS + 50):
        history.keep(number)
    for _ in range(MAX_STEPS + 50):
        history.undo()
    assert history.now == 49
    assert not history.can_undo


def test_names_of_files_differ():
    assert different(["a", "b", "a", "a_2", "a"]) == ["a", "b", "a_2", "a_2_2", "a_3"]

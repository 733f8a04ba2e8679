import json

from benchmarks import table, timing


def test_spread_of_known_times():
    found = timing.spread([5.0, 1.0, 3.0, 2.0, 4.0])
    assert found == {"median_s": 3.0, "low_s": 2.0, "high_s": 4.0, "repetitions": 5}


def test_functions_are_called_in_turn_and_warm_up_does_not_count():
    calls = []
    times = timing.alternate(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repetitions=2
    )
    assert calls == ["a", "b"] * 3
    assert times["a"]["repetitions"] == 2


def test_the_floor_is_the_slower_of_computing_and_copying():
    peak = {"flops_per_s": 100.0, "bytes_per_s": 10.0}
    assert timing.floor(200.0, 10.0, peak) == 2.0
    assert timing.floor(200.0, 50.0, peak) == 5.0


def test_what_is_printed_is_json_with_the_device(capsys):
    timing.emit("figure", [{"case": "one"}])
    printed = json.loads(capsys.readouterr().out)
    assert printed["rows"] == [{"case": "one"}]
    assert "cores" in printed["device"]


def test_table_shows_the_ratio_to_pytorch():
    quick = {"median_s": 0.5, "low_s": 0.4, "high_s": 0.6}
    slow = {"median_s": 2.0, "low_s": 1.9, "high_s": 2.1}
    rows = [{"case": "a step", "times": {"ours": quick, "torch": slow}, "floor_s": 0.1}]
    found = {"device": "cpu", "date": "d", "commit": "c", "jax": "1", "rows": rows}
    text = table.table({"train_step": found})
    assert "ours 500 ms (400 ms to 600 ms); torch 2.00 s" in text
    assert "0.25 of PyTorch; 5.0 times the floor" in text

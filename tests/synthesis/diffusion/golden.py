"""Numbers of the published systems' schedulers, samplers and rules, recorded on made-up inputs."""

import functools
import json
import pathlib

import numpy as np

TESTDATA = pathlib.Path(__file__).parents[2] / "testdata" / "generative"


@functools.cache
def arrays(name):
    with np.load(TESTDATA / f"{name}.npz") as stored:
        return {
            key: value.astype(np.float32) if value.dtype == np.float16 else value
            for key, value in stored.items()
        }


@functools.cache
def facts(name):
    return json.loads((TESTDATA / f"{name}.json").read_text())


def tolerance(name, array):
    """What the golden array's own rounding allows, ten times over."""
    return facts("tolerances")["arrays"][name][array]["suggested_atol"]


def assert_golden(name, array, found):
    np.testing.assert_allclose(
        found, arrays(name)[array], rtol=0, atol=tolerance(name, array), err_msg=array
    )

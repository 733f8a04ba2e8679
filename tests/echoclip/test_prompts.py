import numpy as np
import pytest

from echodfkd_jax.echoclip.prompts import Prompts, embed_prompts
from echodfkd_jax.errors import UserError


class NotingJudge:
    name = "noting"
    fingerprint = "noting-1"

    def __init__(self):
        self.asked = []

    def embed_images(self, frames):
        raise AssertionError("no images here")

    def embed_texts(self, texts):
        self.asked.append(list(texts))
        return np.zeros((len(texts), 2), np.float32)


def test_the_published_sentences_are_asked_in_order():
    judge = NotingJudge()
    embedded = embed_prompts(judge)
    valve, erasure, fraction = judge.asked
    assert valve == ["THE MITRAL VALVE IS CLOSED", "THE MITRAL VALVE IS OPEN"]
    chambers = ["LEFT VENTRICLE", "LEFT ATRIUM", "RIGHT VENTRICLE", "RIGHT ATRIUM"]
    assert erasure == ["WALL", "NOTHING", *chambers]
    assert list(embedded.erasure) == ["lv", "la", "rv", "ra"]
    assert len(fraction) == 202
    assert fraction[55] == "THE LEFT VENTRICULAR EJECTION FRACTION IS ESTIMATED TO BE 55% "
    assert fraction[101 + 7] == "LV EJECTION FRACTION IS 7%. "
    assert embedded.ejection_fraction_percent[[0, 55, 101, 108]].tolist() == [0, 55, 0, 7]


def test_sentences_can_be_replaced():
    judge = NotingJudge()
    prompts = Prompts(valve_open="OPEN", ejection_fraction=("EF <#>",), right_atrium="")
    assert list(embed_prompts(judge, prompts).erasure) == ["lv", "la", "rv"]
    assert judge.asked[0] == ["THE MITRAL VALVE IS CLOSED", "OPEN"]
    assert judge.asked[2][30] == "EF 30"


def test_a_template_without_a_place_for_the_number_is_refused():
    with pytest.raises(UserError, match=r"'EF' has no <#>"):
        Prompts(ejection_fraction=("EF",))

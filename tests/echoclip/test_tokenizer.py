import pathlib

import numpy as np
import pytest

from echodfkd_jax.echoclip.tokenizer import split_words, tokenize

GOLDEN = pathlib.Path(__file__).parents[1] / "testdata" / "echoclip.npz"


def test_golden_prompts_give_the_reference_tokens():
    golden = np.load(GOLDEN)
    tokens = tokenize([str(prompt) for prompt in golden["prompts"]])
    np.testing.assert_array_equal(tokens, golden["tokens"])


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("", []),
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),  # CLIP's own example prompts
        ("hello world!", [3306, 1002, 256]),
    ],
)
def test_known_texts(text, body):
    row = tokenize([text])[0]
    assert row[: len(body) + 2].tolist() == [49406, *body, 49407]
    assert not row[len(body) + 2 :].any()


def test_case_and_blanks_make_no_difference():
    first, second = tokenize(["LV  Ejection\n fraction ", "lv ejection fraction"])
    np.testing.assert_array_equal(first, second)


def test_a_long_text_keeps_its_end_token():
    row = tokenize(["a " * 100])[0]
    assert row[-3:].tolist() == [320, 320, 49407]


def test_context_length_is_the_length_of_the_rows():
    assert tokenize(["a", "b"], context_length=5).shape == (2, 5)


def test_digits_stand_alone_and_signs_together():
    assert split_words("EF 55%., don't ½é漢") == ["ef", "5", "5", "%.,", "don", "'t", "½", "é漢"]


def test_html_entities_are_resolved():
    assert split_words("a &amp;lt; b") == ["a", "<", "b"]

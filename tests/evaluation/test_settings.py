import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation.settings import EvalSettings, from_section


def test_a_section_becomes_settings():
    assert from_section({"split": "validation"}) == EvalSettings(split="validation")


def test_an_unknown_field_is_named():
    with pytest.raises(UserError, match=r"config\.eval\.spilt is no field.*split"):
        from_section({"spilt": "test"})


@pytest.mark.parametrize(
    ("field", "zero"), [("bootstrap_samples", 0), ("batch_size", 0), ("poll_s", 0.0)]
)
def test_a_zero_is_refused(field, zero):
    with pytest.raises(UserError, match=rf"config\.eval\.{field}=0"):
        from_section({field: zero})

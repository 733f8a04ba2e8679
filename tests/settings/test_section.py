import dataclasses
from typing import ClassVar

import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.settings import SECTIONS, Section, default_config, describe
from echodfkd_jax.settings.section import setting


@dataclasses.dataclass(frozen=True)
class Bread(Section):
    section: ClassVar[str] = "bread"

    salt: float = setting(0.1, "of the flour", least=0, most=1, off=True, resumable=True)
    flour: str = setting("rye", "kind", choices=("rye", "wheat"))


def test_a_section_becomes_settings():
    assert Bread.of({"flour": "wheat"}) == Bread(0.1, "wheat")


def test_an_unknown_field_is_named():
    with pytest.raises(UserError, match=r"config\.bread\.sald is no field; known: salt, flour"):
        Bread.of({"sald": 1})


@pytest.mark.parametrize("salt", [-0.1, 1.1, float("nan")])
def test_a_value_beyond_its_limits_is_refused(salt):
    with pytest.raises(UserError, match=r"config\.bread\.salt=.*: expected 0 \(off\) to 1"):
        Bread(salt=salt)


def test_a_value_that_is_no_choice_is_refused():
    with pytest.raises(UserError, match=r"flour='oat': expected 'rye' or 'wheat'"):
        Bread(flour="oat")


def test_fields_say_whether_a_run_may_be_continued_with_another_value():
    assert Bread.resumable() == {"bread.salt"}


def test_defaults_are_accepted_and_described():
    config, text = default_config(), describe()
    for section in SECTIONS:
        fields = {k: v for k, v in config[section.section].items() if k != "prompts"}
        section.of(fields)
        assert all(f"  {name}=" in text for name in fields)

import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.settings import EvalSettings


@pytest.mark.parametrize(
    ("field", "zero"), [("bootstrap_samples", 0), ("batch_size", 0), ("poll_s", 0.0)]
)
def test_a_zero_is_refused(field, zero):
    with pytest.raises(UserError, match=rf"config\.eval\.{field}=0"):
        EvalSettings.of({field: zero})

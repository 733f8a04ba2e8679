import pytest

from configs import synthetic, teacher
from echodfkd_jax.errors import UserError
from echodfkd_jax.runs import run_config


def _config(workdir, get_config=synthetic.get_config, **changes):
    config = get_config()
    config.workdir = str(workdir)
    config.update_from_flattened_dict(changes)
    return config


@pytest.mark.parametrize("get_config", [synthetic.get_config, teacher.get_config])
def test_saved_and_loaded_is_the_same_run(tmp_path, get_config):
    config = _config(tmp_path / "new", get_config)
    run_config.save(config)
    run_config.check_same(config, run_config.load(config.workdir))


def test_another_model_names_the_field_and_both_values(tmp_path):
    run_config.save(_config(tmp_path))
    config = _config(tmp_path, **{"model.blocks": 4})
    with pytest.raises(
        UserError, match=r"config\.model\.blocks=4, but .* was trained with 3; .*config\.workdir"
    ):
        run_config.check_same(config, run_config.load(tmp_path))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("train.num_epochs", 99),
        ("train.patience", 3),
        ("train.log_every_steps", 1),
        ("parallel.mode", "pmap"),
        ("dataset.data_dir", "/elsewhere"),
        ("eval.split", "validation"),
    ],
)
def test_what_does_not_decide_the_weights_may_change(tmp_path, field, value):
    constant = {"train.schedule": "constant"}
    run_config.save(_config(tmp_path, **constant))
    changed = _config(tmp_path, **constant, **{field: value})
    run_config.check_same(changed, run_config.load(tmp_path))


def test_epochs_are_fixed_where_the_schedule_depends_on_them(tmp_path):
    run_config.save(_config(tmp_path, **{"train.schedule": "cosine"}))
    changed = _config(tmp_path, **{"train.schedule": "cosine", "train.num_epochs": 99})
    with pytest.raises(UserError, match=r"config\.train\.num_epochs=99"):
        run_config.check_same(changed, run_config.load(tmp_path))


def test_missing_and_unreadable_file(tmp_path):
    with pytest.raises(UserError, match=r"config\.json is missing; run --stage=train first"):
        run_config.load(tmp_path)
    (tmp_path / "config.json").write_text('{"seed": ')
    with pytest.raises(UserError, match=r"config\.json: cannot be read"):
        run_config.load(tmp_path)


@pytest.mark.parametrize(("field", "said"), [("dtype", "lacks"), ("subsampling", "has")])
def test_a_run_of_another_version_is_refused(tmp_path, field, said):
    """A field that the run has not, or under another name."""
    config = _config(tmp_path).unlock()
    value = config.model[field]
    del config.model[field]
    if said == "has":
        config.model["a_former_name"], field = value, "a_former_name"
    run_config.save(config)
    with pytest.raises(UserError, match=rf"{said} config\.model\.{field}: another version of"):
        run_config.check_same(_config(tmp_path), run_config.load(tmp_path))


def test_another_network_is_named_before_its_fields(tmp_path):
    run_config.save(_config(tmp_path, **{"model": {"name": "unet", "channels": (2, 4)}}))
    with pytest.raises(UserError, match=r"config\.model\.name='convlstm', but .* with 'unet'"):
        run_config.check_same(_config(tmp_path), run_config.load(tmp_path))

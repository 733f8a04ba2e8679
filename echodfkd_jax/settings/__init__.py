"""The configuration: one dataclass per section, and all of them together with their defaults."""

import dataclasses

import ml_collections

from echodfkd_jax.masks import LV_ALONE
from echodfkd_jax.settings.experiment import (
    DatasetSettings,
    EvalSettings,
    JudgeSettings,
    ModelSettings,
    ReportSettings,
    SweepSettings,
    TeacherSettings,
)
from echodfkd_jax.settings.generation import GenerateSettings, GeneratorSettings, is_generator
from echodfkd_jax.settings.prompts import Prompts
from echodfkd_jax.settings.section import Section
from echodfkd_jax.settings.training import (
    AugmentSettings,
    InputSettings,
    ParallelSettings,
    TrainSettings,
    check_seed,
)
from echodfkd_jax.settings.use import (
    ExportSettings,
    ImportStudentSettings,
    PredictSettings,
    ServeSettings,
    StudentSettings,
)

SECTIONS: tuple[type[Section], ...] = (
    DatasetSettings,
    TeacherSettings,
    ModelSettings,
    InputSettings,
    AugmentSettings,
    TrainSettings,
    GeneratorSettings,
    ParallelSettings,
    GenerateSettings,
    EvalSettings,
    JudgeSettings,
    ReportSettings,
    SweepSettings,
    StudentSettings,
    PredictSettings,
    ServeSettings,
    ExportSettings,
    ImportStudentSettings,
)

__all__ = [
    "SECTIONS",
    "AugmentSettings",
    "DatasetSettings",
    "EvalSettings",
    "ExportSettings",
    "GenerateSettings",
    "GeneratorSettings",
    "ImportStudentSettings",
    "InputSettings",
    "JudgeSettings",
    "ModelSettings",
    "ParallelSettings",
    "PredictSettings",
    "Prompts",
    "ReportSettings",
    "Section",
    "ServeSettings",
    "StudentSettings",
    "SweepSettings",
    "TeacherSettings",
    "TrainSettings",
    "check_seed",
    "default_config",
    "describe",
    "is_generator",
]


def default_config() -> ml_collections.ConfigDict:
    """A configuration in which nothing differs from the defaults; a config file changes some."""
    config = ml_collections.ConfigDict()
    config.workdir = "."
    config.structures = LV_ALONE  # What is outlined, "lv" first; one network for all of them.
    config.seed = 0  # Initial weights, order of the clips, windows; the data set has its own.
    for section in SECTIONS:
        fields = dataclasses.asdict(section())
        config[section.section] = ml_collections.ConfigDict(fields)
    prompts = dataclasses.asdict(Prompts())
    del prompts["ejection_fraction_percent"]
    config.judge.prompts = ml_collections.ConfigDict(prompts)
    return config


def describe() -> str:
    """Every field with its default and its meaning, as text."""
    lines = [
        "config.workdir and config.seed: where everything is written; of weights and order.",
        "config.structures=('lv',): what is outlined, 'lv' first; the generator also knows "
        "lv_myocardium, la, rv, ra.",
    ]
    for section in SECTIONS:
        lines += ["", f"config.{section.section}: {(section.__doc__ or '').splitlines()[0]}"]
        lines += [
            f"  {field.name}={field.default!r}: {field.metadata['doc']}"
            for field in dataclasses.fields(section)
        ]
    return "\n".join(lines)

"""The tfds face of a recipe."""

import dataclasses
from typing import Any

import tensorflow_datasets as tfds

from echodfkd_jax.datasets import recipe as recipes


@dataclasses.dataclass(eq=False)
class EchoClipsConfig(tfds.core.BuilderConfig):
    """A registered recipe, or one that differs from it.

    On the command line: `tfds build --config='{"name": "synthetic", "parameters": {"seed": 1}}'`.

    Attributes:
        name: of a registered recipe; becomes the name of the recipe that results.
        parameters: fields of `config.dataset` that differ from the registered ones.
        teacher: `config.teacher`; empty: the registered recipe's teacher.
        recipe: what results.
    """

    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    teacher: dict[str, Any] = dataclasses.field(default_factory=dict)
    recipe: recipes.Recipe = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        asked = {**self.parameters, "name": self.name}
        self.name, self.recipe = recipes.resolve(asked, self.teacher)
        self.description = self.description or f"Clips from {self.recipe.source}."

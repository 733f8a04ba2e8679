"""All clips of an evaluation, scored one after the other; no clip is kept in memory."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from echodfkd_jax.evaluation import evaluator, files, ranking, summary
from echodfkd_jax.evaluation.evaluator import Evaluator, ScoredClip
from echodfkd_jax.masks import LV, LV_ALONE, Structures
from echodfkd_jax.types import Clip, Clips, NamedMasks

# What ranks the clips for the report, the first that the clips have.
RANKED_BY = ("dice/student_vs_teacher", "dice/student_vs_reference")

Predict = Callable[[Sequence[Clip]], list[NamedMasks]]


class Scores:
    """What the evaluators found of every clip.

    Attributes:
        structures: that the student outlines.
        curves: of every clip its name and the areas of its masks, by model; of other structures
            than the left ventricle by `<model>_<structure>`.
    """

    def __init__(
        self,
        clips: Clips,
        predict: Predict,
        masks_of: Callable[[Clip], dict[str, NamedMasks]],
        evaluators: Mapping[str, Evaluator],
        *,
        batch_size: int,
    ) -> None:
        """Scores all clips.

        Args:
            clips: those that can be used.
            predict: gives the student's masks of some clips.
            masks_of: gives those of all other models of a clip.
            evaluators: by name.
            batch_size: clips of equal shape that are predicted at once.

        Raises:
            UserError: two evaluators use the same name for what they find.
        """
        self._clips, self._predict, self._masks_of = clips, predict, masks_of
        self._evaluators = evaluators
        self._metadata: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []
        self._models: dict[str, None] = {}
        self.structures: Structures = LV_ALONE
        self.curves: list[tuple[str, Mapping[str, Any]]] = []
        with tqdm.tqdm(total=len(clips), desc="evaluating", unit="clip") as bar:
            for batch in batches(clips, batch_size):
                for clip, mask in zip(batch, predict(batch)):
                    self._add(ScoredClip(clip, {"student": mask} | masks_of(clip)))
                    bar.update()

    @functools.cached_property
    def ranked_by(self) -> str:
        """The metric by which clips are best or worst."""
        for metric in RANKED_BY:
            if not np.isnan(summary.column(self._found, metric)).all():
                return metric
        return RANKED_BY[0]

    def summarise(self, *, num_samples: int, seed: int) -> dict[str, Any]:
        """Numbers per clip and over all clips, as metrics.json has them.

        Args:
            num_samples: of the bootstrap.
            seed: of the bootstrap.
        """
        bootstrap = {"num_samples": num_samples, "seed": seed}
        models = list(self._models)
        sources = [metadata["phase_frames"] for metadata in self._metadata]
        metrics = [evaluator.metrics_of(found) for found in self._found]
        sections: dict[str, Any] = {
            **summary.summarise(metrics, **bootstrap),
            "correlation": {},
            "reliability": {},
        }
        for one in self._evaluators.values():
            for section, entries in one.summarise(self._found, models=models, **bootstrap).items():
                sections[section] = {**sections.get(section, {}), **entries}
        return {
            "num_clips": len(self._metadata),
            "phase_frames": {source: sources.count(source) for source in sorted(set(sources))},
            **sections,
            "per_clip": [metadata | numbers for metadata, numbers in zip(self._metadata, metrics)],
        }

    def shown(self, count: int) -> Iterator[files.ShownClip]:
        """The best, median and worst clips; they are read and predicted once more."""
        scores = summary.column(self._found, self.ranked_by)
        for index, rank in ranking.best_median_worst(scores, count):
            clip = self._clips[index]
            masks = {"student": self._predict([clip])[0]} | self._masks_of(clip)
            outlines = ScoredClip(clip, masks).structures
            yield files.ShownClip(
                name=clip.name,
                rank=rank,
                fps=clip.fps,
                ed_frame=self._metadata[index]["ed_frame"],
                es_frame=self._metadata[index]["es_frame"],
                frames=clip.frames,
                masks={structure: found.masks for structure, found in outlines.items()},
                references={structure: found.reference for structure, found in outlines.items()},
            )

    def _add(self, scored: ScoredClip) -> None:
        clip, frames = scored.clip, scored.phase_frames
        self._metadata.append(
            {
                "name": clip.name,
                "num_frames": len(clip.frames),
                "fps": clip.fps,
                "ed_frame": frames.ed,
                "es_frame": frames.es,
                "phase_frames": frames.source,
            }
        )
        self._found.append(evaluator.find_all(self._evaluators, scored))
        self._models |= dict.fromkeys(scored.masks)
        self.structures = tuple(scored.structures)
        areas = {
            area_name(structure, model): area
            for structure, outlines in scored.structures.items()
            for model, area in outlines.areas_px.items()
        }
        self.curves.append((clip.name, areas))


def area_name(structure: str, model: str) -> str:
    """What the areas of a model's masks are called in frames.csv."""
    return model if structure == LV else f"{model}_{structure}"


def batches(clips: Clips, size: int) -> Iterator[list[Clip]]:
    """Neighbours of equal shape, at most `size` of them."""
    batch: list[Clip] = []
    for index in range(len(clips)):
        clip = clips[index]
        if batch and (len(batch) == size or batch[0].frames.shape != clip.frames.shape):
            yield batch
            batch = []
        batch.append(clip)
    if batch:
        yield batch

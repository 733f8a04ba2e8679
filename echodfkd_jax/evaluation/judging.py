"""The auxiliary judge's part of an evaluation; `config.judge` says which, and what it is asked."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from echodfkd_jax import buckets, files
from echodfkd_jax.echoclip import agreement, load_judge
from echodfkd_jax.echoclip.judge import Judge
from echodfkd_jax.echoclip.prompts import embed_prompts
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import summary
from echodfkd_jax.evaluation.evaluator import Evaluator, Found, Group, ScoredClip
from echodfkd_jax.masks import name_in
from echodfkd_jax.measurement import phase
from echodfkd_jax.settings import JudgeSettings, Prompts
from echodfkd_jax.types import SoftMask

JUDGE = "judge"  # Its name among the evaluators.
_ESTIMATE = {"ed": phase.estimate_ed, "es": phase.estimate_es}


class Judging(Evaluator):
    """Agreement with a judge.

    Attributes:
        judge: the image-text model.
    """

    def __init__(
        self,
        judge: Judge,
        prompts: Prompts,
        *,
        cache_dir: epath.Path,
        erasure_step_frames: int,
    ) -> None:
        """Embeds the sentences.

        Args:
            judge: the image-text model.
            prompts: what it is asked.
            cache_dir: where embeddings of clips are kept.
            erasure_step_frames: erasure scores look at every so many frames.
        """
        self.judge = judge
        self.identity = {
            "judge": judge.fingerprint,
            "prompts": dataclasses.asdict(prompts),
            "erasure_step_frames": erasure_step_frames,
        }
        name = judge.name
        self.groups = (
            Group(
                f"Agreement with {name}",
                "Phases in frames from the judge's; erasure scores rise when the mask covers the "
                "chamber. rank/: agreement of its verdicts with the tracings over clips.",
                ("mean", "correlation"),
                (f"*/{name}", f"*/{name}_vs_*", f"*_vs_{name}*", "*erasure*/*", "*rank/*"),
            ),
        )
        self._prompts = embed_prompts(judge, prompts)
        self._cache_dir, self._step = cache_dir, erasure_step_frames

    def clip(self, scored: ScoredClip) -> dict[str, float]:
        """The judge's metrics of one clip, see `agreement.agreement`."""
        return agreement.agreement(
            self.judge,
            self._prompts,
            scored.clip.frames,
            scored.lv.masks,
            find_frame=_find_frame,
            others={name: scored.structures[name].masks for name in scored.structures},
            cache_dir=self._cache_dir,
            erasure_step_frames=self._step,
        )

    def summarise(
        self, found: Sequence[Found], *, models: Sequence[str], num_samples: int, seed: int
    ) -> Mapping[str, Mapping[str, Any]]:
        """Ejection fractions linearly, verdicts against the references by rank."""
        bootstrap = {"num_samples": num_samples, "seed": seed}
        linear = agreement.linear_pairs(self.judge.name, models)
        correlation = summary.correlate(found, linear, **bootstrap)
        seen = [
            structure
            for structure in self._prompts.erasure
            if any(name_in(structure, "erasure/no_mask") in clip for clip in found)
        ]
        for name, pair in agreement.rank_pairs(self.judge.name, models, seen).items():
            ranked = agreement.rank_both(found, *pair)
            correlation |= summary.correlate(ranked, {name: pair}, **bootstrap)
        return {"correlation": correlation}


def open_judging(section: Mapping[str, Any], workdir: files.PathLike) -> Judging | None:
    """The judge of `config.judge`; None, after one line that says why, if there is none.

    Args:
        section: `name` (empty: none), `weights`, `dtype`, `batch_size`, `cache_dir` (empty:
            `<workdir>/judge_cache`), `erasure_step_frames` and `prompts` (fields of `Prompts`); for
            a class of one's own, `options` for its constructor.
        workdir: the run's.

    Raises:
        UserError: a template without a place for the number.
    """
    settings = JudgeSettings.of(
        {key: value for key, value in section.items() if key not in ("prompts", "options")}
    )
    name = settings.name
    if not name:
        print("auxiliary judge: skipped, config.judge.name is empty (set it to 'echoclip')")
        return None
    options: dict[str, Any] = {
        "weights": settings.weights and str(buckets.local_copy(settings.weights)),
        "dtype": settings.dtype,
        "batch_size": settings.batch_size,
    }
    if ":" in name:
        options = dict(section.get("options", {}))
    sentences: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list | tuple) else value
        for key, value in section["prompts"].items()
    }
    prompts = Prompts(**sentences)
    try:
        judge = load_judge(name, **options)
    except UserError as error:
        print(f"auxiliary judge: skipped, {error}")
        return None
    return Judging(
        judge,
        prompts,
        cache_dir=files.path_of(settings.cache_dir or files.path_of(workdir) / "judge_cache"),
        erasure_step_frames=settings.erasure_step_frames,
    )


def _find_frame(mask: SoftMask, name: str, reference_frame: int) -> int:
    return _ESTIMATE[name](phase.area_px(mask), reference_frame)

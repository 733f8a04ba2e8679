"""The auxiliary judge's part of an evaluation: agreement of the models with EchoCLIP."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from echodfkd_jax import buckets, files
from echodfkd_jax.echoclip import agreement, load_judge
from echodfkd_jax.echoclip.judge import Judge
from echodfkd_jax.echoclip.prompts import PromptEmbeddings, embed_prompts
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import summary
from echodfkd_jax.measurement import phase
from echodfkd_jax.settings import JudgeSettings, Prompts
from echodfkd_jax.types import Clip, SoftMask

_ESTIMATE = {"ed": phase.estimate_ed, "es": phase.estimate_es}


@dataclasses.dataclass(frozen=True)
class Judging:
    """A judge with what it is asked.

    Attributes:
        judge: the image-text model.
        prompts: its embeddings of the sentences.
        cache_dir: where embeddings of clips are kept.
        erasure_step_frames: erasure scores look at every so many frames.
        identity: everything that its numbers depend on, besides clips and masks.
    """

    judge: Judge
    prompts: PromptEmbeddings
    cache_dir: epath.Path
    erasure_step_frames: int
    identity: dict[str, Any]

    def numbers(self, clip: Clip, masks: Mapping[str, SoftMask]) -> dict[str, float]:
        """The judge's metrics of one clip."""
        return agreement.agreement(
            self.judge,
            self.prompts,
            clip.frames,
            masks,
            find_frame=_find_frame,
            cache_dir=self.cache_dir,
            erasure_step_frames=self.erasure_step_frames,
        )

    def correlations(
        self, clips: Sequence[Mapping[str, float]], models: Sequence[str], **bootstrap: int
    ) -> dict[str, Any]:
        """Ejection fractions linearly, verdicts against the references by rank."""
        found = summary.correlate(
            clips, agreement.linear_pairs(self.judge.name, models), **bootstrap
        )
        for name, pair in agreement.rank_pairs(self.judge.name, models).items():
            ranked = agreement.rank_both(clips, *pair)
            found |= summary.correlate(ranked, {name: pair}, **bootstrap)
        return found


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
    sentences = {
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
        judge=judge,
        prompts=embed_prompts(judge, prompts),
        cache_dir=files.path_of(settings.cache_dir or files.path_of(workdir) / "judge_cache"),
        erasure_step_frames=settings.erasure_step_frames,
        identity={
            "judge": judge.fingerprint,
            "prompts": dataclasses.asdict(prompts),
            "erasure_step_frames": settings.erasure_step_frames,
        },
    )


def _find_frame(mask: SoftMask, name: str, reference_frame: int) -> int:
    return _ESTIMATE[name](phase.area_px(mask), reference_frame)

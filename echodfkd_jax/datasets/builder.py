"""tfds builder of labelled echocardiogram clips; `data/README.md` tells how to use it.

A `ShardBasedBuilder`: tfds' ordinary writer needs TensorFlow for a split of more than 1 GB, this
one never does, and each of its shards can be made by another worker.
"""

import contextlib
import fcntl
import json
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm
from etils import epath
from tensorflow_datasets.core.utils.py_utils import classproperty

from echodfkd_jax import files
from echodfkd_jax.datasets import labels, sources
from echodfkd_jax.datasets import recipe as recipes
from echodfkd_jax.datasets.builder_config import EchoClipsConfig
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE

# tfds buffers the raw clips of one shard: 32 clips of 192 frames are 230 MB.
CLIPS_PER_SHARD = 32
REPORT_NAME = "prepare_report.json"

_CONFIGS = {name: EchoClipsConfig(name=name) for name in recipes.REGISTERED}


class Builder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Clips, soft teacher masks, and what else is known of them.

    Attributes:
        teacher_options: `config.teacher` with the paths of its weights; None: as the recipe says,
            weights looked for in `manual_dir`.
    """

    name = recipes.DATASET
    # README.md, CITATIONS.bib and TAGS.txt of the data set.
    pkg_dir_path = epath.Path(__file__).parent

    VERSION = tfds.core.Version(recipes.VERSION)
    RELEASE_NOTES = {recipes.VERSION: "First release."}  # noqa: RUF012
    # A bare `tfds build` makes every configuration in this list; the others are made by name.
    BUILDER_CONFIGS = [_CONFIGS["synthetic"]]  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "echonet_dynamic, echonet_synthetic, camus and folder read clips from manual_dir; "
        "data/README.md of the project tells which files go where."
    )

    builder_config: EchoClipsConfig  # tfds allows None, where a class has no configurations.
    teacher_options: Mapping[str, Any] | None = None

    def __init__(self, *, file_format: str | None = "array_record", **kwargs: Any) -> None:
        super().__init__(file_format=file_format, **kwargs)
        self._bar: _Bar | None = None

    @classproperty
    @classmethod
    def builder_configs(cls) -> dict[str, EchoClipsConfig]:
        """Every configuration that has a name."""
        return _CONFIGS

    @property
    def labels_dir(self) -> pathlib.Path:
        """Where labels are kept until the data set is complete."""
        folder = pathlib.Path(self.data_dir_root) / recipes.DATASET / ".labels"
        return folder / self.builder_config.name

    def download_and_prepare(self, **kwargs: Any) -> None:
        """Makes the data set, or does nothing if it is there; an interrupted build is continued.

        Raises:
            UserError: another process is making the same data set, the clips or the teacher are
                missing, or a split would be empty.
        """
        if files.is_bucket(self.data_dir_root):
            raise UserError(
                f"{self.data_dir_root}: ArrayRecord is written to a local folder; use "
                "--stage=prepare, which brings it to the bucket"
            )
        if self.is_prepared():
            super().download_and_prepare(**kwargs)
            return
        with _only_one(self.labels_dir):
            if self.is_prepared():  # By the process that held the lock a moment ago.
                return
            _choose_runner(kwargs.get("download_config"))
            for left_over in self.data_path.parent.glob(f"incomplete.*_{recipes.VERSION}"):
                shutil.rmtree(left_over)
            try:
                super().download_and_prepare(**kwargs)
            finally:
                if self._bar is not None:
                    self._bar.close()
            shutil.rmtree(self.labels_dir, ignore_errors=True)

    def _info(self) -> tfds.core.DatasetInfo:
        recipe, frame = self.builder_config.recipe, (None, *[sources.FRAME_SIZE_PX] * 2)
        raw = tfds.features.Encoding.BYTES
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "clip_id": tfds.features.Text(),
                    "frames": tfds.features.Tensor(shape=(*frame, 1), dtype=np.uint8, encoding=raw),
                    "teacher_mask": tfds.features.Tensor(
                        shape=(*frame, len(recipe.structures)), dtype=np.uint8, encoding=raw
                    ),
                    "reference_masks": tfds.features.Tensor(
                        shape=(*frame, len(recipe.reference_structures)),
                        dtype=np.uint8,
                        encoding=raw,
                    ),
                    "reference_frames": tfds.features.Tensor(
                        shape=(None,), dtype=np.int32, encoding=raw
                    ),
                    "fps": np.float32,
                    "ef": np.float32,
                    "edv": np.float32,
                    "esv": np.float32,
                    "ed_frame": np.int32,
                    "es_frame": np.int32,
                }
            ),
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Sequence[Callable[[], Iterator[labels.KeyExample]]]]:
        recipe = self.builder_config.recipe
        folder = None if recipe.is_generated else _manual_dir(dl_manager, needed=not recipe.is_own)
        options = self.teacher_options or self.builder_config.teacher or json.loads(recipe.teacher)
        teacher = labels.LazyTeacher.from_options(options, folder)
        # Masks that come with the clips are of the left ventricle alone.
        mask_folder = teacher.mask_folder if recipe.structures == LV_ALONE else None
        clips = sources.open_source(recipe, folder, mask_folder)
        identities = {"teacher": teacher.fingerprint, **clips.identities}
        assert self.info.metadata is not None  # `_info` gives them.
        self.info.metadata.update(recipe=recipe.to_json(), **identities)
        cache = labels.LabelCache.for_identities(self.labels_dir, identities)
        lengths = {split: len(clips.splits[split]) for split in recipes.SPLITS}
        for split, length in lengths.items():
            if not length:
                raise UserError(
                    f"{folder}: no usable clip for the split {split}, and every split needs one; "
                    f"{clips.summary}"
                )
        self._write_report(lengths, identities, clips.report)
        total = sum(lengths.values())
        self._bar = _Bar(total)
        return {
            split: [
                labels.LabelledShard(part, teacher, cache, recipe, self._bar.update)
                for part in clips.splits[split].cut(CLIPS_PER_SHARD)
            ]
            for split in recipes.SPLITS
        }

    def _write_report(
        self,
        lengths: Mapping[str, int],
        identities: Mapping[str, str],
        layout: Mapping[str, Any] | None,
    ) -> None:
        """Puts the report beside the shards; both are moved into place together."""
        report = {
            "dataset": f"{recipes.DATASET}/{self.builder_config.name}/{recipes.VERSION}",
            "recipe": self.builder_config.recipe.to_json(),
            **identities,
            "num_clips": dict(lengths),
            "layout": layout,
        }
        path = pathlib.Path(self.data_dir) / REPORT_NAME
        files.write_json(path, report, indent=2)


class _Bar:
    """A progress bar; its copies in other worker processes show nothing."""

    def __init__(self, total: int) -> None:
        self._shown: tqdm.tqdm | None = tqdm.tqdm(
            total=total, desc="labelling", unit="clip", smoothing=0.1
        )

    def update(self) -> None:
        """One clip more."""
        if self._shown is not None:
            self._shown.update()

    def close(self) -> None:
        """Leaves the bar as it is."""
        if self._shown is not None:
            self._shown.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"_shown": None}


def _choose_runner(download: tfds.download.DownloadConfig | None) -> None:
    """Beam's options mean that Beam is wanted: tfds makes shards one by one without a runner.

    `tfds build --beam_pipeline_options=...` sets the options and no runner (tfds 4.9.10).
    """
    if download is None or download.beam_options is None or download.beam_runner is not None:
        return
    from apache_beam.options.pipeline_options import StandardOptions

    asked = download.beam_options.view_as(StandardOptions).runner
    download.beam_runner = asked or "DirectRunner"


def _manual_dir(manager: tfds.download.DownloadManager, *, needed: bool) -> pathlib.Path | None:
    """The folder of recorded clips; None where there is none and none is needed."""
    try:
        return pathlib.Path(manager.manual_dir)
    except AssertionError:  # tfds: the folder does not exist.
        if needed:
            raise
        return None


@contextlib.contextmanager
def _only_one(folder: pathlib.Path) -> Iterator[None]:
    """Holds a lock beside `folder`; the system lets it go however the process ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_suffix(".lock")
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{path}: another process is preparing this data set; wait for it, or end it"
            ) from error
        try:
            yield
        finally:
            path.unlink()

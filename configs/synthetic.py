"""Data-free distillation from the built-in generator: no clip, no label, no account needed.

    python main.py --config=configs/synthetic.py             all stages, about 13 minutes on 2 cores
    python main.py --config=configs/synthetic.py:smoke       the same in less than two minutes
    python main.py --config=configs/synthetic.py:paper       the published recipe's size; a GPU

Any field can be set on the command line, for example `--config.train.learning_rate=3e-4`, and one
stage run alone with `--stage=prepare`, `train`, `evaluate` or `report`. The same command again
continues a run that was cut short and skips what is done. Results are in `config.workdir`.

The published recipe (Petit et al., arXiv 2409.07566): Adam 1e-3, batches of 32 windows of 25
consecutive frames, at most 350 epochs, stop after 10 epochs without a better validation loss.
"""

import dataclasses

import ml_collections

from echodfkd_jax.echoclip.prompts import Prompts

MODES = ("", "smoke", "paper")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Returns the configuration.

    Args:
        arg: what follows the colon in `--config=configs/synthetic.py:arg`; one of `MODES`.

    Raises:
        ValueError: `arg` is not one of `MODES`.
    """
    if arg not in MODES:
        raise ValueError(f"mode {arg!r} is unknown; write :smoke, :paper, or nothing")
    config = ml_collections.ConfigDict()
    config.workdir = f"runs/synthetic_{arg}" if arg else "runs/synthetic"
    # Initial weights, order of the clips, windows. The data set has a seed of its own.
    config.seed = 0

    config.dataset = ml_collections.ConfigDict()
    config.dataset.name = "synthetic"
    config.dataset.data_dir = ""  # empty: tfds' own default, ~/tensorflow_datasets
    config.dataset.num_train = 400
    config.dataset.num_validation = 40
    config.dataset.num_test = 100
    config.dataset.num_frames = 64
    config.dataset.seed = 0

    config.teacher = ml_collections.ConfigDict()
    config.teacher.name = "unet"
    config.teacher.weights = ""  # empty: the weights that are shipped

    config.model = ml_collections.ConfigDict()
    config.model.name = "convlstm"
    config.model.blocks = 3  # k of the paper, 1 to 4
    config.model.layers = 1  # n of the paper, 1 to 4
    config.model.filters = 12
    config.model.normalise = True  # False as published
    config.model.skips = True  # False as published
    config.model.warmup = 3  # looks at the first frame before a clip begins; 0 as published
    config.model.stride = 2  # 2: half the resolution each way, a quarter of the work
    # Of the products; weights, statistics and loss stay float32. "auto": bfloat16 on TPU and GPU.
    config.model.dtype = "auto"
    config.model.remat = False  # True: compute again instead of keep; less memory, slower

    config.input = ml_collections.ConfigDict()
    config.input.source = "dataset"  # or "generator": endless clips, made on the device
    config.input.target = "teacher"  # or "reference": the exact masks of generated clips
    config.input.window_frames = 25
    config.input.num_threads = 2
    config.input.cache_gib = 4.0  # decoded clips kept in memory, at most

    # Random changes of the training clips, made on the device; 0 (and a stride of 1): off.
    config.augment = ml_collections.ConfigDict()
    config.augment.gain = 0.5  # brightness times 2^-gain to 2^gain
    config.augment.gamma = 0.5  # grey values to the power of 2^-gamma to 2^gamma
    config.augment.veil = 0.0  # white laid over the sector, at most
    config.augment.speckle = 0.5  # deviation of noise that multiplies, at most
    config.augment.blur_px = 2.0  # deviation of the blur, at most
    config.augment.shift = 0.0  # parts of the frame's side, at most
    config.augment.rotation_degrees = 0.0  # each way, at most
    config.augment.scale = 0.0  # size times 2^-scale to 2^scale; larger ones are cropped
    config.augment.max_stride = 1  # every 1st to max_stride-th frame
    config.augment.still = 0.0  # share of the clips of which one frame stands still
    config.augment.sector_degrees = 0.0  # of a sector of 90, blacked out on each side, at most

    config.train = ml_collections.ConfigDict()
    config.train.batch_size = 4  # over all devices
    config.train.accumulate_steps = 1  # parts of a batch that is too large for the memory
    config.train.sync_batch_norm = True  # False: statistics of each device by itself
    config.train.num_epochs = 7
    config.train.steps_per_epoch = 0  # 0: one pass over the training clips
    config.train.loss = "bce"  # as published; "dice", or their sum "bce_dice"
    config.train.learning_rate = 3e-3
    config.train.schedule = "cosine"  # down to 0 at the last step; or "constant"
    config.train.warmup_steps = 20
    config.train.clip_norm = 1.0  # 0: off
    config.train.patience = 10  # epochs without a better validation loss; 0: never stop early
    config.train.keep_checkpoints = 2  # the latest ones, besides the best
    config.train.checkpoint_every_steps = 0  # 0: at the end of an epoch, and when told to stop
    config.train.log_every_steps = 10
    config.train.image_every_epochs = 2  # 0: no images

    config.parallel = ml_collections.ConfigDict()
    config.parallel.mode = "jit"  # or "pmap"
    config.parallel.coordinator = ""  # several hosts: "auto" or HOST:PORT, see docs/launching.md
    config.parallel.num_processes = 1  # with HOST:PORT
    config.parallel.process_id = 0  # with HOST:PORT

    config.eval = ml_collections.ConfigDict()
    config.eval.checkpoint = "best"  # or "latest", or a step
    config.eval.weights = ""  # instead of the run's: a file, or the shipped "best" or "small"
    config.eval.split = "test"
    config.eval.clips_dir = ""  # a folder in the EchoNet layout, instead of the split
    config.eval.bootstrap_samples = 1000
    config.eval.seed = 0  # of the bootstrap
    config.eval.batch_size = 4
    config.eval.watch = False  # True: score every checkpoint until training has ended
    config.eval.poll_s = 5.0

    # An image-text model that scores masks and phases without human labels.
    config.judge = ml_collections.ConfigDict()
    config.judge.name = ""  # empty: none; "echoclip", "open_clip", or "my_module:MyClass"
    config.judge.weights = ""  # a local file; empty: the Hugging Face hub, after logging in
    config.judge.dtype = "float32"
    config.judge.batch_size = 16
    config.judge.cache_dir = ""  # of the clips' embeddings; empty: <workdir>/judge_cache
    config.judge.erasure_step_frames = 1  # erasure scores look at every so many frames
    prompts = dataclasses.asdict(Prompts())  # the published sentences
    del prompts["ejection_fraction_percent"]
    config.judge.prompts = ml_collections.ConfigDict(prompts)

    config.report = ml_collections.ConfigDict()
    config.report.num_clips = 3  # best, median and worst clips shown, of each

    # --stage=sweep: sizes of the student, blocks and layers as one number each.
    config.sweep = ml_collections.ConfigDict()
    config.sweep.sizes = tuple(
        f"{blocks}{layers}" for blocks in range(1, 5) for layers in range(1, 5)
    )

    # A student of the published PyTorch code becomes a run.
    config.import_student = ml_collections.ConfigDict()
    config.import_student.file = ""  # .ckpt, .pt or .safetensors

    # Clips that somebody brings; see docs/predict.md.
    config.predict = ml_collections.ConfigDict()
    config.predict.inputs = ""  # a clip, a folder or a glob
    config.predict.output = ""  # empty: <workdir>/predictions
    # A .safetensors file, or the shipped "best" or "small"; empty: the run's, or else the best.
    config.predict.weights = ""
    config.predict.checkpoint = "best"  # of the run
    config.predict.crop = "square"  # the largest one around the middle; or "full", squeezed
    config.predict.fps = 0.0  # 0: what the file says
    config.predict.mirrored = "auto"  # left and right exchanged: "yes", "no", or found out
    config.predict.stream = False  # True: frames from standard input

    # A page for the browser that predicts a clip which is dropped on it.
    config.serve = ml_collections.ConfigDict()
    config.serve.host = (
        "127.0.0.1"  # this machine only; "0.0.0.0" lets others in, see docs/serve.md
    )
    config.serve.port = 8112  # 0: any that is free
    config.serve.max_upload_mib = 256

    # The student of config.predict for elsewhere; see docs/export.md.
    config.export = ml_collections.ConfigDict()
    config.export.format = "safetensors"  # or "stablehlo", "onnx", "pytorch"
    config.export.file = ""  # empty: <workdir>/export/student.<suffix of the format>
    config.export.onnx_python = ".venv-onnx/bin/python"  # with requirements-onnx.txt

    if arg == "smoke":
        _shrink(config)
    elif arg == "paper":
        _enlarge(config)
    return config


def _shrink(config: ml_collections.ConfigDict) -> None:
    """Every stage and every file, with numbers that mean nothing."""
    config.dataset.name = "synthetic_smoke"
    config.dataset.update(num_train=8, num_validation=4, num_test=4, num_frames=32)
    config.model.update(blocks=2, stride=4)
    config.input.window_frames = 8
    config.train.update(
        batch_size=4, num_epochs=2, warmup_steps=1, log_every_steps=1, image_every_epochs=1
    )
    config.eval.bootstrap_samples = 100
    config.report.num_clips = 1


def _enlarge(config: ml_collections.ConfigDict) -> None:
    """The published sizes; the data set takes about 48 GB of disk."""
    # EchoNet-Synthetic: the splits of EchoNet-Dynamic, 192 frames a clip.
    config.dataset.name = "synthetic_paper"
    config.dataset.update(num_train=7465, num_validation=1288, num_test=1277, num_frames=192)
    config.model.update(blocks=3, layers=3, stride=1, normalise=False, skips=False, warmup=0)
    config.input.update(num_threads=16, cache_gib=48.0)
    config.augment.update(gain=0.0, gamma=0.0, speckle=0.0, blur_px=0.0)
    config.train.update(batch_size=32, num_epochs=350, patience=10, log_every_steps=50)
    config.train.update(learning_rate=1e-3, schedule="constant", warmup_steps=0, clip_norm=0.0)
    config.eval.bootstrap_samples = 10_000

"""`tfds build` for machines without TensorFlow: the same command with the same flags.

    python data/tfds_build.py data/echo_clips --config=synthetic_smoke

The program `tfds` imports TensorFlow when it starts, for another of its commands (tfds 4.9.10);
building needs none.
"""

from absl import app
from tensorflow_datasets.scripts.cli import build, cli_utils


def main(args: build.Args) -> None:
    """Builds the data sets named on the command line."""
    args.execute()


if __name__ == "__main__":
    app.run(main, flags_parser=cli_utils.make_flags_parser(build.Args, description=__doc__))

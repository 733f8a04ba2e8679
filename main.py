"""One command for every stage: `python main.py --config=configs/synthetic.py [--stage=train]`."""

import sys

from echodfkd_jax.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))

"""The search by hand; see the package."""

import argparse
import itertools
import os
import sys
import tempfile

import torch

from .generate import KINDS
from .search import search


def main() -> int:
    """Search for a time; 1 if something differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--dtype", choices=["float64", "float32", "bfloat16"], default="float64")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--one", action="store_true", help="only this seed")
    parser.add_argument("--shrink", type=float, default=30.0, help="seconds for each program that differs")
    parser.add_argument("--flags", default="-O0", help="more flags for the C++ compiler")
    parser.add_argument("--without", nargs="*", default=[], choices=KINDS, help="what the programs do without")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    kinds = tuple(kind for kind in KINDS if kind not in chosen.without)
    seeds = [chosen.seed] if chosen.one else itertools.count(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHDYN_NEURO_CACHE"] = folder
        os.environ["TORCHDYN_NEURO_CXXFLAGS"] = chosen.flags
        report = search(seeds, chosen.dtype, kinds, seconds=chosen.seconds, shrink=chosen.shrink, verbose=True)
    print(report.describe())
    return 1 if report.found else 0


if __name__ == "__main__":
    sys.exit(main())

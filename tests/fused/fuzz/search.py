"""Many programs, one after the other, for a number of seeds or a time."""

import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from .generate import KINDS, generate
from .minimise import minimise
from .program import Program
from .run import difference, interesting


class Found(NamedTuple):
    """A program that differs.

    Args:
        seed: what it was made from.
        difference: what differs.
        program: the small program.
        shown: what differs in it.
    """

    seed: int
    difference: str
    program: Program
    shown: str | None

    def describe(self) -> str:
        """What is printed of it."""
        return f"== seed {self.seed}: {self.difference}\n{self.program.describe()}\n-- here: {self.shown}"


class Report(NamedTuple):
    """What a search has met: calls that fused, reasons of refusals, programs that differ."""

    tried: int
    fused: int
    refused: Counter
    found: list[Found]

    def describe(self) -> str:
        """What is printed at the end."""
        reasons = "\n".join(f"  {count:6d} {reason}" for reason, count in self.refused.most_common())
        refusals = sum(self.refused.values())
        head = f"{self.tried} programs, {self.fused} calls fused, {refusals} refused, {len(self.found)} programs differ"
        return f"{head}\n{reasons}"


def search(
    seeds: Iterable[int],
    dtype: str,
    kinds: tuple[str, ...] = KINDS,
    *,
    seconds: float = float("inf"),
    shrink: float = 60.0,
    verbose: bool = False,
) -> Report:
    """Compare the programs of ``seeds`` until they or ``seconds`` are used up; ``shrink`` seconds go into each find."""
    end = time.monotonic() + seconds
    tried, fused, refused, found = 0, 0, Counter(), []
    for seed in seeds:
        if time.monotonic() > end:
            break
        tried += 1
        program, reasons = generate(seed, dtype, kinds), Counter()
        if verbose:
            print(f"\r{seed}", end="", file=sys.stderr, flush=True)
        try:
            differs = difference(program, reasons)
        except Exception:
            differs = "the search itself failed: " + traceback.format_exc(limit=-3)
        fused += reasons.pop("fused", 0)
        refused.update({_short(reason): count for reason, count in reasons.items()})
        if differs is None:
            continue
        small = minimise(program, interesting(differs.split()[0]), shrink) if shrink else program
        found.append(Found(seed, differs, small, difference(small) if small is not program else differs))
        if verbose:
            print(found[-1].describe(), flush=True)
    return Report(tried, fused, refused, found)


def _short(reason: str) -> str:
    """A reason without what is one program's own."""
    got = reason.partition(", got ")[2].partition("; write")[0] or reason
    return re.sub(r"\d+", "#", got)[:110]

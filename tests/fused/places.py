"""Where the tests of the card run: on it, with Triton, and on the CPU with the C++ loops in the place of Triton's.

So each of these tests is exercised without a card too, on fewer examples.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
import torch

from torchdyn_neuro.core.state import State, map_state

NEEDS_CARD = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


class Place(NamedTuple):
    """A device and the backend that is tested there."""

    device: str
    backend: str

    def put(self, tree: State) -> State:
        """The tensors of a tree on the device."""
        return map_state(lambda leaf: leaf.to(self.device), tree)

    def side_by_side(self, *jobs: Callable[[], Any]) -> list[Any]:
        """The results of jobs that run at the same time: on streams of a card, on threads of a CPU."""
        if self.device == "cpu":
            with ThreadPoolExecutor(len(jobs)) as pool:
                return [found.result() for found in [pool.submit(job) for job in jobs]]
        results = []
        for job in jobs:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                results.append(job())
        torch.cuda.synchronize()
        return results


STAND_IN, CARD = Place("cpu", "cpp"), Place("cuda", "triton")
everywhere = pytest.mark.parametrize(
    "place", [pytest.param(STAND_IN, id="stand-in"), pytest.param(CARD, id="cuda", marks=NEEDS_CARD)]
)


def everywhere_of(names: Iterable[str], few: Iterable[str]) -> pytest.MarkDecorator:
    """All ``names`` on the card and a ``few`` of them on the CPU, as parameters ``name`` and ``place``."""
    here = [pytest.param(name, STAND_IN, id=f"{name}, stand-in") for name in few]
    there = [pytest.param(name, CARD, id=f"{name}, cuda", marks=NEEDS_CARD) for name in names]
    return pytest.mark.parametrize(("name", "place"), here + there)

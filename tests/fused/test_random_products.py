"""Steps of random operations and products between frames of random widths: the fused loop equals the eager one.

``python -m tests.fused.test_random_products 0 100`` tries the seeds from 0 to 99, kept and computed again, in C++ and
step by step.
"""

import random
import sys
from unittest import mock

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.fused.recurrent import cut_loops, network_native

from .agreement import assert_agrees

_ONE = (
    torch.tanh,
    torch.sigmoid,
    torch.sin,
    lambda v: v * 0.7,
    lambda v: torch.relu(v) + 0.1 * v,
    lambda v: (v > 0) + v,
)
_TWO = (torch.add, torch.mul, torch.sub, torch.maximum, lambda v, w: torch.where(v > w, v.sin(), w))


class Written(tdn.Dynamics):
    """A random step.

    Args:
        seed: which one.
    """

    def __init__(self, seed):
        super().__init__()
        choose = random.Random(seed)
        several = choose.random() < 0.7
        pick = lambda: choose.choice((13, 4, 21)) if several else 13  # noqa: E731
        self.widths = [pick() for _ in range(choose.choice((1, 1, 2, 3)))]
        self.entry = pick()
        kinds = [self.entry, *self.widths]
        self.maps, self.vectors = nn.ModuleList(), nn.ParameterList()
        self.lines = []
        products = choose.randint(1, 5)
        for _ in range(products + choose.randint(3, 10)):
            source = choose.randrange(len(kinds))
            fitting = [k for k, kind in enumerate(kinds) if kind == kinds[source]]
            other = choose.choice(fitting)
            what = choose.choice(("one", "two", "vector", *["product"] * (len(self.maps) < products)))
            if what == "product":
                known = [k for k, one in enumerate(self.maps) if one.in_features == kinds[source]]
                if known and choose.random() < 0.3:
                    number = choose.choice(known)
                else:
                    number = len(self.maps)
                    self.maps.append(nn.Linear(kinds[source], pick(), bias=choose.random() < 0.5))
                self.lines.append((what, source, number))
                kinds.append(self.maps[number].out_features)
                continue
            if what == "vector":
                self.lines.append((what, source, len(self.vectors)))
                self.vectors.append(nn.Parameter(torch.linspace(-1, 1, kinds[source])))
            else:
                self.lines.append((what, source, other, choose.randrange(5)))
            kinds.append(kinds[source])
        # What comes back to a state is bent, so that nothing grows without end.
        self.after = [choose.choice([k for k, kind in enumerate(kinds) if kind == width]) for width in self.widths]
        self.bent = [choose.random() < 0.7 for _ in self.widths]
        self.outputs = [choose.randrange(len(kinds)) for _ in range(choose.choice((1, 2)))]

    def initial_state(self, x_t):
        return tuple(torch.zeros(*x_t.shape[:-1], width, dtype=x_t.dtype) for width in self.widths)

    def step(self, x_t, state):
        frames = [x_t, *state]
        for what, source, *rest in self.lines:
            v = frames[source]
            if what == "product":
                v = self.maps[rest[0]](v)
            elif what == "vector":
                v = v * self.vectors[rest[0]] + 0.1
            else:
                v = _ONE[rest[1]](v) if what == "one" else _TWO[rest[1]](v, frames[rest[0]])
            frames.append(v)
        after = tuple(
            0.9 * torch.tanh(frames[k]) if bent else 0.5 * frames[k]
            for k, bent in zip(self.after, self.bent, strict=True)
        )
        return tuple(torch.tanh(frames[k]) for k in self.outputs), after


def compare(seed):
    torch.manual_seed(seed)
    module = Written(seed).double()
    x = torch.randn(19, 9, module.entry, dtype=torch.float64)
    state = tuple(0.3 * torch.randn(9, width, dtype=torch.float64) for width in module.widths)
    results, _ = assert_agrees(module, x, state, relative=1e-9)
    assert all(result.isfinite().all() for result in results)


@pytest.mark.parametrize("seed", [1, 6, 10, 11, 12, 20])
def test_a_random_step_agrees(seed):
    compare(seed)


def _search(seeds):
    for seed in seeds:
        for kept in (2**28, 0):
            for stepwise in (False, True):
                with (
                    mock.patch.object(cut_loops, "MOST_KEPT", kept),
                    mock.patch.object(cut_loops, "FEWEST_KEPT", int(kept > 0)),
                    mock.patch.object(cut_loops, "FEWEST_ROWS", 4096 if kept else 9),
                    mock.patch.object(
                        network_native, "takes", (lambda *_: False) if stepwise else network_native.takes
                    ),
                ):
                    try:
                        compare(seed)
                    except tdn.NotPointwise as error:
                        print(seed, "refused:", error)
                    except Exception as error:  # each is a finding
                        print(seed, kept, stepwise, type(error).__name__, str(error)[:300])
                        if len(sys.argv) > 3:
                            raise
        print("tried", seed, flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    _search(range(*map(int, sys.argv[1:3])))

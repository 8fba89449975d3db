"""Backends: which one runs what, and why one does not."""

import warnings

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.core import time_loop
from torchdyn_neuro.core.time_loop import Backend, register_backend
from torchdyn_neuro.fused import backends
from torchdyn_neuro.fused.operators import registry
from torchdyn_neuro.fused.triton import kernels

X = torch.ones(5, 2, 3)


class Sorting(tdn.Dynamics):
    """Sorts the neurons, so that an element does not stand by itself."""

    def initial_state(self, x_t):
        return (torch.zeros_like(x_t),)

    def step(self, x_t, state):
        return x_t.sort().values, state


class Honest(Sorting):
    pointwise = False


@pytest.fixture
def registered(monkeypatch):
    """What is registered in a test is gone behind it."""
    monkeypatch.setattr(time_loop, "_backends", dict(time_loop._backends))
    monkeypatch.setattr(backends, "_warned", set())


def test_what_runs_as_one_kernel_has_no_reason():
    for module in (tdn.LIF(), tdn.Recurrent(tdn.LIF(), torch.nn.Linear(3, 3)), tdn.Chain(tdn.LIF(), tdn.LIF())):
        assert tdn.why_eager(module, X) is None
        state = module.initial_state(X[0])
        with tdn.backend("cpp"):
            assert tdn.why_eager(module, X, state) is None


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Sorting(), "Sorting: expected a step that acts on each element by itself, got the operation aten.sort"),
        (Honest(), "Honest has pointwise = False"),
    ],
)
def test_the_reason_is_what_the_warning_and_the_error_say(module, reason, registered):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = tdn.why_eager(module, X)
        assert not caught, "nobody is warned who asks"
        module(X)
        module(X)
    assert found.startswith(reason)
    if module.pointwise:
        (warning,) = caught
        assert str(warning.message).startswith(found)
        with tdn.backend("cpp"), pytest.raises(tdn.NotPointwise) as raised:
            module(X)
        assert str(raised.value) == found
    else:
        assert not caught


def test_other_reasons():
    cell = tdn.LIF()
    with tdn.backend("eager"):
        assert tdn.why_eager(cell, X) == "the backend 'eager', which runs everything step by step"
    assert tdn.why_eager(cell, X.to("meta")) == "tensors on meta"
    with torch.autograd.forward_ad.dual_level():
        assert tdn.why_eager(cell, X) == "forward-mode differentiation"


def test_a_backend_that_cannot_run_here_is_not_listed(monkeypatch):
    assert {"auto", "eager", "cpp"} <= set(tdn.available_backends())
    monkeypatch.setenv("CXX", "/nowhere/g++")
    assert "cpp" not in tdn.available_backends()
    monkeypatch.setattr(registry, "_loops", {})
    assert "no C++ compiler" in tdn.why_eager(tdn.LIF(), X)
    monkeypatch.setattr(kernels.importlib.util, "find_spec", lambda name: None)
    assert set(tdn.available_backends()) == {"auto", "eager"}


def test_a_backend_of_somebody_else(registered):
    class Counting(Backend):
        """Takes chains of two cells, and sequences that are short."""

        fuses = True

        def __init__(self):
            self.asked, self.ran = [], []

        def takes(self, call):
            self.asked.append(call.module)
            return None if len(call.x) < 6 else "too long"

        def run(self, call):
            self.ran.append(call.module)
            return time_loop.eager_loop(call.module, call.x, call.state, call.output_dtype)

    counting, chain = Counting(), tdn.Chain(tdn.ExponentialSynapse(), tdn.LIF())
    register_backend("counting", counting)
    assert "counting" in tdn.available_backends()
    with tdn.backend("eager"):
        expected = chain(X)
    with tdn.backend("counting"):
        assert torch.equal(chain(X), expected)
        assert counting.ran == [chain]
        assert tdn.why_eager(chain, torch.cat((X, X))) == "too long"
        chain(torch.cat((X, X)))
    assert counting.ran == [chain, *chain]

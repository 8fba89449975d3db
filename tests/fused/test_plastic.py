"""Connections that learn while they run: fused, one call each way, as the eager loop."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves, register_state
from torchdyn_neuro.fused.recurrent import network_native

from .agreement import assert_agrees

PRE, POST, STEPS, ROWS = 5, 3, 11, 4


def hebbian(**bounds):
    return tdn.Hebbian(tdn.Learned(0.05), alpha=tdn.Learned(0.5), **bounds)


def connected(rule=None, pre=PRE, post=POST, **options):
    torch.manual_seed(0)
    return tdn.Plastic(nn.Linear(pre, post, bias=False), rule or hebbian(), **options)


def cell():
    return tdn.LIF(tdn.Learned(5.0), v_th=0.05)


@register_state
class PairTraces(NamedTuple):
    """pre, post: a trace on either side; eligibility: of each synapse."""

    pre: Tensor
    post: Tensor
    eligibility: Tensor


class Rewarded(tdn.LearningRule):
    """Pairs of spikes leave a trace at each synapse, which a modulator turns into a change."""

    modulated = True

    def __init__(self, **bounds):
        super().__init__(**bounds)
        self.tau = tdn.core.quantities.Positive(tdn.Learned(4.0))

    def initial_traces(self, activity, dt):
        each = activity.each()
        return PairTraces(
            torch.zeros_like(activity.pre), torch.zeros_like(activity.post), torch.zeros_like(each.weight)
        )

    def update(self, weight, activity, traces, dt):
        each, kept = activity.each(), torch.exp(-dt / self.tau())
        pre, post = traces.pre * kept + activity.pre, traces.post * 0.8 + activity.post
        made = each.outer(activity.post, pre) - each.outer(post, activity.pre)
        eligibility = traces.eligibility * 0.9 + made
        reward = activity.modulator - activity.modulator**2 / 4
        change = 0.1 * eligibility * activity.at_rows(reward) + 0.01 * each.outer(activity.field("v"))
        return weight + activity.gather(change), PairTraces(pre, post, eligibility)


@register_state
class Sides(NamedTuple):
    """A trace on either side."""

    pre: Tensor
    post: Tensor


class Pairs(tdn.LearningRule):
    """Pairs of spikes, and a decay with each spike behind."""

    def __init__(self):
        super().__init__(w_min=-0.4, w_max=0.4)
        self.tau = tdn.core.quantities.Positive(tdn.Learned(4.0))

    def initial_traces(self, activity, dt):
        return Sides(torch.zeros_like(activity.pre), torch.zeros_like(activity.post))

    def update(self, weight, activity, traces, dt):
        pre, post = traces.pre * torch.exp(-dt / self.tau()) + activity.pre, traces.post * 0.8
        change = activity.outer(activity.post, pre) - activity.outer(post, activity.pre)
        change = change - 0.3 * weight * activity.outer(activity.post)
        return weight + 0.1 * change, Sides(pre, post + activity.post)


class Normalised(tdn.LearningRule):
    """The weights of a neuron keep their sum of squares."""

    def update(self, weight, activity, traces, dt):
        moved = weight + 0.1 * activity.outer(activity.post, activity.pre)
        return moved / (1 + activity.over_inputs(moved**2)).sqrt(), traces


CASES = {
    "chain": lambda: tdn.Chain(connected(), tdn.LeakyIntegrator(tdn.Learned(5.0))),
    "spikes": lambda: tdn.Chain(nn.Linear(PRE, PRE), cell(), connected(), cell()),
    "bias": lambda: tdn.Chain(tdn.Plastic(nn.Linear(PRE, POST), hebbian()), cell()),
    "bounds": lambda: tdn.Chain(connected(hebbian(w_min=-0.3, w_max=0.25)), cell()),
    "mask": lambda: tdn.Chain(tdn.Plastic(tdn.sparse(nn.Linear(PRE, POST), 0.5), hebbian()), cell()),
    "frozen": lambda: tdn.Chain(connected(frozen=True), cell()),
    "one neuron": lambda: tdn.Chain(connected(post=1), tdn.LeakyIntegrator()),
    "one input": lambda: tdn.Chain(nn.Linear(PRE, 1), connected(pre=1), tdn.LeakyIntegrator()),
    "a synapse on the way": lambda: tdn.Chain(connected(), tdn.ExponentialSynapse(3.0), tdn.LeakyIntegrator()),
    "two": lambda: tdn.Chain(connected(), cell(), connected(Normalised(), POST, 4), tdn.LeakyIntegrator()),
    "network": lambda: tdn.Network(cell(), connected(pre=PRE, post=PRE)),
    "a longer way": lambda: tdn.Network(cell(), connected(pre=PRE, post=PRE), delay=3.0),
    "normalised": lambda: tdn.Chain(connected(Normalised()), tdn.LeakyIntegrator()),
}
MODULATED = {
    "chain": lambda: tdn.Chain(connected(Rewarded()), cell()),
    "bounds": lambda: tdn.Chain(connected(Rewarded(w_min=-0.3, w_max=0.3)), cell()),
    "network": lambda: tdn.Network(cell(), connected(Rewarded(), PRE, PRE)),
    "inside": lambda: tdn.Chain(nn.Linear(PRE, PRE), tdn.Chain(connected(Rewarded()), cell())),
    "beside another": lambda: tdn.Chain(connected(Rewarded()), cell(), connected(hebbian(), POST, 2), cell()),
}


SHARED = {
    "chain": lambda w: tdn.Chain(connected(weights=w), tdn.LeakyIntegrator(tdn.Learned(5.0))),
    "bounds": lambda w: tdn.Chain(connected(hebbian(w_min=-0.3, w_max=0.25), weights=w), cell()),
    "bias and mask": lambda w: tdn.Chain(
        tdn.Plastic(tdn.sparse(nn.Linear(PRE, POST), 0.5), hebbian(), weights=w), cell()
    ),
    "frozen": lambda w: tdn.Chain(connected(frozen=True, weights=w), cell()),
    "traces": lambda w: tdn.Chain(connected(Pairs(), weights=w), cell()),
    "one neuron": lambda w: tdn.Chain(connected(Pairs(), post=1, weights=w), tdn.LeakyIntegrator()),
    "one input": lambda w: tdn.Chain(nn.Linear(PRE, 1), connected(pre=1, weights=w), tdn.LeakyIntegrator()),
    "beside weights per row": lambda w: tdn.Chain(
        connected(weights=w), cell(), connected(Normalised(), POST, 4), tdn.LeakyIntegrator()
    ),
    "of one size with weights per row": lambda w: tdn.Chain(
        connected(weights=w), cell(), nn.Linear(POST, PRE), connected(), tdn.LeakyIntegrator()
    ),
    "network": lambda w: tdn.Network(cell(), connected(pre=PRE, post=PRE, weights=w)),
    "behind a layer": lambda w: tdn.Chain(nn.Linear(PRE, PRE), cell(), connected(weights=w), cell()),
}


def drive(*shape, dtype=torch.float64):
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def modulated(*shape, dtype=torch.float64):
    return tdn.Modulated(drive(*shape, PRE, dtype=dtype), drive(*shape, dtype=dtype) - 0.3)


def assert_fused(module, x, relative=1e-12):
    """It fuses, and agrees from the start and from a state."""
    assert tdn.why_eager(module, x) is None
    results = assert_agrees(module, x, relative=relative)
    _, state = module.scan(x)
    assert_agrees(module, x, state, relative=relative)
    return results


@pytest.mark.parametrize("name", CASES)
def test_values_states_and_gradients_agree(name):
    module = CASES[name]().double()
    (y, *_), _ = assert_fused(module, drive(STEPS, ROWS, PRE))
    assert y.abs().sum() > 0


@pytest.mark.parametrize("name", MODULATED)
def test_a_modulator_over_time_agrees(name):
    module = MODULATED[name]().double()
    _, (dx, dm, *_) = assert_fused(module, modulated(STEPS, ROWS))
    assert dx.abs().max() > 0
    assert dm.abs().max() > 0


# What a sum and a mean of the batch differ by is one factor.
@pytest.mark.parametrize(
    ("name", "weights"),
    [
        *((name, "mean") for name in SHARED),
        *((name, "sum") for name in ("chain", "bias and mask", "traces", "network")),
    ],
)
def test_weights_that_the_batch_shares_agree(name, weights):
    module = SHARED[name](weights).double()
    (y, *_), _ = assert_fused(module, drive(STEPS, ROWS, PRE))
    assert y.abs().sum() > 0


def test_the_number_of_rows_may_change():
    """It is no part of what was recorded, though the mean depends on it."""
    for weights in ("mean", "sum"):
        module = SHARED["chain"](weights).double()
        for rows in (4, 1, 7):
            assert_fused(module, drive(STEPS, rows, PRE))
    module = SHARED["traces"]("mean")
    assert_fused(module, drive(19, 9, PRE, dtype=torch.float32), relative=1e-5)


class Turned(tdn.LearningRule):
    def update(self, weight, activity, traces, dt):
        return 0.9 * weight + 0.1 * weight.mT, traces


class Doubled(tdn.LearningRule):
    def update(self, weight, activity, traces, dt):
        return weight @ weight, traces


class Averaged(tdn.LearningRule):
    def update(self, weight, activity, traces, dt):
        return weight - 0.1 * activity.over_inputs(weight), traces


@pytest.mark.parametrize(
    ("rule", "reason"), [(Turned, "axes exchanged"), (Doubled, "not a frame of neurons times"), (Averaged, "sum")]
)
def test_what_does_not_fuse_says_why(rule, reason):
    module = tdn.Network(cell(), connected(rule(), PRE, PRE, weights="mean")).double()
    x = drive(STEPS, ROWS, PRE)
    assert reason in tdn.why_eager(module, x)
    with tdn.backend("eager"):
        expected = module(x)
    assert torch.equal(module(x), expected)


def test_single_precision_agrees():
    assert_fused(CASES["spikes"](), drive(19, 9, PRE, dtype=torch.float32), relative=1e-5)
    assert_fused(MODULATED["chain"](), modulated(19, 9, dtype=torch.float32), relative=1e-5)


def test_one_call_each_way(monkeypatch):
    seen = []
    for name in ("run_forward", "run_backward"):
        call = getattr(network_native, name)
        monkeypatch.setattr(network_native, name, lambda *a, call=call, name=name: (seen.append(name), call(*a)))
    y, _ = CASES["spikes"]().scan(drive(16, ROWS, PRE, dtype=torch.float32))
    y.sum().backward()
    assert seen[-2:] == ["run_forward", "run_backward"]


@pytest.mark.parametrize("rows", [1, 2, 33])
def test_any_number_of_rows(rows):
    assert_fused(CASES["bounds"]().double(), drive(STEPS, rows, PRE))
    assert_fused(MODULATED["chain"]().double(), modulated(STEPS, rows))


def test_more_synapses_than_a_vector_holds():
    module = tdn.Chain(connected(Normalised(), 70, 33), tdn.LeakyIntegrator()).double()
    assert_fused(module, drive(STEPS, 10, 70), relative=1e-11)


def test_pieces_are_the_whole():
    module, x = CASES["spikes"]().double(), drive(20, ROWS, PRE)
    whole, last = module.scan(x)
    first, state = module.scan(x[:7])
    second, end = module.scan(x[7:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert all(torch.equal(a, b) for a, b in zip(leaves(end), leaves(last), strict=True))


@pytest.mark.parametrize("make", [CASES["chain"], lambda: SHARED["chain"]("mean")], ids=["rows", "mean"])
def test_second_derivatives_agree(make):
    module, x, found = make().double(), drive(6, 2, PRE).requires_grad_(), []
    for name in ("eager", "cpp"):
        with tdn.backend(name):
            y, (state, _) = module.scan(x)
            (first,) = torch.autograd.grad((y**2).sum() + (state.weight**2).sum(), x, create_graph=True)
            found.append(torch.autograd.grad((first**2).sum(), [x, *module.parameters()]))
    assert found[0][0].abs().max() > 0.01
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-10)


def test_what_changes_between_calls_is_seen():
    """Whether it is frozen, the bounds and the mask are part of what was recorded."""
    layer = tdn.Plastic(tdn.sparse(nn.Linear(PRE, POST), 0.5), hebbian())
    module, x = tdn.Chain(layer, tdn.LeakyIntegrator()).double(), drive(STEPS, ROWS, PRE)
    mask = layer.connection.parametrizations["weight"][0].mask
    for change in (
        lambda: setattr(layer, "frozen", True),
        lambda: setattr(layer, "frozen", False),
        lambda: setattr(layer.rule, "w_max", 0.05),
        lambda: mask.copy_(~mask),
        lambda: setattr(layer, "connection", nn.Linear(PRE, POST).double()),
        lambda: setattr(layer, "rule", Normalised().double()),
    ):
        before, _ = module.scan(x)
        change()
        (after, *_), _ = assert_fused(module, x)
        assert not torch.equal(before, after)


def test_a_chain_that_is_watched_runs_step_by_step():
    module, x, seen = CASES["chain"]().double(), drive(STEPS, ROWS, PRE), []
    expected = module(x)
    module[1].register_forward_hook(lambda *_: seen.append(1))
    assert "hooks on LeakyIntegrator" in tdn.why_eager(module, x)
    torch.testing.assert_close(module(x), expected)
    assert len(seen) == STEPS


def test_a_wrong_number_of_neurons_is_still_an_error():
    module = tdn.Chain(connected(), nn.Linear(POST, 1), tdn.LeakyIntegrator()).double()
    with pytest.raises(ValueError, match="expected the activity of 3 neurons behind the connection, got 1"):
        module(drive(STEPS, ROWS, PRE))

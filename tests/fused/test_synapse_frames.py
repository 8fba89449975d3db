"""States with a value for each synapse run fused, one call each way, and agree with the eager loop."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves, register_state
from torchdyn_neuro.fused.recurrent import cut_runtime, network_native

from .agreement import assert_agrees, run

PRE, POST = 5, 3


def spikes(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(*shape, generator=generator) < 0.4).to(dtype)


def release(*shape):
    generator = torch.Generator().manual_seed(1)
    return tdn.TsodyksMarkram(tdn.Learned(torch.rand(*shape, generator=generator) * 0.5 + 0.1), tau_f=20.0)


def connected(plasticity, pre=PRE, post=POST):
    torch.manual_seed(0)
    return tdn.PlasticLinear(pre, post, plasticity)


@register_state
class TracesState(NamedTuple):
    """weight: of each synapse; pre, post: of the neurons."""

    weight: Tensor
    pre: Tensor
    post: Tensor


class Traces(tdn.Dynamics):
    """A rule of a user's own: both sides meet at the synapses, and either axis is summed over."""

    def __init__(self, pre, post):
        super().__init__()
        self.size = post, pre
        self.rate = tdn.core.quantities.Positive(tdn.Learned(0.1))

    def initial_state(self, x_t):
        rows = x_t.shape[:-1]
        weight = torch.linspace(-1, 1, self.size[0] * self.size[1], dtype=x_t.dtype).reshape(self.size)
        return TracesState(
            weight.expand(*rows, *self.size).clone(), torch.zeros_like(x_t), x_t.new_zeros(*rows, self.size[0])
        )

    def step(self, x_t, state):
        weight, pre, post = state
        pre = 0.9 * pre + x_t
        post = torch.tanh((weight * pre.unsqueeze(-2)).sum(-1)) + 0.5 * post
        weight = weight + self.rate() * (post.unsqueeze(-1) * x_t.unsqueeze(-2) - weight * post.unsqueeze(-1) ** 2)
        back = (weight * post.unsqueeze(-1)).sum(dim=-2)
        return pre * 0.1 + back, TracesState(weight, pre, post)


CASES = {
    "a value for each synapse": lambda: connected(release(POST, PRE)),
    "for each neuron before": lambda: connected(release(PRE)),
    "for each neuron behind": lambda: connected(release(POST, 1)),
    "for all, learned": lambda: connected(tdn.TsodyksMarkram(tdn.Learned(0.3), tau_d=tdn.Learned(100.0), tau_f=30.0)),
    "neurons at the synapses": lambda: connected(tdn.LIF(tdn.Learned(torch.linspace(2.0, 9.0, 15).reshape(3, 5)))),
    "a synapse's own filter": lambda: connected(tdn.ExponentialSynapse(tdn.Learned(torch.full((POST, PRE), 4.0)))),
    "a layer in a chain": lambda: tdn.Chain(nn.Linear(PRE, PRE), tdn.LIF(), connected(release(POST, PRE)), tdn.LIF()),
    "two of them": lambda: tdn.Chain(connected(release(PRE)), tdn.LIF(), connected(release(1), POST, 4), tdn.LIF()),
    "a recurrent one": lambda: tdn.Network(tdn.LIF(tdn.Learned(9.0)), connected(release(PRE, PRE), PRE, PRE)),
    "a rule of one's own": lambda: Traces(PRE, POST),
    "one neuron behind": lambda: connected(release(1, PRE), PRE, 1),
}


def one_call(monkeypatch):
    """Counts the calls of the two drivers."""
    seen = []
    for name in ("run_forward", "run_backward"):
        call = getattr(network_native, name)
        monkeypatch.setattr(network_native, name, lambda *a, call=call, name=name: (seen.append(name), call(*a)))
    return seen


@pytest.mark.parametrize("name", CASES)
def test_values_states_and_gradients_agree(name):
    module = CASES[name]().double()
    for rows in ((4,), (2, 3)):
        x = spikes(11, *rows, PRE)
        assert tdn.why_eager(module, x) is None
        assert_agrees(module, x, relative=1e-10)
    # In pieces, from a state that wants a gradient.
    x = spikes(11, 4, PRE)
    _, state = module.scan(x)
    assert_agrees(module, x, state, relative=1e-10)


@pytest.mark.parametrize("name", ["a value for each synapse", "a recurrent one", "a rule of one's own"])
def test_single_precision_agrees(name):
    assert_agrees(CASES[name](), spikes(19, 9, PRE, dtype=torch.float32), relative=1e-5)


def test_one_call_each_way(monkeypatch):
    seen, module = one_call(monkeypatch), CASES["a recurrent one"]()
    with tdn.backend("cpp"):
        y, _ = module.scan(spikes(30, 4, PRE, dtype=torch.float32))
        y.sum().backward()
    assert seen == ["run_forward", "run_backward"]


def test_outcome_is_that_of_the_formula():
    # In this form the first spike releases U, so y is the sum of w U over the neurons that fired.
    U = torch.linspace(0.1, 0.8, POST * PRE, dtype=torch.float64).reshape(POST, PRE)
    module = connected(tdn.TsodyksMarkram(U, form="m98")).double()
    x = spikes(1, 2, PRE)
    with tdn.backend("cpp"):
        y, _ = module.scan(x)
    torch.testing.assert_close(y[0], x[0] @ (module.weight * U).t())


def test_agrees_where_products_are_computed_again_and_step_by_step(monkeypatch):
    module = CASES["a rule of one's own"]().double()
    x = spikes(19, 4, PRE)
    monkeypatch.setattr(cut_runtime, "keeps", lambda *_: False)
    assert_agrees(module, x, relative=1e-10)
    monkeypatch.setattr(network_native, "takes", lambda *_: False)
    assert_agrees(module, x, relative=1e-10)


def test_many_rows_and_sums_of_more_than_a_vector_agree():
    module = connected(release(33, 70), 70, 33).double()
    assert_agrees(module, spikes(10, 70, 70), relative=1e-10)


def test_second_derivatives_agree():
    module, found = CASES["a rule of one's own"]().double(), []
    for name in ("eager", "cpp"):
        x = spikes(6, 2, PRE).requires_grad_()
        with tdn.backend(name):
            y, state = module.scan(x)
            loss = (y**2).sum() + sum((leaf**2).sum() for leaf in leaves(state))
            (first,) = torch.autograd.grad(loss, x, create_graph=True)
            found.append(torch.autograd.grad((first**2).sum(), [x, *module.parameters()]))
    assert found[0][0].abs().max() > 0.1
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-10)


def test_noise_at_synapses_is_the_same():
    cell = tdn.LIF(noise=tdn.OrnsteinUhlenbeckNoise(5.0, sigma=1.0))
    module, x = connected(cell).double(), spikes(15, 4, PRE)
    assert tdn.why_eager(module, x) is None
    assert_agrees(module, x, relative=1e-10)


def test_nothing_arrives_at_what_is_not_read():
    """A gradient of zero, and one of a state alone."""
    module, x = CASES["a value for each synapse"]().double(), spikes(9, 4, PRE)
    (_, results), (_, expected) = run(module, x, "cpp"), run(module, x, "eager")
    assert all((a is None) == (b is None) for a, b in zip(results, expected, strict=True))
    found = []
    for name in ("eager", "cpp"):
        with tdn.backend(name):
            _, state = module.scan(x)
            found.append(torch.autograd.grad(leaves(state)[0].sum(), [*module.parameters()], allow_unused=True))
    for expected, got in zip(*found, strict=True):
        if expected is None:
            assert got is None or not got.any()
        else:
            torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


def test_new_sizes_are_recorded_anew():
    """Two sizes with as many synapses are two recordings."""

    class Own(Traces):
        pointwise = None

    module = Own(6, 2).double()
    for pre, post in ((6, 2), (4, 3)):
        module.size = post, pre
        assert_agrees(module, spikes(9, 4, pre), relative=1e-10)


class Refused(Traces):
    """What ``reason`` names is done to the weights."""

    pointwise = None

    def __init__(self, what):
        super().__init__(PRE, PRE)
        self.what = what

    def step(self, x_t, state):
        y, state = super().step(x_t, state)
        return y, state._replace(weight=self.what(state.weight))


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (lambda weight: weight.transpose(-1, -2), "transpose"),
        (lambda weight: weight / weight.sum((-1, -2), keepdim=True), "not over one axis"),
        (lambda weight: weight.cumsum(-1), "cumsum"),
    ],
)
def test_what_does_not_fuse_says_why(what, reason):
    module, x = Refused(what), spikes(5, 2, PRE)
    assert reason in tdn.why_eager(module.double(), x)


def test_normalised_weights_agree():
    module = Refused(lambda weight: weight / (1 + weight.abs().sum(-1, keepdim=True))).double()
    assert tdn.why_eager(module, spikes(9, 2, PRE)) is None
    assert_agrees(module, spikes(9, 2, PRE), relative=1e-10)


def test_a_parameter_of_neurons_and_synapses_is_refused():
    class Both(Traces):
        pointwise = None

        def step(self, x_t, state):
            y, state = super().step(x_t, state)
            return y * self.rate(), state

    assert "several widths" in tdn.why_eager(Both(PRE, POST).double(), spikes(5, 2, PRE))


class Remembering(tdn.Dynamics):
    """No sum: what arrives is kept for each synapse, and one field starts anew in every step."""

    def initial_state(self, x_t):
        synapses = x_t.new_zeros(*x_t.shape[:-1], POST, x_t.shape[-1])
        return synapses, synapses + 1, torch.zeros_like(x_t)

    def step(self, x_t, state):
        last, _, total = state
        repeated = x_t.unsqueeze(-2).expand_as(last)
        return total + x_t, (repeated, torch.full_like(last, 0.5), total + x_t)


def test_what_is_only_repeated_or_constant_agrees():
    module, x = Remembering(), spikes(11, 4, PRE)
    assert tdn.why_eager(module, x) is None
    assert_agrees(module, x, relative=1e-12)
    _, (last, constant, _) = module.scan(x)
    torch.testing.assert_close(last, x[-1].unsqueeze(1).expand(4, POST, PRE))
    assert (constant == 0.5).all()


def test_two_types_of_number_are_refused():
    module, x = connected(tdn.TsodyksMarkram()), spikes(5, 2, PRE, dtype=torch.float32)
    module.weight = nn.Parameter(module.weight.detach().double())
    assert "other types" in tdn.why_eager(module, x)
    with tdn.backend("eager"):
        expected = module(x)
    torch.testing.assert_close(module(x), expected)


def _in_place(weight, x):
    repeated = x.unsqueeze(-2).expand_as(weight).clone()
    return repeated.mul_(weight).add_(0.1)


MEETINGS = {
    "as before": lambda weight, x: weight * x.unsqueeze(-2),
    "as behind": lambda weight, x: weight * x.unsqueeze(-1),
    "as both": lambda weight, x: 0.5 * weight + torch.tanh(x.unsqueeze(-1) * 2) * torch.sin(x.unsqueeze(1)),
    "a copy": lambda weight, x: weight * 0.5 + x.unsqueeze(-1).expand_as(weight).contiguous(),
    "in place": _in_place,
    "there and back": lambda weight, x: 0.5 * weight + (x.unsqueeze(-1).squeeze(-1) * 2).unsqueeze(-2),
    "a mask": lambda weight, x: torch.where(x.unsqueeze(-1).expand_as(weight) > weight, weight * 0.5, weight - 0.1),
    "sums": lambda weight, x: weight * 0.5 + weight.sum(-1).unsqueeze(-1) * 0.1 - weight.sum(1, keepdim=True) * 0.1,
    "sums of repeated": lambda weight, x: 0.1 * weight + x.unsqueeze(-1).expand_as(weight).sum(-2, keepdim=True),
}


@pytest.mark.parametrize("name", MEETINGS)
def test_each_way_to_meet_agrees(name):
    class Meeting(tdn.Dynamics):
        def initial_state(self, x_t):
            start = torch.linspace(-1, 1, x_t.shape[-1] ** 2, dtype=x_t.dtype)
            return start.reshape(x_t.shape[-1], -1).expand(*x_t.shape, x_t.shape[-1]).clone()

        def step(self, x_t, state):
            state = torch.tanh(MEETINGS[name](state, x_t))
            return state.sum(-1) + x_t, state

    # As many rows as neurons, so that nothing is seen by its size.
    x = torch.randn(9, PRE, PRE, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert tdn.why_eager(Meeting(), x) is None
    assert_agrees(Meeting(), x, relative=1e-10)

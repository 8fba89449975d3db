"""Adaptation and noise attached to cells: what holds for every combination."""

import itertools

import pytest
import torch
from torch.autograd import gradcheck

import torchdyn_neuro as tdn
from tests.pieces import scan_in_pieces_and_by_steps
from torchdyn_neuro.core.state import leaves, map_state

ADAPTATIONS = {
    "none": lambda q: None,
    "spike_frequency": lambda q: tdn.SpikeFrequencyAdaptation(q(30.0), b=q(5.0)),
    "threshold": lambda q: tdn.AdaptiveThreshold(q(30.0), beta=q(9.0)),
    "sub_threshold": lambda q: tdn.SubThresholdAdaptation(q(30.0), a=q(0.5), b=q(5.0)),
}
NOISES = {
    "none": lambda q: None,
    "white": lambda q: tdn.WhiteNoise(q(1.5)),
    "coloured": lambda q: tdn.OrnsteinUhlenbeckNoise(q(4.0), sigma=q(3.0)),
    "escape": lambda q: tdn.EscapeNoise(q(0.1), Delta_u=q(0.2)),
}
COMBINATIONS = [pair for pair in itertools.product(ADAPTATIONS, NOISES) if pair != ("none", "none")]
every_combination = pytest.mark.parametrize(("adaptation", "noise"), COMBINATIONS)


def floats(state):
    """The leaves that carry a gradient; the key of a noise is a whole number."""
    return [leaf for leaf in leaves(state) if leaf.is_floating_point()]


def cell_with(adaptation, noise, cls=tdn.LIF, quantity=lambda value: value, **options):
    return cls(adaptation=ADAPTATIONS[adaptation](quantity), noise=NOISES[noise](quantity), **options)


@every_combination
@pytest.mark.parametrize("integrator", [tdn.ExponentialEuler(), tdn.Heun()], ids=["exponential", "heun"])
def test_pieces_and_steps_are_the_whole(adaptation, noise, integrator):
    cell = cell_with(adaptation, noise, t_ref=2.0, integrator=integrator)
    x = torch.full((40, 2, 3, 2, 2), 2.5)  # a convolutional shape
    assert scan_in_pieces_and_by_steps(cell, x, 13).sum() > 20


@pytest.mark.usefixtures("eager")
@every_combination
def test_gradients_below_threshold(adaptation, noise):
    """In input, initial state and every parameter, with adaptation and noise under way."""
    if noise == "escape":
        pytest.skip("no potential without the threshold depends on it")
    cell = cell_with(adaptation, noise, quantity=tdn.Learned, tau_mem=tdn.Learned(20.0), v_th=1e9).double()
    parameters = list(cell.parameters())
    x = torch.randn(6, 1, 2, dtype=torch.float64, requires_grad=True)
    start = map_state(
        lambda leaf: torch.full_like(leaf, 0.3).requires_grad_() if leaf.is_floating_point() else leaf,
        cell.initial_state(x[0].detach()),
    )
    initial = floats(start)
    assert len(initial) == 1 + (adaptation != "none") + (noise == "coloured")

    def run(*operands):
        x, rest = operands[0], iter(operands[1:])
        state = map_state(lambda leaf: next(rest) if leaf.is_floating_point() else leaf, start)
        return tuple(floats(cell.scan(x, state)[1]))

    assert gradcheck(run, (x, *initial, *parameters))


@every_combination
@pytest.mark.parametrize("drive", [0.0, 1e6, -1e6])
def test_silent_and_saturated_batches_are_finite(adaptation, noise, drive):
    cell = cell_with(adaptation, noise, quantity=tdn.Learned, tau_mem=tdn.Learned(20.0))
    x = torch.full((20, 2, 3), drive, requires_grad=True)
    y, state = cell.scan(x)
    (y.sum() + sum(leaf.sum() for leaf in floats(state))).backward()
    for value in (y, *leaves(state), x.grad, *(p.grad for p in cell.parameters() if p.grad is not None)):
        assert value.isfinite().all()


@pytest.mark.usefixtures("eager")
@every_combination
@pytest.mark.parametrize("cls", [tdn.SynapticLIF, tdn.AlphaLIF, tdn.IF])
def test_other_cells_take_the_terms(adaptation, noise, cls):
    torch.manual_seed(0)
    cell = cell_with(adaptation, noise, cls)
    plain, x = cls(), torch.full((60, 2, 4), 0.6)
    y, state = cell.scan(x)
    assert y.sum() > 0
    assert not torch.equal(y, plain(x))
    assert isinstance(state.adaptation, tuple) == (adaptation == "none")


def test_parameters_of_terms_may_differ_between_neurons():
    b = torch.tensor([0.0, 10.0, 60.0])
    counts = tdn.LIF(adaptation=tdn.SpikeFrequencyAdaptation(50.0, b=b))(torch.full((300, 1, 3), 2.0)).sum(0)[0]
    assert counts[0] > counts[1] > counts[2] > 0
    cell = tdn.LIF(adaptation=tdn.SpikeFrequencyAdaptation(50.0, b=b))
    with pytest.raises(ValueError, match=r"adaptation\.b"):
        cell(torch.zeros(5, 1, 4))


def test_half_precision_input_keeps_a_wide_state():
    cell = cell_with("spike_frequency", "coloured")
    y, state = cell.scan(torch.full((30, 2, 3), 2.0, dtype=torch.bfloat16))
    assert y.dtype == torch.bfloat16
    assert {leaf.dtype for leaf in floats(state)} == {torch.float32}
    assert state.noise.key.dtype == torch.int64


@pytest.mark.parametrize("noise", ["white", "coloured", "escape"])
def test_step_compiles_as_one_graph(noise):
    torch._dynamo.reset()
    cell = cell_with("spike_frequency", noise)
    x_t = torch.full((2, 3), 2.0)
    state = cell.initial_state(x_t)
    y, after = torch.compile(cell.step, fullgraph=True, backend="eager")(x_t, state)
    expected, end = cell.step(x_t, state)
    assert torch.equal(y, expected)
    assert all(torch.equal(a, b) for a, b in zip(leaves(after), leaves(end), strict=True))

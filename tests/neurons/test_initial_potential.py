"""Every cell with a potential starts where ``v_init`` says, and at its own rest without it."""

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.contract_cases import NEURONS, build, concrete_dynamics, sequence

CELLS = [cls for cls in concrete_dynamics() if issubclass(cls, tdn.Spiking) and cls is not tdn.BalancedResonateAndFire]
CELLS.append(tdn.LeakyIntegrator)
SHIFTS = torch.arange(NEURONS) - 2.0


def frame(x):
    return tdn.core.state.first_frame(x)


def started(cls, shift, **options):
    """A cell that starts away from its rest, and where it starts."""
    rest = build(cls).initial_state(frame(sequence(cls))).v[0]
    # What the example of the class changes beside its defaults, such as the step.
    options = {"dt": build(cls).dt, **options}
    goal = rest + (shift if rest.abs().max() > 5 else 0.1 * shift)
    return lambda v_init: cls(v_init=v_init, **options), goal


@pytest.mark.parametrize("cls", CELLS, ids=lambda cls: cls.__name__)
def test_a_cell_starts_from_it(cls):
    make, goal = started(cls, SHIFTS)
    x = sequence(cls)
    cell, plain = make(goal), build(cls)
    assert "v_init" in dict(cell.quantities())
    state, rest = cell.initial_state(frame(x)), plain.initial_state(frame(x))
    assert torch.equal(state.v, goal.expand_as(rest.v))
    given = tdn.core.state.like_state(rest, rest)._replace(**{name: getattr(state, name) for name in state._fields})
    y, after = cell.step(cell._read(frame(x), axis=1), state)
    expected, other = plain.step(plain._read(frame(x), axis=1), given)
    assert torch.equal(y, expected)
    assert torch.equal(after.v, other.v)
    assert (after.v != plain.step(plain._read(frame(x), axis=1), rest)[1].v).any()
    # One value is that of all neurons.
    one = make(goal[1].item())
    assert_close(one.initial_state(frame(x)).v, goal[1].expand_as(rest.v))


@pytest.mark.parametrize("cls", CELLS, ids=lambda cls: cls.__name__)
def test_it_can_be_learned_and_fuses(cls):
    make, goal = started(cls, SHIFTS)
    x = sequence(cls)
    fused, eager = make(tdn.Learned(goal)), make(tdn.Learned(goal))
    torch.manual_seed(0)
    y = fused(x)
    torch.manual_seed(0)
    with tdn.backend("eager"):
        expected = eager(x)
    assert_close(y, expected)
    # Without an input, so that no reset cuts the gradient.
    silence = tdn.core.state.map_state(lambda leaf: 0 * leaf[:1], x)
    for cell in (fused, eager):
        cell.scan(silence)[1].v.sum().backward()
    assert fused.v_init.raw.grad.abs().sum() > 0
    assert_close(fused.v_init.raw.grad, eager.v_init.raw.grad)


def test_it_follows_its_state_and_its_neighbours():
    """The recovery of an Izhikevich cell, the gates of a Hodgkin-Huxley cell, the dendrite beside the soma."""
    x = torch.zeros(1, 2)
    izhikevich = tdn.Izhikevich(v_init=-60.0).initial_state(x)
    assert_close(izhikevich.u, torch.full((1, 2), -12.0))
    squid = tdn.HodgkinHuxley(v_init=-60.0)
    assert_close(squid.initial_state(x).channels, squid.gate_kinetics(torch.full((1, 2), -60.0))[0])
    two = tdn.TwoCompartment(v_init=-60.0).initial_state(x)
    assert torch.equal(two.v_dendrite, two.v)


def test_it_decays_as_the_equation_says():
    y = tdn.LeakyIntegrator(10.0, v_init=2.0, v_rest=1.0)(torch.zeros(30, 1, 1)).flatten()
    assert_close(y, 1 + torch.exp(-torch.arange(1, 31) / 10.0))
    # Above the threshold the first step spikes.
    assert tdn.LIF(v_init=3.0)(torch.zeros(2, 1, 1))[0] == 1


def test_it_holds_in_containers_and_between_events():
    cell = tdn.LIF(10.0, v_init=0.9)
    x = torch.full((5, 1, 2), 1.5)
    expected = tdn.LIF(10.0).scan(x, tdn.LIFState(torch.full((1, 2), 0.9)))[0]
    loop = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.zeros_(loop.weight)
    for model in (tdn.Chain(cell), tdn.Recurrent(cell, loop), tdn.Network(cell, loop)):
        assert torch.equal(model(x), expected)
    assert_close(tdn.record(cell, x, ["v"])["v"][0], 1.5 - 0.6 * torch.exp(torch.tensor(-0.1)).expand(1, 2) + 0.0)
    nothing = torch.zeros(1, 0), torch.zeros(1, 0, 1)
    first = tdn.events.spike_times(cell, *nothing, duration=50.0, current=2.0)
    assert_close(first.item(), 10 * torch.log(torch.tensor(1.1)).item())


def test_where_it_can_do_nothing_it_is_refused():
    with pytest.raises(ValueError, match="BalancedResonateAndFire: expected no v_init"):
        tdn.BalancedResonateAndFire(v_init=0.5)
    with pytest.raises(TypeError, match="Real: expected a number"):
        tdn.LIF(v_init="high")
    with pytest.raises(ValueError, match="expected v_init to broadcast to the neurons"):
        tdn.LIF(v_init=torch.zeros(3))(torch.zeros(2, 1, 4))

    class Own(tdn.LIF):
        def initial_state(self, x_t):
            return tdn.LIFState(tdn.zeros_state(x_t), **self.initial_terms(x_t))

    assert Own()(torch.zeros(2, 1, 4)).sum() == 0
    with pytest.raises(ValueError, match=r"Own: expected no v_init.*initial_terms\(x_t, rest\)"):
        Own(v_init=0.5)(torch.zeros(2, 1, 4))


def test_without_it_a_checkpoint_is_as_before():
    assert not any("v_init" in name for name in tdn.LIF().state_dict())
    cell = tdn.LIF()
    cell.v_init = tdn.Real(0.5)
    assert cell.initial_state(torch.zeros(1, 1)).v == 0.5
    cell.v_init = None
    assert cell.initial_state(torch.zeros(1, 1)).v == 0
    assert tdn.HodgkinHuxley(v_init=None).v_init() == -65

"""Coupling inside the vector field, and feedback after a delay."""

import itertools
import math

import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

N, TAU = 4, 10.0


def weights(scale=0.8):
    """Couplings of both signs, whose network oscillates and is stable."""
    generator = torch.Generator().manual_seed(3)
    W = scale * torch.randn(N, N, generator=generator, dtype=torch.float64) / math.sqrt(N)
    return W


def linear(W):
    layer = nn.Linear(W.shape[1], W.shape[0], bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(W)
    return layer


def rate_network(W, integrator, dt, duration=20.0):
    """A linear rate network tau dr/dt = -r + W r + I, and the matrix exponential's answer at the end."""
    net = tdn.Network(tdn.LeakyIntegrator(TAU, integrator=integrator, dt=dt), linear(W)).double()
    drive = torch.linspace(-1, 1, N, dtype=torch.float64)
    with torch.no_grad():
        r, _ = net.scan(drive.expand(round(duration / dt), 1, N))
    A = (W - torch.eye(N, dtype=torch.float64)) / TAU
    rest = torch.linalg.solve(A, -drive / TAU)
    exact = rest - torch.linalg.matrix_exp(A * duration) @ rest
    return (r[-1, 0] - exact).abs().max().item()


@pytest.mark.parametrize(
    ("method", "order"), [(tdn.RK4, 4), (tdn.Heun, 2), (tdn.Midpoint, 2), (tdn.Euler, 1), (tdn.ExponentialEuler, 1)]
)
def test_a_rate_network_has_the_order_of_its_method(method, order):
    errors = [rate_network(weights(), method(), dt) for dt in (1.0, 0.5, 0.25)]
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)


def test_a_rate_network_equals_the_matrix_exponential():
    assert rate_network(weights(), tdn.RK4(), 0.05) < 1e-9


@pytest.mark.parametrize(("method", "order"), [(tdn.RK4, 4), (tdn.Heun, 2), (tdn.Euler, 1)])
def test_gap_junctions_have_the_order_of_the_method(method, order):
    """Potentials of passive cells that leak into one another: a linear system with the matrix exponential."""
    g = torch.tensor([[0.0, 0.3, 0.1], [0.3, 0.0, 0.7], [0.1, 0.7, 0.0]], dtype=torch.float64)
    A = (g - torch.diag(g.sum(1)) - torch.eye(3, dtype=torch.float64)) / TAU
    drive, duration = torch.tensor([1.0, 0.0, -0.5], dtype=torch.float64), 16.0
    rest = torch.linalg.solve(A, -drive / TAU)
    exact = rest - torch.linalg.matrix_exp(A * duration) @ rest
    errors = []
    for dt in (1.0, 0.5):
        cell = tdn.LeakyIntegrator(TAU, integrator=method(), dt=dt)
        net = tdn.Network(cell, tdn.GapJunction(3, g), source="v").double()
        v, _ = net.scan(drive.expand(round(duration / dt), 1, 3))
        errors.append((v[-1, 0] - exact).abs().max().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25)


class Sigmoidal(tdn.ODE):
    """A rate unit whose output is not its state: tau dx/dt = -x + I, y = tanh(x)."""

    def __init__(self, **options):
        super().__init__(**options)
        self.tau = tdn.Positive(TAU)

    def initial_state(self, x_t):
        return tdn.LeakyIntegratorState(v=tdn.full_state(x_t, 0.5))

    def relaxation(self, x_t, state):
        return tdn.LeakyIntegratorState(v=x_t), tdn.LeakyIntegratorState(v=self.tau())

    def observe(self, state):
        return torch.tanh(state.v)


@pytest.mark.usefixtures("eager")
def test_outputs_are_fed_back_at_every_stage():
    """The field is nonlinear in what is fed back: against SciPy."""
    W = weights(1.5)
    run = solve_ivp(
        lambda _, x: (-x + W.numpy() @ torch.tanh(torch.tensor(x)).numpy() + 0.3) / TAU,
        (0, 30), [0.5] * N, rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    errors = []
    for dt in (1.0, 0.5):
        net = tdn.Network(Sigmoidal(integrator=tdn.RK4(), dt=dt), linear(W)).double()
        y, state = net.scan(torch.full((round(30 / dt), 1, N), 0.3, dtype=torch.float64))
        errors.append((state.neuron.v[0] - torch.tensor(run.y[:, -1])).abs().max().item())
        assert_close(y[-1], torch.tanh(state.neuron.v))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.3)


def test_a_delay_of_one_step_is_the_recurrent_layer():
    """Bit for bit a loop that feeds the last output back, as it always was."""
    torch.manual_seed(0)
    x, layer = 2 * torch.rand(30, 3, N), nn.Linear(N, N)
    cell = tdn.LIF(5.0)
    with tdn.backend("eager"):
        got = [tdn.Recurrent(cell, layer)(x), tdn.Network(cell, layer, delay=1.0)(x), tdn.Network(cell, layer)(x)]
        state, before, expected = cell.initial_state(x[0]), torch.zeros(3, N), []
        for x_t in x:
            before, state = cell.step(x_t + layer(before), state)
            expected.append(before)
    assert torch.stack(expected).sum() > 10
    for y in got:
        assert torch.equal(y, torch.stack(expected))


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_longer_delay_holds_the_feedback_back(steps):
    """One spike at the start comes back through a unit weight after exactly the delay, again and again."""
    dt = 0.5
    loop = tdn.Network(tdn.IF(dt=dt), tdn.OneToOne(1, weight=2.0), delay=steps * dt)
    x = torch.zeros(12, 1, 1)
    x[0] = 2.0  # C dv/dt = I over half a ms: just the threshold
    assert loop(x).flatten().nonzero().flatten().tolist() == list(range(0, 12, steps))
    whole, last = loop.scan(x)
    first, state = loop.scan(x[:5])
    second, end = loop.scan(x[5:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert_close(tdn.leaves(end), tdn.leaves(last), rtol=0, atol=0)


def test_a_conductance_cell_is_excited_by_its_own_spikes():
    """Feedback onto the excitatory conductance: more spikes than without, by the right input."""
    x = (torch.full((300, 1, 3), 4.0), torch.zeros(300, 1, 3))
    strong, none = tdn.OneToOne(3, weight=20.0), tdn.OneToOne(3, weight=0.0)
    excited = tdn.Network(tdn.ConductanceLIF(), strong, input=0)(x).sum()
    inhibited = tdn.Network(tdn.ConductanceLIF(), strong, input=1)(x).sum()
    alone = tdn.Network(tdn.ConductanceLIF(), none, input=0)(x).sum()
    assert_close(alone, tdn.ConductanceLIF()(x).sum())
    assert excited > alone > inhibited


@pytest.mark.usefixtures("eager")
def test_dale_and_any_module_couple():
    torch.manual_seed(0)
    x = torch.rand(20, 2, N)
    layers = [
        tdn.dale(nn.Linear(N, N), excitatory=0.5),
        nn.Sequential(nn.Linear(N, 8), nn.Tanh(), nn.Linear(8, N)),
        tdn.sparse(nn.Linear(N, N), 0.5),
    ]
    for layer in layers:
        net = tdn.Network(tdn.LeakyIntegrator(5.0, integrator=tdn.RK4()), layer)
        (gradient,) = torch.autograd.grad(net(x).sum(), next(layer.parameters()).requires_grad_())
        assert gradient.abs().sum() > 0


def test_gradients_through_the_coupling():
    W = weights().requires_grad_()
    cell = tdn.LeakyIntegrator(TAU, integrator=tdn.RK4()).double()

    def run(W, x):
        class Product(nn.Module):
            def forward(self, r):
                return r @ W.T

        return tdn.Network(cell, Product())(x)

    x = torch.rand(4, 1, N, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (W, x))


def test_delays_in_ms_stay_and_one_step_stays_one_step():
    plain, named = tdn.Network(tdn.LIF(), nn.Linear(3, 3)), tdn.Recurrent(tdn.LIF(), nn.Linear(3, 3))
    late = tdn.Network(tdn.LIF(), nn.Linear(3, 3), delay=2.0)
    for net in (plain, named, late):
        tdn.set_dt(net, 0.5)
    assert [net.steps for net in (plain, named, late)] == [1, 1, 4]
    assert [net.delay for net in (plain, named, late)] == [0.5, 0.5, 2.0]
    with pytest.raises(ValueError, match=r"delay of a whole number of steps of 0\.3 ms, got 2"):
        tdn.set_dt(late, 0.3)
    assert late.dt == late.neuron.dt == 0.5


def test_what_cannot_couple_is_refused():
    cell = tdn.LIF()
    with pytest.raises(ValueError, match=r"expected a delay of one step at least for the output of LIF.*got 0 ms"):
        tdn.Network(cell, nn.Linear(3, 3), delay=0.0)
    with pytest.raises(ValueError, match=r"expected a delay of a whole number of steps of 1 ms, got 1.5 ms"):
        tdn.Network(cell, nn.Linear(3, 3), delay=1.5)
    with pytest.raises(ValueError, match=r"expected a delayed feedback to be the output, got the field 'v'"):
        tdn.Network(cell, nn.Linear(3, 3), source="v", delay=1.0)
    with pytest.raises(ValueError, match=r"connection without a state of its own inside the step, got ExponentialS"):
        tdn.Network(tdn.LeakyIntegrator(), tdn.ExponentialSynapse(), delay=0.0)
    with pytest.raises(TypeError, match="Network: expected a Dynamics as neuron, got Linear"):
        tdn.Network(nn.Linear(3, 3), nn.Linear(3, 3))
    with pytest.raises(ValueError, match=r"expected a field 'w' in the state of LIF, got v;"):
        tdn.Network(cell, nn.Linear(3, 3), source="w")(torch.ones(2, 1, 3))


def test_arguments_of_another_kind_are_refused():
    cell = tdn.LIF()
    with pytest.raises(TypeError, match="expected a module as connection, got NoneType"):
        tdn.Network(cell, None)
    with pytest.raises(TypeError, match="expected delay to be a number, got str"):
        tdn.Network(cell, nn.Linear(3, 3), delay="1")
    with pytest.raises(TypeError, match="expected input to be the place or the name of an input, got True"):
        tdn.Network(tdn.ConductanceLIF(), nn.Linear(3, 3), input=True)
    x = torch.rand(4, 2, 3)
    for place in (-5, 2):
        with pytest.raises(ValueError, match=f"got input={place} for 2 inputs"):
            tdn.Network(tdn.ConductanceLIF(), nn.Linear(3, 3), input=place)((x, x))
    with pytest.raises(ValueError, match="expected a field 'noise' in the state of LIF, got v;"):
        tdn.Network(tdn.LIF(noise=tdn.WhiteNoise()), nn.Linear(3, 3), source="noise")(x)


def test_a_current_within_the_step_needs_neurons_that_take_one():
    """What arrives at a synapse at the end of each step is no current: the coupling would grow with their number."""
    for cell in (tdn.SynapticLIF(), tdn.AlphaLIF()):
        with pytest.raises(ValueError, match="expected neurons with a current as input for a coupling inside the step"):
            tdn.Network(cell, tdn.GapJunction(3), source="v")


def test_a_delay_that_is_changed_acts_and_one_that_is_not_given_is_a_step():
    layer, x = nn.Linear(3, 3), 5 * torch.rand(20, 2, 3)
    net = tdn.Network(tdn.LIF(3.0), layer, delay=2.0)
    net.delay = 5.0
    assert torch.equal(net(x), tdn.Network(tdn.LIF(3.0), layer, delay=5.0)(x))
    with pytest.raises(ValueError, match=r"a whole number of steps of 1 ms, got 2\.5 ms"):
        net.delay = 2.5
    assert net.delay == net.steps == 5
    for kind in (tdn.Network, tdn.Recurrent):
        changed = tdn.set_dt(kind(tdn.LIF(3.0), layer), 0.5)
        assert torch.equal(changed(x), kind(tdn.LIF(3.0, dt=0.5), layer)(x))
        assert changed.delay == 0.5


def test_a_connection_of_layers_and_synapses_in_half_precision():
    net = tdn.Network(tdn.LIF(), tdn.Chain(nn.Linear(3, 3), tdn.ExponentialSynapse())).bfloat16()
    y, state = net.scan(torch.rand(5, 2, 3).bfloat16())
    assert y.dtype == torch.bfloat16
    assert {leaf.dtype for leaf in tdn.leaves(state)} == {torch.float32}

"""HodgkinHuxley against an independent NumPy/SciPy computation of the squid axon."""

import functools
import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import torchdyn_neuro as tdn

from .functional import last_state


@pytest.fixture
def double():
    """Parameters given as numbers are kept in the default dtype: the comparisons need it to be float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


exactly = pytest.mark.usefixtures("double")


# The squid axon, written afresh in NumPy: the model of all comparisons below.


def ratio(x):
    """x / (1 - exp(-x)) with its limit at 0."""
    return 1.0 + x / 2 if abs(x) < 1e-9 else x / -np.expm1(-x)


def rates(v):
    """(opening, closing) of n, m, h."""
    return (
        (0.1 * ratio((v + 55) / 10), 0.125 * np.exp(-(v + 65) / 80)),
        (ratio((v + 40) / 10), 4 * np.exp(-(v + 65) / 18)),
        (0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))),
    )


def steady(v):
    return [opening / (opening + closing) for opening, closing in rates(v)]


def slope(t, y, current):
    v, gates = y[0], y[1:]
    n, m, h = gates
    ionic = 120 * m**3 * h * (50 - v) + 36 * n**4 * (-77 - v) + 0.3 * (-54.387 - v)
    return [current + ionic, *(a * (1 - x) - b * x for (a, b), x in zip(rates(v), gates, strict=True))]


def solve(current, duration, v=-65.0, **options):
    def crossing(t, y, current):
        return y[0]

    crossing.direction = 1
    start = [v, *steady(-65.0)]
    options = {"rtol": 1e-11, "atol": 1e-11, "events": crossing, **options}
    return solve_ivp(slope, (0, duration), start, method="DOP853", args=(current,), **options)


def steady_current(v):
    """The current that holds the membrane at ``v``."""
    return -slope(0.0, [v, *steady(v)], 0.0)[0]


def jacobian(v):
    """Of the whole model at the equilibrium with potential ``v``, by central differences."""
    point, step = np.array([v, *steady(v)]), 1e-5
    columns = [
        (np.array(slope(0, point + step * e, 0.0)) - np.array(slope(0, point - step * e, 0.0))) / (2 * step)
        for e in np.eye(4)
    ]
    return np.stack(columns, axis=1)


def state_of(y):
    """A state of the module from (v, n, m, h)."""
    v, n, m, h = (torch.as_tensor(value, dtype=torch.float64).reshape(1, 1) for value in y)
    return tdn.HodgkinHuxleyState(v, (tdn.SodiumGates(m, h), tdn.PotassiumGates(n), ()))


def steps_of(current, steps):
    return torch.as_tensor(current, dtype=torch.get_default_dtype()).reshape(1, 1, -1).expand(steps, -1, -1)


@exactly
def test_resting_potential():
    expected = brentq(steady_current, -75, -55, xtol=1e-12)
    dt = 0.5
    cell = tdn.HodgkinHuxley(dt=dt)
    _, state = cell.scan(steps_of(0.0, 600))
    torch.testing.assert_close(state.v.item(), expected, rtol=0, atol=1e-4)
    rate = cell.vector_field(torch.zeros(1, 1, dtype=torch.float64), state_of([expected, *steady(expected)]))
    assert abs(rate.v.item()) < 1e-9
    assert -65.1 < expected < -64.9


@exactly
def test_spike_counts_and_times_for_current_steps():
    currents, duration, dt = (2.0, 5.0, 7.0, 10.0, 20.0), 40.0, 0.025
    cell = tdn.HodgkinHuxley(integrator=tdn.RK4(), dt=dt)
    spikes = cell(steps_of(currents, round(duration / dt)))[:, 0]
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    counts = []
    for column, current in zip(spikes.T, currents, strict=True):
        expected = solve(current, duration).t_events[0]
        ends = (column.nonzero().flatten().numpy() + 1) * dt
        counts.append(len(expected))
        assert len(ends) == len(expected)
        # A spike is seen at the end of the step in which it falls.
        assert ((ends - expected > -1e-4) & (ends - expected < dt + 1e-4)).all()
    assert counts[0] == 0
    assert counts[1] >= 1
    assert counts[3] == 3
    assert counts[4] >= 4


@exactly
def test_exponential_euler_approaches_the_spike_times():
    duration = 40.0
    expected = solve(10.0, duration).t_events[0]
    errors = []
    for dt in (0.04, 0.02):
        spikes = tdn.HodgkinHuxley(dt=dt)(steps_of(10.0, round(duration / dt))).flatten()
        times = (spikes.nonzero().flatten().numpy() + 0.5) * dt
        assert len(times) == len(expected) == 3
        errors.append(np.abs(times - expected).max())
    assert errors[1] < 0.4
    assert abs(math.log2(errors[0] / errors[1]) - 1) < 0.15


def test_an_exponential_step_is_stable_however_long():
    for dt in (0.5, 5.0, 100.0):
        v = tdn.record(tdn.HodgkinHuxley(dt=dt), steps_of(20.0, 200), ["v"])["v"]
        # Between the lowest reversal potential and what the current can add to the highest through the leak alone.
        assert v.min() >= -77.0
        assert v.max() <= 50.0 + 20.0 / 0.3


@exactly
def test_hopf_current():
    def growth(v):
        return np.linalg.eigvals(jacobian(v)).real.max()

    v_hopf = brentq(growth, -62.0, -57.0, xtol=1e-10)
    hopf = steady_current(v_hopf)
    assert abs(hopf - 9.78) < 0.01
    cell = tdn.HodgkinHuxley()

    def ours(v, current):
        def flat(y):
            rate = cell.vector_field(current, state_of_tensor(y))
            sodium, potassium, _ = rate.channels
            return torch.cat([rate.v, potassium.n, sodium.m, sodium.h]).flatten()

        point = torch.tensor([v, *steady(v)], dtype=torch.float64)
        return flat(point), torch.autograd.functional.jacobian(flat, point)

    def state_of_tensor(y):
        v, n, m, h = y.reshape(4, 1, 1).unbind()
        return tdn.HodgkinHuxleyState(v, (tdn.SodiumGates(m, h), tdn.PotassiumGates(n), ()))

    for v, sign in ((v_hopf - 0.05, -1), (v_hopf, 0), (v_hopf + 0.05, 1)):
        rest, matrix = ours(v, torch.full((1, 1), steady_current(v), dtype=torch.float64))
        assert rest.abs().max() < 1e-9
        np.testing.assert_allclose(matrix.numpy(), jacobian(v), rtol=1e-5, atol=1e-7)
        growth_rate = torch.linalg.eigvals(matrix).real.max().item()
        assert abs(growth_rate) < 1e-6 if sign == 0 else growth_rate * sign > 1e-4


@exactly
@pytest.mark.parametrize(("integrator", "order"), [(tdn.ExponentialEuler(), 1), (tdn.RK4(), 4), (tdn.Heun(), 2)])
def test_order_of_convergence(integrator, order):
    duration = 3.0
    reference = solve(10.0, duration, rtol=1e-13, atol=1e-13, dense_output=True, events=None).sol
    assert reference(np.linspace(0, duration, 100))[0].max() > 20.0, "the spike is the hard part"
    coarse = 0.003 if order == 1 else 0.01
    errors = []
    for dt in (coarse, coarse / 2):
        cell = tdn.HodgkinHuxley(integrator=integrator, dt=dt)
        v = tdn.record(cell, steps_of(10.0, round(duration / dt)), ["v"])["v"].flatten().numpy()
        errors.append(np.abs(v - reference(np.arange(1, len(v) + 1) * dt)[0]).max())
    assert abs(math.log2(errors[0] / errors[1]) - order) < 0.15, errors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rates_at_their_removable_singularities(dtype):
    v = torch.tensor([-40.0], dtype=dtype, requires_grad=True)
    m, tau = tdn.Sodium().to(dtype).kinetics(v)
    opening = m.m / tau.m
    (gradient,) = torch.autograd.grad(opening, v)
    torch.testing.assert_close(opening.item(), 1.0)
    torch.testing.assert_close(gradient.item(), 0.05)
    v = torch.tensor([-55.0], dtype=dtype, requires_grad=True)
    n, tau = tdn.Potassium().to(dtype).kinetics(v)
    opening = n.n / tau.n
    (gradient,) = torch.autograd.grad(opening, v)
    torch.testing.assert_close(opening.item(), 0.1)
    torch.testing.assert_close(gradient.item(), 0.005)


@exactly
def test_gradients_of_the_smooth_part():
    torch.manual_seed(0)
    channels = [
        tdn.Sodium(tdn.Learned(120.0), tdn.Learned(50.0)),
        tdn.Potassium(tdn.Learned(36.0), tdn.Learned(-77.0)),
        tdn.Leak(tdn.Learned(0.3), tdn.Learned(-54.387)),
        tdn.AType(tdn.Learned(47.7), tdn.Learned(-75.0)),
        tdn.MType(tdn.Learned(0.07), tdn.Learned(-90.0), tau_max=tdn.Learned(608.0)),
    ]
    cell = tdn.HodgkinHuxley(channels, C=tdn.Learned(1.0), v_init=tdn.Learned(-55.0), dt=0.1)
    parameters = dict(cell.named_parameters())
    assert len(parameters) == 13
    x = (10 * torch.rand(4, 1, 2, dtype=torch.float64)).requires_grad_()
    start = cell.initial_state(x[0].detach())
    gates = [leaf.detach().clone().requires_grad_() for leaf in tdn.core.state.leaves(start.channels)]
    # The 0/0 point of potassium and one beside it.
    v = torch.tensor([[-55.0, -30.0]], dtype=torch.float64, requires_grad=True)

    def end(x, v, *rest):
        m, h, n, a, b, p = rest[: len(gates)]
        channels = (tdn.SodiumGates(m, h), tdn.PotassiumGates(n), (), tdn.ATypeGates(a, b), tdn.MTypeGates(p))
        values = dict(zip(parameters, rest[len(gates) :], strict=True))
        return tuple(tdn.core.state.leaves(last_state(cell, values, x, tdn.HodgkinHuxleyState(v, channels))))

    with tdn.backend("eager"):  # a few steps, which cost less than the compilation of a loop
        assert torch.autograd.gradcheck(end, (x, v, *gates, *parameters.values()))


@exactly
def test_the_initial_potential_is_learned_through_the_gates():
    cell = tdn.HodgkinHuxley(v_init=tdn.Learned(-55.0))
    cell.scan(steps_of(0.0, 20))[1].v.sum().backward()
    gradient = cell.v_init.raw.grad.item()

    def end(v_init):
        other = tdn.HodgkinHuxley(v_init=v_init)
        return other.scan(steps_of(0.0, 20))[1].v.item()

    torch.testing.assert_close(gradient, (end(-55 + 1e-4) - end(-55 - 1e-4)) / 2e-4, rtol=1e-6, atol=0)


def test_the_spike_is_the_upward_crossing_and_has_a_gradient():
    dt = 0.05
    x = steps_of(10.0, 400).clone().requires_grad_()
    cell = tdn.HodgkinHuxley(dt=dt, v_th=-10.0)
    trace = tdn.record(cell, x, ["v", "output"])
    v, spikes = trace["v"].flatten(), trace["output"].flatten()
    crossing = (v[1:] >= -10.0) & (v[:-1] < -10.0)
    assert crossing.sum() == 2
    torch.testing.assert_close(spikes[1:], crossing.to(spikes.dtype), rtol=0, atol=0)
    spikes.sum().backward()
    assert x.grad.abs().sum() > 0


def squid():
    return [tdn.Sodium(), tdn.Potassium(), tdn.Leak()]


@exactly
def test_a_type_delays_the_first_spike():
    """With the cell of Connor & Stevens, against SciPy."""

    def numpy_cell(t, y, current, g_a):
        v, n, m, h, a, b = y
        opening_n, closing_n = 0.02 * 10 * ratio((v + 45.7) / 10), 0.25 * np.exp(-0.0125 * (v + 55.7))
        opening_m, closing_m = 0.38 * 10 * ratio((v + 29.7) / 10), 15.2 * np.exp(-0.0556 * (v + 54.7))
        opening_h, closing_h = 0.266 * np.exp(-0.05 * (v + 48)), 3.8 / (1 + np.exp(-0.1 * (v + 18)))
        a_inf = (0.0761 * np.exp(0.0314 * (v + 94.22)) / (1 + np.exp(0.0346 * (v + 1.17)))) ** (1 / 3)
        b_inf = (1 / (1 + np.exp(0.0688 * (v + 53.3)))) ** 4
        tau_a = 0.3632 + 1.158 / (1 + np.exp(0.0497 * (v + 55.96)))
        tau_b = 1.24 + 2.678 / (1 + np.exp(0.0624 * (v + 50)))
        ionic = 120 * m**3 * h * (55 - v) + 20 * n**4 * (-72 - v) + 0.3 * (-17 - v) + g_a * a**3 * b * (-75 - v)
        return [
            current + ionic,
            opening_n * (1 - n) - closing_n * n,
            opening_m * (1 - m) - closing_m * m,
            opening_h * (1 - h) - closing_h * h,
            (a_inf - a) / tau_a,
            (b_inf - b) / tau_b,
        ]

    def crossing(t, y, *rest):
        return y[0]

    crossing.direction = 1
    current, dt, duration = 12.0, 0.025, 30.0
    conductances = (0.0, 47.7)
    cell = tdn.HodgkinHuxley(
        [
            ConnorStevensSodium(120.0, 55.0),
            ConnorStevensPotassium(20.0, -72.0),
            tdn.Leak(0.3, -17.0),
            tdn.AType(torch.tensor(conductances)),
        ],
        v_init=-68.0,
        integrator=tdn.RK4(),
        dt=dt,
    )
    m, h, n, a, b = (
        leaf[0, 0].item() for leaf in tdn.core.state.leaves(cell.initial_state(torch.zeros(1, 2)).channels)
    )
    spikes = cell(steps_of([current, current], round(duration / dt)))[:, 0]
    latencies = []
    for column, g_a in zip(spikes.T, conductances, strict=True):
        expected = solve_ivp(
            numpy_cell,
            (0, duration),
            [-68.0, n, m, h, a, b],
            args=(current, g_a),
            events=crossing,
            rtol=1e-9,
            atol=1e-9,
        ).t_events[0]
        times = (column.nonzero().flatten().numpy() + 1) * dt
        assert len(times) == len(expected) >= 1
        assert ((times - expected > -1e-3) & (times - expected < dt + 1e-3)).all()
        latencies.append(times[0])
    assert latencies[1] > 3 * latencies[0]


class ConnorStevensSodium(tdn.IonChannel):
    """A channel as a user writes one."""

    def kinetics(self, v):
        m, tau_m = tdn.from_rates(
            3.8 / tdn.core.numerics.exprel(-(v + 29.7) / 10), 15.2 * torch.exp(-0.0556 * (v + 54.7))
        )
        h, tau_h = tdn.from_rates(0.266 * torch.exp(-0.05 * (v + 48)), 3.8 * torch.sigmoid(0.1 * (v + 18)))
        return tdn.SodiumGates(m, h), tdn.SodiumGates(tau_m, tau_h)

    def openness(self, gates):
        return gates.m**3 * gates.h


class ConnorStevensPotassium(tdn.IonChannel):
    """Another one."""

    def kinetics(self, v):
        n, tau = tdn.from_rates(
            0.2 / tdn.core.numerics.exprel(-(v + 45.7) / 10), 0.25 * torch.exp(-0.0125 * (v + 55.7))
        )
        return tdn.PotassiumGates(n), tdn.PotassiumGates(tau)

    def openness(self, gates):
        return gates.n**4


def test_m_type_slows_the_spikes_down():
    channels = [*squid(), tdn.MType(torch.tensor([0.0, 0.4]), tau_max=300.0)]
    spikes = tdn.HodgkinHuxley(channels, dt=0.1)(steps_of([20.0, 20.0], 800))[:, 0]
    alone, adapting = (column.nonzero().flatten().numpy() for column in spikes.T)
    assert len(adapting) >= 4
    count = min(len(alone), len(adapting))
    assert (adapting[1:count] > alone[1:count]).all()
    # The channel opens from spike to spike.
    lengthening = np.diff(adapting)[:3] - np.diff(alone)[:3]
    assert (np.diff(lengthening) > 0).all()


@exactly
def test_m_type_kinetics_are_the_formula():
    v = np.linspace(-90, 20, 12)
    steady, tau = tdn.MType().kinetics(torch.tensor(v))
    np.testing.assert_allclose(steady.p.numpy(), 1 / (1 + np.exp(-(v + 35) / 10)), rtol=1e-12)
    expected = 608.0 / (3.3 * np.exp((v + 35) / 20) + np.exp(-(v + 35) / 20))
    np.testing.assert_allclose(tau.p.numpy(), expected, rtol=1e-12)


class PersistentGates(NamedTuple):
    p: torch.Tensor


class PersistentSodium(tdn.IonChannel):
    """A further small channel, with a time constant of its own."""

    def kinetics(self, v):
        steady = torch.sigmoid((v + 50) / 5)
        return PersistentGates(steady), PersistentGates(torch.full_like(v, 5.0))

    def openness(self, gates):
        return gates.p


def test_a_channel_of_ones_own_is_one_small_class():
    cell = tdn.HodgkinHuxley([*squid(), PersistentSodium(0.4, 50.0)], dt=0.1)
    trace = tdn.record(cell, steps_of(5.0, 300), ["output", "channels.3.p"])
    assert trace["output"].sum() > tdn.HodgkinHuxley(dt=0.1)(steps_of(5.0, 300)).sum()
    assert 0 < trace["channels.3.p"].min() < trace["channels.3.p"].max() < 1


@exactly
def test_a_leak_alone_is_a_resistor_and_a_capacitor():
    cell = tdn.HodgkinHuxley([tdn.Leak(0.5, -70.0)], C=2.0, v_init=-60.0, dt=0.5)
    _, state = cell.scan(steps_of(3.0, 10))
    target = -70.0 + 3.0 / 0.5
    torch.testing.assert_close(state.v.item(), target + (-60.0 - target) * math.exp(-5.0 * 0.5 / 2.0))


def test_per_neuron_parameters_and_conv_shaped_input():
    g_max = torch.tensor([80.0, 120.0, 160.0]).reshape(3, 1, 1)
    build = functools.partial(tdn.HodgkinHuxley, dt=0.1)
    x = 20 * torch.rand(100, 2, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    spikes, state = build([tdn.Sodium(g_max), tdn.Potassium(), tdn.Leak()]).scan(x)
    assert spikes.shape == x.shape
    assert spikes.sum() > 0
    for channel, g in enumerate((80.0, 120.0, 160.0)):
        alone = build([tdn.Sodium(g), tdn.Potassium(), tdn.Leak()]).scan(x[:, :, channel])[1]
        torch.testing.assert_close(alone.v, state.v[:, channel], rtol=1e-4, atol=1e-3)  # vectorised exp, in a spike


@pytest.mark.parametrize("dt", [0.025, 1.0])
@pytest.mark.parametrize("scale", [0.0, 100.0, 1e6, -1e6])
def test_values_and_gradients_are_finite(scale, dt):
    x = torch.full((40, 1, 3), scale, requires_grad=True)
    learned = [tdn.Sodium(tdn.Learned(120.0)), tdn.Potassium(tdn.Learned(36.0)), tdn.Leak(tdn.Learned(0.3))]
    cell = tdn.HodgkinHuxley([*learned, tdn.AType(), tdn.MType(tau_max=tdn.Learned(608.0))], dt=dt)
    y, state = cell.scan(x)
    (y.sum() + state.v.sum()).backward()
    assert torch.isfinite(state.v).all()
    assert all(torch.isfinite(leaf).all() for leaf in tdn.core.state.leaves(state))
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in cell.parameters())


def test_bad_arguments_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"a step of at most 0\.025 ms for RK4, .*got 0\.1 ms"):
        tdn.HodgkinHuxley(integrator=tdn.RK4(), dt=0.1)
    tdn.HodgkinHuxley(integrator=tdn.RK4(substeps=4), dt=0.1)
    with pytest.raises(TypeError, match="expected ion channels, got AMPA"):
        tdn.HodgkinHuxley([tdn.AMPA()])
    with pytest.raises(ValueError, match="at least one channel"):
        tdn.HodgkinHuxley([])
    with pytest.raises(ValueError, match=r"Sodium\.g_max: expected 0 or a number above it"):
        tdn.Sodium(-1.0)
    with pytest.raises(ValueError, match=r"channels\.0\.g_max to broadcast"):
        tdn.HodgkinHuxley([tdn.Leak(torch.ones(2))])(torch.zeros(5, 1, 3))

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from torch.testing import assert_close

import torchdyn_neuro as tdn

TAU_MEM, TAU_W, A, REST = 20.0, 60.0, 3.0, 0.125
MATRIX = np.array([[-1 / TAU_MEM, -1 / TAU_MEM], [A / TAU_W, -1 / TAU_W]])


def final_error(integrator, dt):
    """The largest error of the potential over a damped oscillation below threshold."""
    cell = tdn.AdLIF(TAU_MEM, TAU_W, a=A, v_rest=REST, integrator=integrator, dt=dt).double()
    state = cell.initial_state(torch.zeros(1, 1, dtype=torch.float64))
    state = state._replace(v=state.v + 0.5)
    error, exact, propagator = 0.0, np.array([0.5, 0.0]), expm(MATRIX * dt)
    for _ in range(int(120 / dt)):
        _, state = cell.step(torch.zeros(1, 1, dtype=torch.float64), state)
        exact = propagator @ exact
        error = max(error, abs(state.v.item() - REST - exact[0]), abs(state.adaptation.item() - exact[1]))
    return error


@pytest.mark.parametrize(
    ("integrator", "order"),
    [(tdn.ExponentialEuler(), 1), (tdn.Euler(), 1), (tdn.Heun(), 2), (tdn.Midpoint(), 2), (tdn.RK4(), 4)],
)
def test_order_of_convergence(integrator, order):
    assert np.iscomplex(np.linalg.eigvals(MATRIX)).all(), "the regime should oscillate"
    errors = [final_error(integrator, dt) for dt in (1.0, 0.5)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_spikes_against_a_fine_solution():
    """Spike count and times of a driven cell at the default step against a step a hundred times shorter, in NumPy."""
    current, b, fine = 6.0, 15.0, 0.01
    propagator = expm(MATRIX * fine)
    rest = -np.linalg.solve(MATRIX, [current / TAU_MEM, 0.0])
    state, times = np.zeros(2), []
    for n in range(int(150 / fine)):
        state = rest + propagator @ (state - rest)
        if state[0] >= 1.0:
            times.append((n + 1) * fine)
            state += [-1.0, b / TAU_W]
    assert len(times) > 5
    cell = tdn.AdLIF(TAU_MEM, TAU_W, a=A, b=b, integrator=tdn.RK4(), dt=0.05).double()
    y = cell(torch.full((3000, 1, 1), current, dtype=torch.float64)).flatten()
    got = ((y.nonzero().flatten() + 1) * 0.05).tolist()
    assert len(got) == len(times)
    # Each spike waits for its grid point, and the wait is handed on to the next one.
    np.testing.assert_allclose(got, times, atol=0.05 * len(times))


def test_exponential_neuron_with_the_part_is_adex():
    """Step by step: C = g_L tau_m, R = 1 / g_L, and each spike adds b."""
    p = dict(tdn.NAUD_2008["adaptation"])
    current = p.pop("current")
    adex = tdn.AdEx(**p).double()
    part = tdn.SubThresholdAdaptation(p["tau_w"], a=p["a"], b=p["b"] * p["tau_w"])
    eif = tdn.EIF(
        p["C"] / p["g_L"], R=1 / p["g_L"], v_rest=p["E_L"], V_T=p["V_T"], Delta_T=p["Delta_T"], v_peak=p["v_peak"],
        v_reset=p["v_reset"], t_ref=0.0, adaptation=part,
    ).double()  # fmt: skip
    # float() keeps the parameters in float32, where 1 / 12 is not what AdEx divides by.
    eif.tau_mem.value, eif.R.value = adex.C() / adex.g_L(), 1 / adex.g_L()
    part.b.value = adex.b() * adex.tau_w()
    x = torch.full((1500, 1, 1), current, dtype=torch.float64)
    got = tdn.record(eif, x, ["v", "adaptation", "output"])
    expected = tdn.record(adex, x, ["v", "w", "output"])
    assert expected["output"].sum() >= 4
    assert torch.equal(got["output"], expected["output"])
    # Rounding, grown in the upstrokes.
    assert_close(got["v"], expected["v"], rtol=1e-7, atol=1e-7)
    assert_close(got["adaptation"], expected["w"], rtol=1e-7, atol=1e-7)


UPSTROKES = {
    "QIF": (
        lambda part, **o: tdn.QIF(adaptation=part, **o),
        lambda v: 0.1 * (v + 65) * (v + 50) / 10,
        0.1, -65.0, 0.0, -65.0, 30.0,
    ),
    "EIF": (
        lambda part, **o: tdn.EIF(adaptation=part, t_ref=0.0, **o),
        lambda v: (-(v + 65) + 3.48 * np.exp((v + 59.9) / 3.48)) / 10,
        0.1, -65.0, 0.0, -68.0, 20.0,
    ),
    "Izhikevich": (
        lambda part, **o: tdn.Izhikevich(a=1e-9, d=0.0, adaptation=part, **o),
        lambda v: 0.04 * v**2 + 5 * v + 140 + 13.0,  # u stays where it starts, at b v = -13
        1.0, -70.0, 30.0, -65.0, 15.0,
    ),
}  # fmt: skip
"""Builder, drift of v, response to a current, rest, peak, reset and a current at which each cell spikes."""


@pytest.mark.parametrize("name", UPSTROKES)
def test_cells_with_an_upstroke_against_scipy(name):
    """Spike times with SciPy's events, and no more of the upstroke in w than there is."""
    build, drift, gain, rest, peak, reset, current = UPSTROKES[name]
    tau, a, b, dt, duration = 40.0, 0.2, 80.0, 0.05, 100.0

    def change(_, y):
        v = min(y[0], peak)
        return [drift(v) + gain * (current - y[1]), (a * (v - rest) - y[1]) / tau]

    def crossing(_, y):
        return y[0] - peak

    crossing.terminal, crossing.direction = True, 1
    start = -65.0
    now, y, times = 0.0, [start, 0.0], []
    while True:
        run = solve_ivp(change, (now, duration), y, events=crossing, method="DOP853", rtol=1e-9, atol=1e-9)
        if run.status == 0:
            break
        now = run.t[-1]
        times.append(now)
        y = [reset, run.y[1, -1] + b / tau]
    assert len(times) >= 4
    cell = build(tdn.SubThresholdAdaptation(tau, a=a, b=b), dt=dt, integrator=tdn.Interpolated(tdn.RK4())).double()
    spikes = cell(torch.full((round(duration / dt), 1, 1), current, dtype=torch.float64)).flatten()
    got = ((spikes.nonzero().flatten() + 1) * dt).numpy()
    assert len(got) == len(times)
    # Each spike is read at the end of its step, and hands nothing on.
    late = got - times
    assert (late >= -0.01 * dt).all()
    assert (late <= 1.01 * dt).all()
    assert np.diff(times)[-1] > 1.2 * times[0], "the cell adapts"


def test_an_overshoot_does_not_leak_into_the_adaptation():
    part = tdn.SubThresholdAdaptation(100.0, a=1.0, b=0.0)
    cell = tdn.EIF(adaptation=part, t_ref=1.5, dt=0.5)
    state = cell.initial_state(torch.zeros(1, 1))._replace(v=torch.full((1, 1), -20.0))
    spikes, state = cell.step(torch.full((1, 1), 1e5), state)
    assert spikes.item() == 1
    # What w gains in one step at the peak, 65 mV above rest.
    assert 0 < state.adaptation.item() <= 0.5 * 65.0 / 100.0


@pytest.mark.parametrize(("b", "rest"), [(0.2, -70.0), (0.25, (-4.75 - math.sqrt(4.75**2 - 22.4)) / 0.08)])
def test_resting_potential_of_the_quadratic_cell_with_recovery(b, rest):
    """The lower root of 0.04 v^2 + 5 v + 140 - b v, where it stays and the adaptation with it."""
    cell = tdn.Izhikevich(b=b, adaptation=tdn.SubThresholdAdaptation()).double()
    assert cell.membrane().rest.item() == pytest.approx(rest, rel=1e-6)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    state = cell.initial_state(zero)._replace(v=zero + rest, u=zero + b * rest)
    state = cell.scan(zero.expand(200, 1, 1), state)[1]
    assert abs(state.v.item() - rest) < 1e-3
    assert abs(state.adaptation.item()) < 1e-3


def test_no_resting_potential_without_a_root():
    """Beyond b = 5 - sqrt(22.4) the cell fires by itself; the bottom of its parabola stands in, with a gradient."""
    b = torch.tensor(0.3, requires_grad=True)
    cell = tdn.Izhikevich(b=tdn.Learned(0.3))
    rest = cell.membrane().rest
    assert rest.item() == pytest.approx(-(5 - b.item()) / 0.08, rel=1e-3)
    rest.backward()
    assert cell.b.raw.grad.isfinite()


class Drifting(tdn.Spiking):
    """A user's cell that names no resting potential."""

    def __init__(self, **parts):
        super().__init__(v_th=1.0, v_reset=0.0, surrogate=tdn.ATan(), integrator=tdn.Euler(), **parts)

    def derivative(self, x_t, state):
        return tdn.IFState(v=x_t)

    def membrane(self):
        return tdn.Membrane(gain=torch.ones(()))


def test_needs_a_resting_potential():
    with pytest.raises(ValueError, match=r"Drifting: expected an equation with a resting potential .* got one without"):
        Drifting(adaptation=tdn.SubThresholdAdaptation())
    Drifting(adaptation=tdn.SpikeFrequencyAdaptation())


def test_a_current_moves_the_variable_that_the_input_moves():
    """Of a resonate-and-fire neuron the real part: an adaptation that is held acts as so much less input."""
    cell = tdn.ResonateAndFire(adaptation=tdn.SubThresholdAdaptation(100.0, a=0.0, b=0.0)).double()
    x_t, state = torch.full((1, 1), 0.3).double(), cell.initial_state(torch.zeros(1, 1).double())
    _, adapted = cell.step(x_t, state._replace(adaptation=torch.full((1, 1), 0.2).double()))
    _, plain = tdn.ResonateAndFire().double().step(x_t - 0.2, tdn.ResonateAndFireState(state.v, state.u))
    torch.testing.assert_close((adapted.v, adapted.u), (plain.v, plain.u))
    assert tdn.ResonateAndFire(adaptation=_OnThreshold())(torch.full((40, 1, 1), 2.0)).sum() > 0


class _OnThreshold(tdn.SubThresholdAdaptation):
    """The threshold follows the potential instead."""

    as_current = False
    on_threshold = True

    def threshold(self, value, v, dt):
        return value


def test_the_published_map_with_its_numbers_as_printed():
    """Bittar & Garner (2022) in NumPy, for values from both ends of their ranges."""
    tau_mem, tau_w = np.array([5.0, 25.0]), np.array([30.0, 120.0])
    alpha, beta = np.exp(-1 / tau_mem), np.exp(-1 / tau_w)
    a, b = np.array([-0.1, 0.9]), np.array([2.0, 0.4])
    current = np.random.default_rng(0).uniform(0, [8, 90], (200, 2))
    u, w, s = np.zeros(2), np.zeros(2), np.zeros(2)
    spikes, adaptation = [], []
    for now in current:
        w = beta * w + a * u + b * s
        u = alpha * (u - s) + (1 - alpha) * (now - w)
        s = (u >= 1).astype(float)
        spikes.append(s)
        adaptation.append(w)
    given = (torch.tensor(value) for value in (2 * tau_mem, 2 * tau_w))
    cell = tdn.AdLIF.from_map(*given, a=torch.tensor(a), b=torch.tensor(b), dt=2.0).double()
    got = tdn.record(cell, torch.tensor(current).unsqueeze(1), ["output", "adaptation"])
    assert (np.sum(spikes, 0) > 8).all()
    # The map holds the current of the adaptation over a step, in which it decays by up to a thirtieth here.
    np.testing.assert_allclose(got["output"].sum(0)[0], np.sum(spikes, 0), atol=1)
    mean = np.mean(adaptation, 0)
    np.testing.assert_allclose(got["adaptation"].mean(0)[0], mean, rtol=0.03)
    # One step from rest there is none yet: a spike adds b' and a potential u adds a' u, as printed.
    cell.v_th = type(cell.v_th)(torch.tensor([0.5, 2.0]).double())
    state = cell.initial_state(torch.zeros(1, 2).double())._replace(v=torch.tensor([[1.0, 1.0]]).double())
    _, state = cell.step(torch.zeros(1, 2).double(), state)
    assert_close(state.adaptation, torch.tensor(a * alpha + b * np.array([1, 0]))[None])

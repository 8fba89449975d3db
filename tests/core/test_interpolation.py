"""Threshold crossings between the points of the grid."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import torchdyn_neuro as tdn
from tests.fused.agreement import assert_agrees
from tests.random_numbers import normal_of, uniforms_of
from torchdyn_neuro.core.state import leaves

TAU, CURRENT = 10.0, 1.7
INTERVAL = TAU * math.log(CURRENT / (CURRENT - 1))


def mean_interval(integrator: tdn.Integrator, dt: float, reset: str) -> float:
    torch.set_default_dtype(torch.float64)
    try:
        cell = tdn.LIF(TAU, reset=reset, integrator=integrator, dt=dt)
        with torch.no_grad():
            spikes = cell(torch.full((round(2000 / dt), 1, 1), CURRENT))
    finally:
        torch.set_default_dtype(torch.float32)
    times = spikes.flatten().nonzero().flatten() * dt
    assert len(times) > 150
    return ((times[-1] - times[0]) / (len(times) - 1)).item()


@pytest.mark.parametrize("reset", ["value", "subtract"])
@pytest.mark.parametrize(
    ("integrator", "order"),
    [(tdn.ExponentialEuler, 4), (tdn.RK4, 4), (tdn.Heun, 2), (tdn.Midpoint, 2), (tdn.Euler, 1)],
)
def test_spike_times_converge_with_the_order_of_the_method(integrator, order, reset):
    """Seven spikes on, the potential tells by how much the last one came at the wrong time.

    The flow of ExponentialEuler is exact, so that what is left is the crossing, of fourth order.
    """
    errors = []
    for dt in (0.5, 0.25):
        cell = tdn.LIF(TAU, reset=reset, integrator=tdn.Interpolated(integrator()), dt=dt).double()
        spikes, state = cell.scan(torch.full((round(64 / dt), 1, 1), CURRENT, dtype=torch.float64))
        assert spikes.sum() == 7
        expected = CURRENT * (1 - math.exp(-(64 - 7 * INTERVAL) / TAU))
        errors.append(abs(state.v.item() - expected) / ((CURRENT - expected) / TAU))
    assert order == 1 or errors[0] < 0.2 * 0.5  # the path of Euler's method itself runs late by dt / (2 tau)
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)


def test_without_interpolation_every_interval_is_rounded_up():
    late = mean_interval(tdn.ExponentialEuler(), 1.0, "value") - INTERVAL
    assert 0.1 < late < 1.0


def adapting(y):
    return [(CURRENT - y[1] - y[0]) / TAU, -y[1] / 40.0]


def moving_threshold(y):
    return [(CURRENT - y[0]) / TAU, -y[1] / 40.0]


@pytest.mark.parametrize(
    ("part", "change", "threshold", "order"),
    [
        (lambda: tdn.SpikeFrequencyAdaptation(40.0, b=8.0), adapting, lambda y: 1.0, 4),
        (lambda: tdn.AdaptiveThreshold(40.0, beta=8.0), moving_threshold, lambda y: 1.0 + y[1], 2),
    ],
    ids=["adaptation", "moving threshold"],
)
def test_the_rest_of_the_state_is_that_of_the_crossing(part, change, threshold, order):
    """Potential and adaptation after several spikes, against SciPy with events."""

    def crossing(_, y):
        return y[0] - threshold(y)

    crossing.terminal = True
    now, y, count = 0.0, np.zeros(2), 0
    while True:
        run = solve_ivp(lambda _, y: change(y), (now, 60.0), y, events=crossing, rtol=1e-11, atol=1e-11)
        now, y = run.t[-1], run.y[:, -1]
        if run.status == 0:
            break
        count += 1
        y = np.array([y[0] - 1.0, y[1] + 8.0 / 40.0])
    errors = []
    for dt in (0.5, 0.25):
        cell = tdn.LIF(TAU, integrator=tdn.Interpolated(tdn.RK4()), adaptation=part(), dt=dt).double()
        spikes, state = cell.scan(torch.full((round(60 / dt), 1, 1), CURRENT, dtype=torch.float64))
        assert spikes.sum() == count >= 3
        errors.append(max(abs(state.v.item() - y[0]), abs(state.adaptation.item() - y[1])))
    assert errors[0] < 1e-4
    # Errors of several crossings of one sign and the other, so that the order is only known from below.
    assert math.log2(errors[0] / errors[1]) > order - 0.7


def test_gradient_is_that_of_the_spike_time():
    """With a surrogate that is zero, what comes through is the derivative of the crossing itself."""
    surrogate = tdn.Rectangular(width=1e-9)

    def run(x, tau, v_th):
        cell = tdn.LIF(surrogate=surrogate, integrator=tdn.Interpolated(tdn.RK4())).double()
        cell.tau_mem.bound, cell.v_th.bound = tau, v_th
        with tdn.backend("eager"):
            spikes, state = cell.scan(x)
        assert spikes.sum() == 3
        return state.v

    x = torch.full((32, 1, 1), 2.6, dtype=torch.float64)
    quantities = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (20.0, 1.0)]
    assert torch.autograd.gradcheck(run, (x.requires_grad_(), *quantities))


SPIKING = {
    "LIF": (lambda **o: tdn.LIF(**o), 3.0),
    "SynapticLIF": (lambda **o: tdn.SynapticLIF(**o), 1.0),
    "QIF": (lambda **o: tdn.QIF(**o), 40.0),
    "EIF": (lambda **o: tdn.EIF(t_ref=0.0, **o), 30.0),
    "AdEx": (lambda **o: tdn.AdEx(**o), 1500.0),
    "Izhikevich": (lambda **o: tdn.Izhikevich(**o), 30.0),
    "GLIF": (lambda **o: tdn.GLIF(t_ref=0.0, **o), 900.0),
    "ResonateAndFire": (lambda **o: tdn.ResonateAndFire(**o), 2.0),
}


@pytest.mark.parametrize("name", SPIKING)
def test_every_cell_is_finite_under_any_input_and_fused_equals_eager(name):
    build, current = SPIKING[name]
    strengths = torch.tensor([0.0, 1.0, 2.0, -1.0, 10.0, -10.0, 1e3, -1e3]) * current
    x = torch.cat([strengths, torch.tensor([1e6, -1e6])]).expand(60, 1, 10).clone()
    x[30:] = x[30:].flip(2)  # from one extreme to the other
    cell = build(integrator=tdn.Interpolated(tdn.RK4()))
    for key, quantity in list(cell.quantities()):
        setattr(cell, key, type(quantity)(tdn.Learned(quantity.start), unit=quantity.unit))
    results = []
    for backend in ("eager", "auto"):
        x.requires_grad_().grad = None
        with tdn.backend(backend):
            spikes, state = cell.scan(x)
            gradients = torch.autograd.grad(
                spikes.sum() + sum(leaf.sum() for leaf in leaves(state)), [x, *cell.parameters()], allow_unused=True
            )
        for value in (spikes, *leaves(state), *(g for g in gradients if g is not None)):
            assert value.isfinite().all()
        results.append(spikes)
    assert results[0].sum() > 3
    # A crossing at the very end of a step may fall into the next one.
    assert (results[0] - results[1]).abs().sum() <= 0.02 * results[0].sum()


@pytest.mark.parametrize("name", SPIKING)
def test_fused_equals_eager(name):
    build, current = SPIKING[name]
    cell = build(integrator=tdn.Interpolated(tdn.RK4()), dt=0.25).double()
    x = current * torch.rand(40, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (spikes, *_), _ = assert_agrees(cell, 2 * x, relative=1e-9)  # gradients of upstrokes magnify rounding
    assert spikes.sum() >= 6


def test_noise_is_held_over_the_step_in_which_it_crosses():
    """With an explicit integrator the path under noise is that under a current."""
    torch.manual_seed(0)
    x = torch.full((60, 1, 4), 1.2, dtype=torch.float64)
    integrator = tdn.Interpolated(tdn.RK4())
    noisy = tdn.LIF(integrator=integrator, noise=tdn.WhiteNoise(2.0)).double()
    start = noisy.initial_state(x[0])
    spikes, state = noisy.scan(x, start)
    z = normal_of(start.noise.key, 60)
    expected, end = tdn.LIF(integrator=integrator).double().scan(x + 2.0 * z)
    assert expected.sum() > 3
    assert torch.equal(spikes, expected)
    torch.testing.assert_close(state.v, end.v)
    with pytest.raises(ValueError, match=r"explicit integrator .* WhiteNoise, got ExponentialEuler"):
        tdn.LIF(integrator=tdn.Interpolated(tdn.ExponentialEuler()), noise=tdn.WhiteNoise())


@pytest.mark.parametrize("method", [tdn.ExponentialEuler(), tdn.RK4()], ids=repr)
def test_a_soft_threshold_is_one_level_in_each_step(method):
    """The number of a step moves its threshold; the key goes on by one, also where it spikes."""
    torch.manual_seed(0)
    cell = tdn.LIF(TAU, integrator=tdn.Interpolated(method), noise=tdn.EscapeNoise(0.5), reset="zero").double()
    x = torch.full((40, 2, 20), CURRENT, dtype=torch.float64)
    start = cell.initial_state(x[0])
    seen, last = cell.scan(x, start)
    assert 40 < seen.sum() < seen.numel() / 2
    assert last.noise.key.dtype == torch.int64
    assert torch.equal(last.noise.key, start.noise.key + 40)
    # Until its first spike a cell only charges: it spikes in the step that ends above the level of the step.
    numbers = uniforms_of(start.noise.key, 40)
    v = CURRENT * (1 - torch.exp(-torch.arange(1, 41, dtype=torch.float64) / TAU))
    above = v[:, None, None] >= 1 + 0.1 * torch.log(-torch.log1p(-numbers) / 0.5)
    assert torch.equal(seen.argmax(0), above.double().argmax(0))


def test_gradient_is_finite_and_fused_equals_eager():
    cell = tdn.LIF(tdn.Learned(TAU), integrator=tdn.Interpolated(tdn.ExponentialEuler()))
    x = torch.linspace(0, 4, 60).reshape(20, 1, 3).requires_grad_()

    def run():
        y = cell(x)
        assert y.sum() > 3
        return (y, *torch.autograd.grad((y * torch.arange(20.0)[:, None, None]).sum(), [x, cell.tau_mem.raw]))

    fused = run()
    with tdn.backend("eager"):
        eager = run()
    for got, expected in zip(fused, eager, strict=True):
        assert torch.isfinite(got).all()
        torch.testing.assert_close(got, expected)


def crossings(cell, x):
    seen = tdn.record(cell, x, ["output", "refractory"])
    times = tdn.crossing_times(seen["output"], seen["refractory"], cell)
    return times[~times.isnan()]


@pytest.mark.parametrize("t_ref", [0.0, 0.2, 2.5, 7.3])
@pytest.mark.parametrize("reset", ["value", "subtract"])
def test_a_refractory_period_is_exact_whatever_the_step(t_ref, reset):
    """Crossings come every t_ref + tau ln(I / (I - 1)), also where the period is no multiple of the step."""
    cell = tdn.LIF(TAU, reset=reset, t_ref=t_ref, integrator=tdn.Interpolated(tdn.ExponentialEuler()), dt=0.25).double()
    times = crossings(cell, torch.full((400, 1, 1), CURRENT, dtype=torch.float64))
    expected = INTERVAL + (INTERVAL + t_ref) * torch.arange(len(times), dtype=torch.float64)
    assert len(times) == math.floor((100 - INTERVAL) / (INTERVAL + t_ref)) + 1
    # The flow is exact; what is left is the crossing itself, of fourth order in dt / tau.
    torch.testing.assert_close(times, expected, rtol=0, atol=1e-6 * len(times))


def test_a_fast_cell_fires_at_the_rate_of_its_refractory_period():
    cell = tdn.LIF(1.0, t_ref=2.5, dt=1.0, integrator=tdn.Interpolated(tdn.ExponentialEuler())).double()
    spikes = cell(torch.full((1000, 1, 1), 1e6, dtype=torch.float64))
    assert spikes.sum() == pytest.approx(1000 / 2.5, abs=1)


@pytest.mark.parametrize(("method", "order"), [(tdn.RK4, 4), (tdn.Heun, 2), (tdn.Euler, 1)])
def test_refractory_crossings_converge_with_the_order_of_the_method(method, order):
    errors = []
    for dt in (0.5, 0.25):
        cell = tdn.LIF(TAU, t_ref=1.3, integrator=tdn.Interpolated(method()), dt=dt).double()
        times = crossings(cell, torch.full((round(64 / dt), 1, 1), CURRENT, dtype=torch.float64))
        errors.append(abs(times[5].item() - (6 * INTERVAL + 5 * 1.3)))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)


UPSTROKES = {
    # Parameters of the equation C dv/dt = g (E - v) + g D exp((v - V) / D) - w + I, tau_w dw/dt = a (v - E) - w.
    "EIF": (lambda **o: tdn.EIF(t_ref=0.0, v_peak=0.0, **o), 12.0, (10.0, 1.0, -65.0, -59.9, 3.48, 0.0, 1.0, 0.0), 0.0),
    "AdEx": (
        lambda **o: tdn.AdEx(**o),
        1200.0,
        (281.0, 30.0, -70.6, -50.4, 2.0, 4.0, 144.0, 80.5),
        20.0,
    ),
}


@pytest.mark.parametrize("name", UPSTROKES)
def test_the_time_of_an_upstroke_has_no_floor(name):
    """The moment at which v reaches its peak, the spike itself, against SciPy: the whole upstroke counts."""
    build, current, (C, g, E, V, D, a, tau_w, b), peak = UPSTROKES[name]
    reset = {"EIF": -68.0, "AdEx": -70.6}[name]

    def change(_, y):
        return [
            (g * (E - y[0]) + g * D * math.exp((y[0] - V) / D) - y[1] + current) / C,
            (a * (y[0] - E) - y[1]) / tau_w,
        ]

    def peaked(_, y):
        return y[0] - peak

    peaked.terminal = True
    now, y, expected = 0.0, [E, 0.0], []
    for _ in range(3):
        run = solve_ivp(change, (0, 200), y, method="DOP853", events=peaked, rtol=1e-13, atol=1e-12)
        now, y = now + run.t[-1], [reset, run.y[1, -1] + b]
        expected.append(now)
    errors = []
    for dt in (0.02, 0.01):
        cell = build(integrator=tdn.Interpolated(tdn.RK4()), dt=dt).double()
        times = crossings(cell, torch.full((round(expected[-1] / dt) + 10, 1, 1), current, dtype=torch.float64))
        errors.append((times[:3] - torch.tensor(expected, dtype=torch.float64)).abs().max().item())
    assert errors[1] < 1e-6
    # At the very end of an upstroke the leak goes as q ln q in its coordinate: there the order falls.
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("method", [tdn.RK4(), tdn.Euler(), tdn.ExponentialEuler()], ids=repr)
@pytest.mark.parametrize("current", [0.0, 10.0])
@pytest.mark.parametrize("v", [1.0, 1.2])
def test_a_cell_held_above_its_threshold_waits_for_the_end_of_its_period(method, current, v):
    """So it can be where a threshold that spikes have raised comes down; it spikes as soon as it is free."""
    cell = tdn.LIF(integrator=tdn.Interpolated(method), t_ref=2.0).double()
    x = torch.full((1, 1), current, dtype=torch.float64)
    start = cell.initial_state(x)
    state = start._replace(v=torch.full_like(x, v), refractory=torch.full_like(x, 1.5))
    spikes, state = cell.step(x, state)
    assert spikes.item() == 0.0
    assert state.v.item() == v
    assert state.refractory.item() == 0.5
    if v > 1.0 or current > 1.0:  # otherwise it leaks below the threshold before the step ends
        spikes, state = cell.step(x, state)
        assert spikes.item() == 1.0
        assert state.refractory.item() == pytest.approx(2.0 - 0.5)
        assert state.v.item() == pytest.approx(v - 1.0)


def test_an_upstroke_held_above_its_threshold_waits_too():
    cell = tdn.QIF(integrator=tdn.Interpolated(tdn.RK4()), t_ref=2.0, dt=1.0).double()
    x = torch.zeros(1, 1, dtype=torch.float64)
    above = cell.v_th().item() + 3.0
    state = cell.initial_state(x)._replace(v=torch.full_like(x, above), refractory=torch.full_like(x, 1.5))
    spikes, state = cell.step(x, state)
    assert spikes.item() == 0.0
    assert state.v.item() == pytest.approx(above)
    spikes, state = cell.step(x, state)
    assert spikes.item() == 1.0
    assert state.refractory.item() == pytest.approx(1.5)

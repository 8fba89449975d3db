"""TwoCompartment against independent linear algebra, root finding and SciPy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import torchdyn_neuro as tdn

from .functional import last_state

C_S, C_D, G_S, G_D, G_C, E_L = 200.0, 100.0, 10.0, 5.0, 10.0, -70.0
SILENT = {"v_th": 1000.0}
DOUBLE = torch.float64


def constant(value, steps):
    return torch.full((steps, 1, 1), float(value), dtype=DOUBLE)


def block(v):
    return 1 / (1 + np.exp(-0.062 * v) / 3.57)


@pytest.mark.parametrize("g_c", [2.0, 10.0, 40.0])
def test_steady_attenuation_from_dendrite_to_soma(g_c):
    cell = tdn.TwoCompartment(g_c=g_c, dt=0.5, **SILENT).double()
    _, state = cell.scan(constant(100.0, 2000))
    soma, dendrite = state.v.item() - E_L, state.v_dendrite.item() - E_L
    torch.testing.assert_close(soma / dendrite, g_c / (g_c + G_S), rtol=1e-9, atol=0)
    matrix = np.array([[G_S + g_c, -g_c], [-g_c, G_D + g_c]])
    np.testing.assert_allclose([soma, dendrite], np.linalg.solve(matrix, [0.0, 100.0]), rtol=1e-9)


def test_steady_attenuation_from_soma_to_dendrite():
    cell = tdn.TwoCompartment(dt=0.5, **SILENT).double()
    _, state = cell.scan(tdn.TwoCompartmentInput(soma=constant(100.0, 2000)))
    ratio = (state.v_dendrite.item() - E_L) / (state.v.item() - E_L)
    torch.testing.assert_close(ratio, G_C / (G_C + G_D), rtol=1e-9, atol=0)


def test_nmda_plateau_is_one_of_two_stable_states_at_one_input():
    g_nmda, g_gaba = 160.0, 20.0

    def inward(v):
        """Net current into the dendrite with the soma in its steady state."""
        passive = G_D + G_C * G_S / (G_C + G_S)
        return passive * (E_L - v) + g_nmda * block(v) * (0 - v) + g_gaba * (-95.0 - v)

    grid = np.linspace(-95, 0, 2000)
    crossings = np.flatnonzero(np.diff(np.sign(inward(grid))))
    low, threshold, plateau = (brentq(inward, grid[k], grid[k + 1], xtol=1e-12) for k in crossings)
    assert plateau - low > 30

    cell = tdn.TwoCompartment([tdn.NMDA(), tdn.GABA_B()], dt=0.25, **SILENT).double()

    def settle(pulse):
        steps = 2400
        current = constant(0.0, steps)
        current[200:320] = pulse
        conductances = constant(g_nmda, steps), constant(g_gaba, steps)
        trace = tdn.record(
            cell, tdn.TwoCompartmentInput(dendrite=current, conductances=conductances), ["v", "v_dendrite"]
        )
        return trace["v_dendrite"].flatten(), trace["v"].flatten()

    quiet, _ = settle(0.0)
    torch.testing.assert_close(quiet[-1].item(), low, rtol=0, atol=1e-6)
    kicked, soma = settle(1500.0)
    assert kicked[319] > threshold
    torch.testing.assert_close(kicked[-1].item(), plateau, rtol=0, atol=1e-6)
    torch.testing.assert_close(soma[-1].item(), E_L + (plateau - E_L) * G_C / (G_C + G_S), rtol=0, atol=1e-6)


def slope(t, y, soma, dendrite, g_nmda):
    v, d = y
    return [
        (G_S * (E_L - v) + G_C * (d - v) + soma(t)) / C_S,
        (G_D * (E_L - d) + G_C * (v - d) + dendrite(t) + g_nmda(t) * block(d) * (0 - d)) / C_D,
    ]


def test_spike_times_agree_with_scipy():
    drive = (
        lambda t: 150.0 + 100.0 * math.sin(t / 10),
        lambda t: 200.0 + 100.0 * math.cos(t / 7),
        lambda t: 30.0 + 20.0 * math.sin(t / 15),
    )
    duration, dt, v_reset = 100.0, 0.02, -60.0

    def threshold(t, y, *rest):
        return y[0] + 50.0

    threshold.terminal, threshold.direction = True, 1
    start, y, expected = 0.0, [E_L, E_L], []
    while start < duration:
        leg = solve_ivp(slope, (start, duration), y, args=drive, events=threshold, rtol=1e-10, atol=1e-10)
        if leg.status != 1:
            break
        start = leg.t_events[0][0]
        y = [v_reset, leg.y[1, -1]]
        expected.append(start)
    middles = (np.arange(round(duration / dt)) + 0.5) * dt
    soma, dendrite, g = (torch.tensor([f(t) for t in middles], dtype=DOUBLE).reshape(-1, 1, 1) for f in drive)
    cell = tdn.TwoCompartment(v_reset=v_reset, dt=dt).double()
    spikes = cell(tdn.TwoCompartmentInput(soma, dendrite, (g,))).flatten()
    times = (spikes.nonzero().flatten().numpy() + 1) * dt
    assert len(times) == len(expected) >= 5
    # A spike is seen at the end of its step, which makes each period late by up to dt; the first-order step adds to it.
    assert (np.abs(times - expected) < 2 * dt * np.arange(1, len(expected) + 1)).all()


@pytest.mark.parametrize(("integrator", "order"), [(tdn.ExponentialEuler(), 1), (tdn.Heun(), 2), (tdn.RK4(), 4)])
def test_order_of_convergence(integrator, order):
    duration, constants = 40.0, (100.0, 150.0, 40.0)
    drive = tuple(lambda t, value=value: value for value in constants)
    reference = solve_ivp(
        slope, (0, duration), [E_L, E_L], args=drive, rtol=1e-13, atol=1e-13, method="DOP853", dense_output=True
    ).sol
    errors = []
    for dt in (0.25, 0.125):
        steps = round(duration / dt)
        soma, dendrite, g = (constant(value, steps) for value in constants)
        cell = tdn.TwoCompartment(integrator=integrator, dt=dt, **SILENT).double()
        trace = tdn.record(cell, tdn.TwoCompartmentInput(soma, dendrite, (g,)), ["v", "v_dendrite"])
        got = torch.stack([trace["v"].flatten(), trace["v_dendrite"].flatten()]).numpy()
        errors.append(np.abs(got - reference(np.arange(1, steps + 1) * dt)).max())
    assert abs(math.log2(errors[0] / errors[1]) - order) < 0.15, errors


@settings(max_examples=40, deadline=None)
@given(
    g=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=8),
    g_c=st.floats(1e-3, 1e4),
    dt=st.floats(1e-3, 1e3),
)
def test_both_potentials_stay_between_the_reversal_potentials(g, g_c, dt):
    cell = tdn.TwoCompartment([tdn.NMDA(), tdn.GABA_B()], g_c=g_c, dt=dt, **SILENT).double()
    conductances = tuple(torch.tensor(column, dtype=DOUBLE).reshape(-1, 1, 1) for column in zip(*g, strict=True))
    trace = tdn.record(cell, tdn.TwoCompartmentInput(conductances=conductances), ["v", "v_dendrite"])
    for v in trace.values():
        # Rounding of a weighted mean of numbers near 100.
        assert v.min() >= -95.0 - 1e-10
        assert v.max() <= 0.0 + 1e-10


def test_the_dendrite_goes_on_while_the_soma_is_refractory():
    cell = tdn.TwoCompartment(t_ref=5.0)
    trace = tdn.record(cell, torch.full((60, 1, 1), 900.0), ["v", "v_dendrite", "output"])
    first = trace["output"].flatten().nonzero()[0].item()
    assert (trace["v"].flatten()[first : first + 6] == -60.0).all()
    assert (trace["v_dendrite"].flatten()[first : first + 6].diff() != 0).all()


def test_gradients_of_the_smooth_part():
    torch.manual_seed(0)
    names = ("C_soma", "C_dendrite", "g_soma", "g_dendrite", "g_c", "E_L")
    values = (C_S, C_D, G_S, G_D, G_C, E_L)
    learned = {name: tdn.Learned(value) for name, value in zip(names, values, strict=True)}
    nmda = tdn.NMDA(E_rev=tdn.Learned(0.0), magnesium=tdn.Learned(1.0))
    cell = tdn.TwoCompartment([nmda], **learned, **SILENT).double()
    parameters = dict(cell.named_parameters())
    assert len(parameters) == 8
    x = [torch.rand(4, 2, 3, dtype=DOUBLE, requires_grad=True) for _ in range(3)]
    v = [(-60 + 5 * torch.rand(2, 3, dtype=DOUBLE)).requires_grad_() for _ in range(2)]

    def end(soma, dendrite, g, v, v_dendrite, *leaves):
        drive = tdn.TwoCompartmentInput(100 * soma, 100 * dendrite, (20 * g,))
        state = tdn.TwoCompartmentState(v, v_dendrite)
        reached = last_state(cell, dict(zip(parameters, leaves, strict=True)), drive, state)
        return reached.v, reached.v_dendrite

    assert torch.autograd.gradcheck(end, (*x, *v, *parameters.values()))


def test_parts_of_the_input_may_be_absent():
    x = 500 * torch.rand(20, 2, 3, generator=torch.Generator().manual_seed(0))
    cell = tdn.TwoCompartment()
    with tdn.backend("eager"):  # bit for bit: a loop with fewer operands is compiled with other roundings
        alone = cell.scan(x)[1]
        named = cell.scan(tdn.TwoCompartmentInput(dendrite=x))[1]
        zeros = cell.scan(tdn.TwoCompartmentInput(torch.zeros_like(x), x, (torch.zeros_like(x),)))[1]
    torch.testing.assert_close(named, alone, rtol=0, atol=0)
    torch.testing.assert_close(zeros, alone, rtol=0, atol=0)


def test_per_neuron_parameters_and_conv_shaped_input():
    g_c = torch.tensor([1.0, 10.0, 40.0]).reshape(3, 1, 1)
    x = 900 * torch.rand(60, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    spikes, state = tdn.TwoCompartment(g_c=g_c).scan(x)
    assert spikes.shape == x.shape
    assert spikes.sum() > 0
    for channel, coupling in enumerate((1.0, 10.0, 40.0)):
        alone = tdn.TwoCompartment(g_c=coupling).scan(x[:, :, channel])[1]
        torch.testing.assert_close(alone.v, state.v[:, channel])


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e6, -1e6])
def test_values_and_gradients_are_finite(scale):
    parts = [torch.full((30, 2, 3), scale, requires_grad=True) for _ in range(3)]
    cell = tdn.TwoCompartment(g_c=tdn.Learned(10.0), g_soma=tdn.Learned(10.0))
    y, state = cell.scan(tdn.TwoCompartmentInput(parts[0], parts[1], (parts[2],)))
    (y.sum() + state.v.sum() + state.v_dendrite.sum()).backward()
    assert torch.isfinite(state.v).all()
    assert torch.isfinite(state.v_dendrite).all()
    assert all(torch.isfinite(part.grad).all() for part in parts)
    assert all(torch.isfinite(p.grad).all() for p in cell.parameters())


def test_bad_arguments_and_input_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"TwoCompartment\.g_soma: expected a number above 0"):
        tdn.TwoCompartment(g_soma=0.0)
    with pytest.raises(ValueError, match="C / g of the dendrite for Euler"):
        tdn.TwoCompartment(integrator=tdn.Euler(), dt=1.0, g_c=200.0, C_soma=2000.0)
    x = torch.zeros(5, 1, 3)
    cell = tdn.TwoCompartment()
    with pytest.raises(TypeError, match="a tensor or a TwoCompartmentInput, got a tuple"):
        cell((x, x))
    with pytest.raises(ValueError, match="at least one input"):
        cell(tdn.TwoCompartmentInput())
    with pytest.raises(ValueError, match=r"for each of NMDA.*got 2 of"):
        cell(tdn.TwoCompartmentInput(conductances=(x, x)))
    with pytest.raises(ValueError, match="inputs of one shape"):
        cell(tdn.TwoCompartmentInput(x, x[:, :, :1]))

"""ConductanceLIF against closed forms, SciPy and bounds."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import torchdyn_neuro as tdn

from .functional import last_state

C, G_L, E_L = 200.0, 10.0, -60.0
SILENT = {"v_th": 1000.0}


def constant(*conductances, steps=1, dtype=torch.float64):
    return tuple(torch.full((steps, 1, 1), float(g), dtype=dtype) for g in conductances)


def test_step_response_is_exact_for_constant_conductances_at_any_dt():
    g_e, g_i, duration = 3.0, 4.0, 12.0
    g = G_L + g_e + g_i
    target = (G_L * E_L + g_i * -70.0) / g
    expected = target + (E_L - target) * math.exp(-duration * g / C)
    for dt in (0.1, 1.0, 4.0):
        cell = tdn.ConductanceLIF(dt=dt, **SILENT).double()
        _, state = cell.scan(constant(g_e, g_i, steps=round(duration / dt)))
        torch.testing.assert_close(state.v.item(), expected, rtol=1e-12, atol=0)


def test_a_current_flows_towards_the_reversal_potential():
    cell = tdn.ConductanceLIF(**SILENT)
    excited = cell.scan(constant(1.0, 0.0, dtype=torch.float32))[1].v
    inhibited = cell.scan(constant(0.0, 1.0, dtype=torch.float32))[1].v
    assert inhibited.item() < E_L < excited.item()


def test_spike_times_agree_with_scipy():
    g_e = lambda t: 6.0 + 3.0 * math.sin(2 * math.pi * t / 40.0)  # noqa: E731
    g_i = lambda t: 2.0 + 1.0 * math.cos(2 * math.pi * t / 25.0)  # noqa: E731
    duration, t_ref, v_th, v_reset, dt = 200.0, 2.0, -50.0, -65.0, 0.02

    def slope(t, v):
        return (G_L * (E_L - v) + g_e(t) * (0.0 - v) + g_i(t) * (-70.0 - v)) / C

    def threshold(t, v):
        return v[0] - v_th

    threshold.terminal, threshold.direction = True, 1
    start, v, expected = 0.0, E_L, []
    while start < duration:
        leg = solve_ivp(slope, (start, duration), [v], events=threshold, rtol=1e-10, atol=1e-10)
        if leg.status != 1:
            break
        expected.append(leg.t_events[0][0])
        start, v = expected[-1] + t_ref, v_reset

    middles = (np.arange(round(duration / dt)) + 0.5) * dt
    g = tuple(torch.tensor([[[f(t)]] for t in middles], dtype=torch.float64) for f in (g_e, g_i))
    cell = tdn.ConductanceLIF(v_th=v_th, v_reset=v_reset, t_ref=t_ref, dt=dt).double()
    spikes = cell(g).flatten()
    times = (spikes.nonzero().flatten().double() + 1) * dt
    assert len(expected) >= 8
    assert len(times) == len(expected)
    # A spike is seen at the end of its step: each period is late by less than dt, and lateness adds up.
    lateness = times - torch.tensor(expected, dtype=torch.float64)
    bound = dt * torch.arange(1, len(expected) + 1)
    assert (lateness > -1e-6).all()
    assert (lateness <= 1.5 * bound).all()


@settings(max_examples=60, deadline=None)
@given(
    g=st.lists(
        st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=8
    ),
    dt=st.floats(1e-3, 1e3),
)
def test_the_potential_stays_between_the_reversal_potentials(g, dt):
    receptors = [tdn.AMPA(), tdn.NMDA(), tdn.GABA_A(), tdn.GABA_B()]
    cell = tdn.ConductanceLIF(receptors, dt=dt, **SILENT).double()
    x = tuple(torch.tensor([step[r] for step in g], dtype=torch.float64).reshape(-1, 1, 1) for r in range(4))
    v = tdn.record(cell, x, ["v"])["v"]
    # Rounding of a weighted mean of numbers near 100.
    assert v.min() >= -95.0 - 1e-10
    assert v.max() <= 0.0 + 1e-10


def test_negative_conductances_count_as_none():
    cell = tdn.ConductanceLIF()
    none, negative = constant(0, 0, steps=5), constant(-7, -1e6, steps=5)
    torch.testing.assert_close(cell.double().scan(negative)[1], cell.scan(none)[1], rtol=0, atol=0)


def test_shunting_inhibition_gives_no_ipsp_but_divides_the_epsp():
    g_e, g_i, duration = 2.0, 15.0, 400.0
    cell = tdn.ConductanceLIF([tdn.AMPA(), tdn.GABA_A(E_rev=E_L)], **SILENT).double()
    steps = round(duration)

    def response(excitation, inhibition):
        return (cell.scan(constant(excitation, inhibition, steps=steps))[1].v - E_L).item()

    assert response(0.0, g_i) == 0.0
    alone, shunted = response(g_e, 0.0), response(g_e, g_i)
    torch.testing.assert_close(alone, g_e * (0 - E_L) / (G_L + g_e), rtol=1e-9, atol=0)
    torch.testing.assert_close(shunted, g_e * (0 - E_L) / (G_L + g_e + g_i), rtol=1e-9, atol=0)
    torch.testing.assert_close(shunted / alone, (G_L + g_e) / (G_L + g_e + g_i), rtol=1e-9, atol=0)


def test_nmda_is_blocked_at_rest_and_open_when_depolarised():
    cell = tdn.ConductanceLIF([tdn.NMDA()], **SILENT).double()
    state = cell.initial_state(torch.zeros(1, 1, dtype=torch.float64))
    for v in (-60.0, -20.0):
        slope = cell.vector_field(
            (torch.full((1, 1), 5.0).double(),), state._replace(v=torch.full((1, 1), v).double())
        ).v
        block = 1 / (1 + 1.0 / 3.57 * math.exp(-0.062 * v))
        expected = (G_L * (E_L - v) + 5.0 * block * (0.0 - v)) / C
        torch.testing.assert_close(slope.item(), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("integrator", "order"),
    [
        (tdn.ExponentialEuler(), 1),
        (tdn.Euler(), 1),
        (tdn.Heun(), 2),
        (tdn.Midpoint(), 2),
        (tdn.RK4(), 4),
    ],
)
def test_order_of_convergence(integrator, order):
    """The magnesium block makes the constant-conductance problem nonlinear, so that no method is exact."""
    duration, g = 40.0, 25.0

    def slope(t, v):
        block = 1 / (1 + np.exp(-0.062 * v) / 3.57)
        return (G_L * (E_L - v) + g * block * (0.0 - v)) / C

    errors, steps = [], [2.0, 1.0, 0.5]
    reference = solve_ivp(slope, (0, duration), [E_L], rtol=1e-13, atol=1e-13, dense_output=True).sol
    for dt in steps:
        cell = tdn.ConductanceLIF([tdn.NMDA()], integrator=integrator, dt=dt, **SILENT).double()
        v = tdn.record(cell, constant(g, steps=round(duration / dt)), ["v"])["v"].flatten().numpy()
        errors.append(np.abs(v - reference(np.arange(1, len(v) + 1) * dt)[0]).max())
    measured = math.log2(errors[-2] / errors[-1])
    assert abs(measured - order) < 0.15, errors


def test_conductances_of_mid_step_make_exponential_euler_second_order():
    duration = 40.0

    def slope(t, v):
        return (G_L * (E_L - v) + 5.0 * (1 + np.sin(t / 5)) * (0.0 - v)) / C

    reference = solve_ivp(slope, (0, duration), [E_L], rtol=1e-13, atol=1e-13, dense_output=True).sol
    errors = []
    for dt in (1.0, 0.5):
        middles = (np.arange(round(duration / dt)) + 0.5) * dt
        g = torch.tensor(5.0 * (1 + np.sin(middles / 5))).reshape(-1, 1, 1)
        cell = tdn.ConductanceLIF([tdn.AMPA()], dt=dt, **SILENT).double()
        v = tdn.record(cell, g, ["v"])["v"].flatten().numpy()
        errors.append(np.abs(v - reference(middles + dt / 2)[0]).max())
    assert abs(math.log2(errors[0] / errors[1]) - 2) < 0.15


def test_gradients_of_the_smooth_part():
    torch.manual_seed(0)
    x = tuple(torch.rand(4, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    v = (-60 + 5 * torch.rand(2, 3, dtype=torch.float64)).requires_grad_()
    receptors = [
        tdn.AMPA(E_rev=tdn.Learned(0.0)),
        tdn.NMDA(magnesium=tdn.Learned(1.0)),
        tdn.GABA_A(E_rev=tdn.Learned(-70.0)),
    ]
    learned = {"C": tdn.Learned(200.0), "g_L": tdn.Learned(10.0), "E_L": tdn.Learned(-60.0)}
    cell = tdn.ConductanceLIF(receptors, **learned, **SILENT).double()
    parameters = {name: p for name, p in cell.named_parameters() if "tau" not in name}
    assert len(parameters) == 6

    def potential(v, *leaves):
        values = dict(zip(parameters, leaves[3:], strict=True))
        return last_state(cell, values, leaves[:3], tdn.ConductanceLIFState(v)).v

    assert torch.autograd.gradcheck(potential, (v, *x, *parameters.values()))


def test_the_three_forms_of_input_agree():
    torch.manual_seed(0)
    x = 10 * torch.rand(20, 2, 2, 3)
    cell = tdn.ConductanceLIF()
    together, state = cell.scan(x)
    apart, other = cell.scan((x[:, :, 0], x[:, :, 1]))
    torch.testing.assert_close(together, apart, rtol=0, atol=0)
    torch.testing.assert_close(state.v, other.v, rtol=0, atol=0)
    assert together.shape == (20, 2, 3)
    assert together.sum() > 0
    stepped = cell.initial_state(x[0])
    for x_t in x:
        _, stepped = cell.step(x_t, stepped)
    # The exponentials of the fused loop and those of torch differ in the last place.
    torch.testing.assert_close(stepped.v, state.v)
    torch.testing.assert_close(tdn.record(cell, x, ["v"])["v"][-1], state.v, rtol=0, atol=0)
    lone = tdn.ConductanceLIF([tdn.AMPA()])
    torch.testing.assert_close(lone(x[:, :, 0]), lone((x[:, :, 0],)), rtol=0, atol=0)


def test_per_neuron_parameters_and_conv_shaped_input():
    g_L = torch.tensor([5.0, 10.0, 20.0]).reshape(3, 1, 1)
    E_inh = torch.tensor([-60.0, -70.0, -80.0]).reshape(3, 1, 1)
    x = 10 * torch.rand(15, 2, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    spikes, state = tdn.ConductanceLIF([tdn.AMPA(), tdn.GABA_A(E_rev=E_inh)], g_L=g_L).scan(x)
    assert spikes.shape == (15, 2, 3, 4, 5)
    assert spikes.sum() > 0
    for channel in range(3):
        alone = tdn.ConductanceLIF([tdn.AMPA(), tdn.GABA_A(E_rev=E_inh[channel].item())], g_L=g_L[channel].item())
        torch.testing.assert_close(alone.scan(x[:, :, :, channel])[1].v, state.v[:, channel], rtol=0, atol=0)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e6, -1e6])
def test_values_and_gradients_are_finite(scale):
    x = torch.full((30, 2, 4, 3), scale, requires_grad=True)
    receptors = [tdn.AMPA(), tdn.NMDA(), tdn.GABA_A(), tdn.GABA_B()]
    cell = tdn.ConductanceLIF(receptors, C=tdn.Learned(200.0), g_L=tdn.Learned(10.0))
    y, state = cell.scan(x)
    (y.sum() + state.v.sum()).backward()
    if scale <= 0:  # a negative conductance counts as none
        torch.testing.assert_close(state.v, torch.full((2, 3), -60.0))
        assert y.sum() == 0
    assert ((state.v >= -95) & (state.v <= 0)).all()  # between the reversal potentials
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in cell.parameters())


def test_half_precision_input_keeps_a_float32_state():
    y, state = tdn.ConductanceLIF().scan(torch.full((20, 1, 2, 3), 10.0, dtype=torch.bfloat16))
    assert y.dtype == torch.bfloat16
    assert state.v.dtype == torch.float32


def test_a_chain_feeds_it():
    torch.manual_seed(0)
    net = tdn.Chain(torch.nn.Linear(4, 6), torch.nn.Unflatten(-1, (2, 3)), tdn.ConductanceLIF())
    x = 20 * torch.rand(5, 2, 4, generator=torch.Generator().manual_seed(0))
    y, state = net.scan(x)
    cell = tdn.ConductanceLIF()
    expected, end = cell.scan(net[1](net[0](x)))
    assert y.shape == (5, 2, 3)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state[-1].v, end.v)
    assert (end.v != -60).any()


def test_learning_moves_the_reversal_potential():
    cell = tdn.ConductanceLIF([tdn.AMPA(), tdn.GABA_A(E_rev=tdn.Learned(-70.0))], **SILENT)
    optimizer = torch.optim.Adam(cell.parameters(), lr=0.5)
    x = constant(2.0, 5.0, steps=40, dtype=torch.float32)
    losses = []
    for _ in range(60):
        loss = (cell.scan(x)[1].v + 65.0).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10


def test_bad_arguments_say_what_is_wrong():
    with pytest.raises(TypeError, match="reversal potential"):
        tdn.ConductanceLIF([tdn.ExponentialSynapse()])
    with pytest.raises(ValueError, match="at least one receptor"):
        tdn.ConductanceLIF([])
    with pytest.raises(ValueError, match=r"ConductanceLIF\.C: expected a number above 0"):
        tdn.ConductanceLIF(C=-1.0)
    with pytest.raises(ValueError, match="C / g_L for Euler"):
        tdn.ConductanceLIF(integrator=tdn.Euler(), dt=50.0)
    with pytest.raises(ValueError, match="v_th above v_reset"):
        tdn.ConductanceLIF(v_th=-70.0)


def test_bad_input_says_what_is_wrong():
    cell = tdn.ConductanceLIF()
    with pytest.raises(ValueError, match=r"AMPA, GABA_A.*receptors on the axis behind the batch"):
        cell(torch.zeros(5, 1, 3))
    with pytest.raises(ValueError, match=r"AMPA, GABA_A.*got 1 of"):
        cell((torch.zeros(5, 1, 3),))
    with pytest.raises(ValueError, match="all of one shape"):
        cell((torch.zeros(5, 1, 3), torch.zeros(5, 1, 4)))
    with pytest.raises(ValueError, match=r"receptors\.1\.E_rev to broadcast"):
        tdn.ConductanceLIF([tdn.AMPA(), tdn.GABA_A(E_rev=torch.tensor([-70.0, -80.0]))])(torch.zeros(5, 1, 2, 3))


def test_adaptation_is_a_current_into_the_membrane():
    a, tau_a, g_e, dt = 80.0, 30.0, 5.0, 2.0
    cell = tdn.ConductanceLIF(adaptation=tdn.SpikeFrequencyAdaptation(tau=tau_a, b=3000.0), dt=dt, **SILENT).double()
    start = cell.initial_state(constant(g_e, 0.0)[0][0])._replace(adaptation=torch.full((1, 1), a).double())
    _, state = cell.step(tuple(g[0] for g in constant(g_e, 0.0)), start)

    def slope(t, y):
        return [(G_L * (E_L - y[0]) + g_e * (0.0 - y[0]) - y[1]) / C, -y[1] / tau_a]

    v, left = solve_ivp(slope, (0, dt), [E_L, a], rtol=1e-12, atol=1e-12).y[:, -1]
    torch.testing.assert_close(state.v.item(), v, rtol=1e-9, atol=0)
    torch.testing.assert_close(state.adaptation.item(), left, rtol=1e-9, atol=0)
    x = constant(8.0, 2.0, steps=300)
    adapting = tdn.ConductanceLIF(adaptation=tdn.SpikeFrequencyAdaptation(tau=tau_a, b=3000.0)).double()
    assert 0 < adapting(x).sum() < tdn.ConductanceLIF().double()(x).sum()


def test_noise_moves_the_potential():
    torch.manual_seed(0)
    cell = tdn.ConductanceLIF(noise=tdn.WhiteNoise(), **SILENT)
    for x in (torch.zeros(5, 4, 2, 3), (torch.zeros(5, 4, 3), torch.zeros(5, 4, 3))):
        v = cell.scan(x)[1].v
        assert v.shape == (4, 3)
        assert len(v.unique()) == 12

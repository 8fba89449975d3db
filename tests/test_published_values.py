"""Default constants make what their sources describe: rest, periods, time courses, from the equations solved here anew.

The AdEx defaults, and the presets of Naud et al. and Izhikevich, stand in the tests of the examples of their papers.
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import map_state


def settled(cell, x, steps):
    """The potentials [N] after ``steps`` of the constant inputs ``x``, a tree of [N], in float64."""
    held = map_state(lambda leaf: leaf.double().expand(steps, 1, -1), x)
    with torch.no_grad():
        return cell.double().scan(held)[1].v[0].numpy()


def intervals(cell, x, steps):
    """The lengths (ms) of the last whole interval between two spikes, one per constant input."""
    held = map_state(lambda leaf: leaf.double().expand(steps, 1, -1), x)
    with torch.no_grad():
        spikes = cell.double()(held)[:, 0]
    return [cell.dt * spikes[:, k].nonzero().flatten().diff()[-1].item() for k in range(spikes.shape[1])]


def test_squid_axon_settles_where_its_currents_cancel():
    """Hodgkin & Huxley (1952), Table 3, in today's sign: v = -65 mV - V, rest where V = 0; uA/cm^2 below threshold."""

    def current(v):
        V = -65 - v
        a_n, b_n = 0.01 * (V + 10) / math.expm1((V + 10) / 10), 0.125 * math.exp(V / 80)
        a_m, b_m = 0.1 * (V + 25) / math.expm1((V + 25) / 10), 4 * math.exp(V / 18)
        a_h, b_h = 0.07 * math.exp(V / 20), 1 / (math.exp((V + 30) / 10) + 1)
        n, m, h = a_n / (a_n + b_n), a_m / (a_m + b_m), a_h / (a_h + b_h)
        # Their leak of -10.613 mV makes the resting current zero.
        return 36 * n**4 * (12 - V) + 120 * m**3 * h * (-115 - V) + 0.3 * (-10.613 - V)

    inputs = [-4.0, -2.0, 0.0, 1.0, 2.0]
    expected = [brentq(lambda v, i=i: current(v) - i, -100.0, -60.0) for i in inputs]
    assert expected[2] == pytest.approx(-65, abs=0.01)
    assert settled(tdn.HodgkinHuxley(), torch.tensor(inputs), 12000) == pytest.approx(expected, abs=0.01)


def test_m_type_holds_a_membrane_back():
    """Pospischil et al. (2008), Fig. 2: 0.075 mS/cm^2 at -90 mV, half open at -35 mV; with a leak of 0.3 at -54.387."""

    def current(v):
        return 0.075 / (1 + math.exp(-(v + 35) / 10)) * (v + 90) + 0.3 * (v + 54.387)

    inputs = [0.0, 5.0, 10.0]
    expected = [brentq(lambda v, i=i: current(v) - i, -90.0, 0.0) for i in inputs]
    cell = tdn.HodgkinHuxley([tdn.Leak(), tdn.MType()], v_th=100.0, dt=0.5)
    assert settled(cell, torch.tensor(inputs), 10000) == pytest.approx(expected, abs=1e-3)


def test_eif_fires_with_the_period_of_its_equation():
    """Fourcaud-Trocme et al. (2003): 10 ms, rest -65, V_T -59.9, Delta_T 3.48, reset -68 mV, refractory for 1.7 ms."""
    inputs = [3.0, 4.0, 8.0]

    def period(current):
        def slowness(v):
            return 10 / (-(v + 65) + 3.48 * math.exp((v + 59.9) / 3.48) + current)

        return 1.7 + quad(slowness, -68, -55)[0] + quad(slowness, -55, 0)[0]

    got = intervals(tdn.EIF(dt=0.01), torch.tensor(inputs), 20000)
    assert got == pytest.approx([period(current) for current in inputs], abs=0.02)
    assert tdn.EIF()(torch.full((5000, 1, 1), 0.98 * (5.1 - 3.48))).sum() == 0  # below the rheobase
    assert tdn.EIF()(torch.full((5000, 1, 1), 1.1 * (5.1 - 3.48))).sum() > 0


def test_conductance_lif_fires_with_the_period_of_its_equation():
    """Vogels & Abbott (2005): 20 ms, rest and reset -60, threshold -50 mV; weights in units of the leak of 10 nS."""
    g_e, g_i = [4.0, 10.0, 8.0], [0.0, 0.0, 5.0]

    def period(e, i):
        tau, end = 20 * 10 / (10 + e + i), (10 * -60 + i * -70) / (10 + e + i)
        return tau * math.log((end + 60) / (end + 50))

    got = intervals(tdn.ConductanceLIF(dt=0.01), (torch.tensor(g_e), torch.tensor(g_i)), 20000)
    assert got == pytest.approx([period(e, i) for e, i in zip(g_e, g_i, strict=True)], abs=0.02)
    rest = settled(tdn.ConductanceLIF(), (torch.zeros(1), torch.zeros(1)), 400)
    assert rest == pytest.approx([-60], abs=1e-6)


def test_izhikevich_rests_at_the_root_of_its_parabola():
    """Izhikevich (2003): 0.04 v^2 + 5 v + 140 = b v; -70 mV for b = 0.2."""
    assert settled(tdn.Izhikevich(), torch.zeros(1), 20000) == pytest.approx([-70], abs=1e-3)
    expected = (-4.75 - math.sqrt(4.75**2 - 4 * 0.04 * 140)) / 0.08
    assert settled(tdn.Izhikevich.preset("LTS"), torch.zeros(1), 20000) == pytest.approx([expected], abs=1e-3)


def test_receptors_close_and_reverse_as_in_the_source():
    """Wang (2002): AMPA closes with 2 ms, GABA_A with 5, NMDA with 100 after a rise of 2; 0, -70 and 0 mV."""
    receptors = [tdn.AMPA(), tdn.NMDA(), tdn.GABA_A()]
    spike = torch.zeros(4000, 1, 3, 1, dtype=torch.float64)
    spike[0] = 1
    ampa, nmda, gaba = (g.flatten().numpy() for g in tdn.ConductanceSynapse(receptors, dt=0.1).double()(spike))
    time = 0.1 * np.arange(4000)
    # Ratios, so that it does not matter whether a frame holds the end of its step or the mean over it.
    assert ampa[1:200] / ampa[1] == pytest.approx(np.exp(-(time[1:200] - 0.1) / 2), rel=1e-5)
    assert gaba[1:200] / gaba[1] == pytest.approx(np.exp(-(time[1:200] - 0.1) / 5), rel=1e-5)
    assert time[nmda.argmax()] == pytest.approx(2 * 100 / 98 * math.log(100 / 2), abs=0.1)
    assert nmda[-1] / nmda[-1001] == pytest.approx(math.exp(-1), rel=1e-4)
    for receptor, reversal in ((tdn.AMPA(), 0.0), (tdn.NMDA(), 0.0), (tdn.GABA_A(), -70.0)):
        cell = tdn.ConductanceLIF([receptor], v_th=1e3)
        assert settled(cell, torch.tensor([1e9]), 100) == pytest.approx([reversal], abs=1e-3)


def test_nmda_is_half_blocked_at_one_potential():
    """Jahr & Stevens (1990): at 1 mM of magnesium, where exp(0.062 v) = 1 / 3.57."""
    half = torch.tensor(-math.log(3.57) / 0.062, dtype=torch.float64)
    got = tdn.NMDA().double().conductance(torch.ones((), dtype=torch.float64), half)
    assert got.item() == pytest.approx(0.5, rel=1e-6)


def test_short_term_plasticity_of_the_prefrontal_cortex():
    """Mongillo, Barak & Tsodyks (2008): U 0.2, tau_F 1500 ms, tau_D 200 ms; pairs of spikes at several intervals."""
    for interval in (10, 100, 1000):
        spikes = torch.zeros(interval + 1, 1, 1, dtype=torch.float64)
        spikes[[0, interval]] = 1
        first, second = tdn.TsodyksMarkram().double()(spikes)[[0, interval], 0, 0].tolist()
        u = 0.2 + 0.2 * (1 - 0.2)
        assert first == pytest.approx(u)
        x = 1 - u * math.exp(-interval / 200)
        u = 0.2 + (u - 0.2) * math.exp(-interval / 1500)
        assert second == pytest.approx((u + 0.2 * (1 - u)) * x, rel=1e-6)


def test_a_type_gates_at_one_potential():
    """At -60 mV, by the formulas of the appendix."""
    v, width = -60.0, torch.float64
    a = (0.0761 * math.exp(0.0314 * (v + 94.22)) / (1 + math.exp(0.0346 * (v + 1.17)))) ** (1 / 3)
    b = (1 + math.exp(0.0688 * (v + 53.3))) ** -4
    tau_a = 0.3632 + 1.158 / (1 + math.exp(0.0497 * (v + 55.96)))
    tau_b = 1.24 + 2.678 / (1 + math.exp(0.0624 * (v + 50)))
    steady, tau = tdn.AType().double().kinetics(torch.tensor(v, dtype=width))
    torch.testing.assert_close(torch.stack([*steady, *tau]), torch.tensor([a, b, tau_a, tau_b], dtype=width))


def test_m_type_gate_at_one_potential():
    """At -35 mV the gate is half open and the two exponentials are one."""
    (steady,), (tau,) = tdn.MType().kinetics(torch.tensor(-35.0))
    assert (steady.item(), tau.item()) == pytest.approx((0.5, 608 / 4.3), rel=1e-6)


def test_gaba_b_is_the_rounded_two_state_receptor():
    """Destexhe, Mainen & Sejnowski (1994): alpha 0.016 / (ms mM), beta 0.0047 / ms, under 1 mM of transmitter."""
    alpha, beta = 0.016, 0.0047
    receptor = tdn.GABA_B()
    assert receptor.E_rev().item() == -95.0
    assert receptor.tau_rise().item() == pytest.approx(1 / (alpha + beta), rel=0.05)
    assert receptor.tau_decay().item() == pytest.approx(1 / beta, rel=0.07)


def test_eif_threshold_is_that_of_the_interneuron_it_was_fitted_to():
    """The steady current of the model of Wang & Buzsaki (1996) has its minimum at V_T."""

    def gate(opening, closing):
        return opening / (opening + closing)

    def current(v):
        m = gate(0.1 * (v + 35) / -np.expm1(-(v + 35) / 10), 4 * np.exp(-(v + 60) / 18))
        h = gate(0.07 * np.exp(-(v + 58) / 20), 1 / (1 + np.exp(-(v + 28) / 10)))
        n = gate(0.01 * (v + 34) / -np.expm1(-(v + 34) / 10), 0.125 * np.exp(-(v + 44) / 80))
        return 0.1 * (v + 65) + 35 * m**3 * h * (v - 55) + 9 * n**4 * (v + 90)

    turning = brentq(lambda v: current(v + 1e-3) - current(v - 1e-3), -62.0, -55.0)
    assert tdn.EIF().V_T().item() == pytest.approx(turning, abs=0.1)  # printed to one decimal


# Naud et al. (2008), Table 1: C, g_L, E_L, a, tau_w, b, v_reset, current. The other six evoke their patterns in the
# test of the example of the paper.
PRINTED = {
    "delayed_regular_bursting": (200, 12, -70, -6, 300, 0, -58, 110),
    "transient_spiking": (100, 10, -65, -10, 90, 30, -47, 350),
}
NAMES = ("C", "g_L", "E_L", "a", "tau_w", "b", "v_reset", "current")


def test_the_two_printed_sets_do_not_evoke_their_patterns_and_the_adapted_ones_do():
    def times(values):
        p = dict(zip(NAMES, map(float, values), strict=True))
        x = torch.full((10000, 1, 1), p.pop("current"))
        return 0.05 * tdn.AdEx(V_T=-50.0, Delta_T=2.0, v_peak=0.0, dt=0.05, **p)(x).flatten().nonzero().flatten()

    bursting, transient = ([tdn.NAUD_2008[name][key] for key in NAMES] for name in PRINTED)
    with torch.no_grad():
        assert len(times(PRINTED["delayed_regular_bursting"])) == 0
        assert len(times(PRINTED["transient_spiking"])) > 50  # fires to the end of the step
        bursts, first = times(bursting), times(transient)
    pauses = (bursts.diff() > 3 * bursts.diff().min()).sum()
    assert bursts[0] > 50
    assert pauses >= 5
    assert 1 <= len(first) <= 3

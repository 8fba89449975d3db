"""Default constants and presets against the numbers of their sources, written down once more."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

import torchdyn_neuro as tdn

DEFAULTS = {
    # Hodgkin & Huxley (1952), Table 3, with the potential of today: -65 mV minus the depolarisation given there. The
    # leak is their 10.6 mV, refined so that rest is at -65 mV.
    "Sodium": {"g_max": 120.0, "E_rev": 50.0},
    "Potassium": {"g_max": 36.0, "E_rev": -77.0},
    "Leak": {"g_max": 0.3, "E_rev": -54.387},
    # Dayan & Abbott (2001), ch. 6: 0.477 mS/mm^2.
    "AType": {"g_max": 47.7, "E_rev": -75.0},
    # Pospischil et al. (2008), Fig. 2: 7.5e-5 S/cm^2.
    "MType": {"g_max": 0.075, "E_rev": -90.0, "tau_max": 608.0},
    # Brette & Gerstner (2005), Table 1.
    "AdEx": {
        "C": 281.0,
        "g_L": 30.0,
        "E_L": -70.6,
        "V_T": -50.4,
        "Delta_T": 2.0,
        "tau_w": 144.0,
        "a": 4.0,
        "b": 80.5,
        "v_reset": -70.6,
    },
    # Fourcaud-Trocme et al. (2003); V_T is computed below.
    "EIF": {"tau_mem": 10.0, "v_rest": -65.0, "V_T": -59.9, "Delta_T": 3.48, "v_reset": -68.0},
    # Vogels & Abbott (2005).
    "ConductanceLIF": {"C": 200.0, "g_L": 10.0, "E_L": -60.0, "v_th": -50.0, "v_reset": -60.0},
    # Izhikevich (2003), regular spiking.
    "Izhikevich": {"a": 0.02, "b": 0.2, "v_reset": -65.0, "d": 8.0},
    # Wang (2002).
    "AMPA": {"E_rev": 0.0, "tau_decay": 2.0},
    "NMDA": {"E_rev": 0.0, "tau_rise": 2.0, "tau_decay": 100.0, "magnesium": 1.0},
    "GABA_A": {"E_rev": -70.0, "tau_decay": 5.0},
    # Mongillo, Barak & Tsodyks (2008).
    "TsodyksMarkram": {"U": 0.2, "tau_f": 1500.0, "tau_d": 200.0},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_the_source(name):
    module = getattr(tdn, name)()
    got = {key: getattr(module, key)().item() for key in DEFAULTS[name]}
    assert got == pytest.approx(DEFAULTS[name], rel=1e-6)


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


# Naud et al. (2008), Table 1: C, g_L, E_L, a, tau_w, b, v_reset, current.
PRINTED = {
    "tonic_spiking": (200, 10, -70, 2, 30, 0, -58, 500),
    "adaptation": (200, 12, -70, 2, 300, 60, -58, 500),
    "initial_burst": (130, 18, -58, 4, 150, 120, -50, 400),
    "regular_bursting": (200, 10, -58, 2, 120, 100, -46, 210),
    "delayed_accelerating": (200, 12, -70, -10, 300, 0, -58, 300),
    "delayed_regular_bursting": (200, 12, -70, -6, 300, 0, -58, 110),
    "transient_spiking": (100, 10, -65, -10, 90, 30, -47, 350),
    "irregular_spiking": (100, 12, -60, -11, 130, 30, -48, 160),
}
NAMES = ("C", "g_L", "E_L", "a", "tau_w", "b", "v_reset", "current")
ADAPTED = ("delayed_regular_bursting", "transient_spiking")


def test_adex_presets_are_the_printed_ones_but_for_two():
    differ = [name for name, p in tdn.NAUD_2008.items() if tuple(p[key] for key in NAMES) != PRINTED[name]]
    assert tuple(differ) == ADAPTED
    for p in tdn.NAUD_2008.values():
        assert (p["V_T"], p["Delta_T"], p["v_peak"]) == (-50.0, 2.0, 0.0)


def test_the_two_printed_sets_do_not_evoke_their_patterns_and_the_adapted_ones_do():
    def times(values):
        p = dict(zip(NAMES, map(float, values), strict=True))
        x = torch.full((10000, 1, 1), p.pop("current"))
        return 0.05 * tdn.AdEx(V_T=-50.0, Delta_T=2.0, v_peak=0.0, dt=0.05, **p)(x).flatten().nonzero().flatten()

    bursting, transient = ([tdn.NAUD_2008[name][key] for key in NAMES] for name in ADAPTED)
    with torch.no_grad():
        assert len(times(PRINTED["delayed_regular_bursting"])) == 0
        assert len(times(PRINTED["transient_spiking"])) > 50  # fires to the end of the step
        bursts, first = times(bursting), times(transient)
    pauses = (bursts.diff() > 3 * bursts.diff().min()).sum()
    assert bursts[0] > 50
    assert pauses >= 5
    assert 1 <= len(first) <= 3


def test_izhikevich_presets():
    """Izhikevich (2003), Fig. 2: a, b, c, d."""
    printed = {
        "RS": (0.02, 0.2, -65, 8),
        "IB": (0.02, 0.2, -55, 4),
        "CH": (0.02, 0.2, -50, 2),
        "FS": (0.1, 0.2, -65, 2),
        "LTS": (0.02, 0.25, -65, 2),
    }
    assert {name: tuple(p[key] for key in "abcd") for name, p in tdn.IZHIKEVICH_2003.items()} == printed

"""The GLIF neurons against a loop in NumPy with the exact solution between grid points."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

import torchdyn_neuro as tdn

C, G, REST, THRESHOLD, RESET = 58.72, 9.43, -78.85, -51.68, -78.85
F_V, DELTA_V, DELTA_S, B_S, A_V, B_V = 0.2, 18.51, 0.37, 0.009, 0.005, 0.09
TAUS, DELTAS, FRACTIONS = np.array([1000 / 3, 10.0]), np.array([-9.18, -198.94]), np.array([0.8, 0.9])
T_REF, DT = 3.8, 0.1


def reference(level: int, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and states [u = v - E_L, I_1, I_2, theta_s, theta_v] by matrix exponentials."""
    with_rule, with_currents, with_voltage = level in (2, 4, 5), level >= 3, level == 5
    rates = np.zeros((6, 6))  # the last row carries the input
    rates[0, [0, 1, 2, 5]] = [-G / C, 1 / C, 1 / C, 1 / C]
    rates[1, 1], rates[2, 2], rates[3, 3], rates[4, 4] = -1 / TAUS[0], -1 / TAUS[1], -B_S, -B_V
    rates[4, 0] = A_V if with_voltage else 0.0
    free, length = expm(rates * DT), round(T_REF / DT)
    cut = length * DT  # what the decays make of the state in the refractory period
    state, left, spikes, trace = np.zeros(6), 0, [], []
    for i in current:
        state[5] = i
        state = state if left else free @ state
        fired = left == 0 and state[0] + REST >= THRESHOLD + state[3] + state[4]
        left = max(left - 1, 0)
        if fired:
            left = length
            state[0] = F_V * state[0] + DELTA_V if with_rule else RESET - REST
            if with_rule:
                state[3] = np.exp(-B_S * cut) * state[3] + DELTA_S
            if with_currents:
                state[1:3] = FRACTIONS * np.exp(-cut / TAUS) * state[1:3] + DELTAS
        spikes.append(float(fired))
        trace.append(state[:5].copy())
    return np.array(spikes), np.array(trace)


@pytest.mark.parametrize("level", range(1, 6))
def test_each_level_against_a_loop(level):
    current = 450 + 150 * np.sin(np.arange(1500) / 200)
    spikes, trace = reference(level, current)
    assert spikes.sum() >= 5
    fractions = {"f_currents": tuple(FRACTIONS)} if level >= 3 else {}
    cell = tdn.GLIF(level, **fractions, t_ref=T_REF, dt=DT).double()
    for key, quantity in cell.quantities():  # the float32 defaults, in full precision
        exact = {"C": C, "g_L": G, "E_L": REST, "v_th": THRESHOLD, "v_reset": RESET, "f_v": F_V, "delta_v": DELTA_V}
        exact |= {"delta_s": DELTA_S, "b_s": B_S, "a_v": A_V, "b_v": B_V}
        exact |= {f"tau_current_{j}": TAUS[j] for j in range(2)} | {f"delta_current_{j}": DELTAS[j] for j in range(2)}
        quantity.value.fill_(exact[key] if key in exact else FRACTIONS[int(key[-1])])
    fields = ["v", "output"]
    fields += ["theta_spike"] * (level in (2, 4, 5)) + ["theta_voltage"] * (level == 5)
    fields += ["currents.0", "currents.1"] * (level >= 3)
    got = {
        key: value.flatten() for key, value in tdn.record(cell, torch.tensor(current).reshape(-1, 1, 1), fields).items()
    }
    expected = {"v": trace[:, 0] + REST, "output": spikes, "theta_spike": trace[:, 3], "theta_voltage": trace[:, 4]}
    expected |= {"currents.0": trace[:, 1], "currents.1": trace[:, 2]}
    for field in fields:
        # RK4 at 0.1 ms: (0.1 / 6.2)**5 / 120 of 30 mV per step.
        torch.testing.assert_close(got[field], torch.tensor(expected[field]), rtol=1e-7, atol=1e-6)


def test_the_defaults_are_the_published_fit():
    numbers = {"C": 58.72, "g_L": 9.43, "E_L": -78.85, "v_th": -51.68, "f_v": 0.2, "delta_v": 18.51, "delta_s": 0.37}
    numbers |= {"b_s": 0.009, "a_v": 0.005, "b_v": 0.09, "f_current_0": 1.0, "f_current_1": 1.0}
    # The source gives the rates of the after-spike currents: 0.003 and 0.1 per ms.
    numbers |= {"tau_current_0": 1 / 0.003, "tau_current_1": 10.0, "delta_current_0": -9.18, "delta_current_1": -198.94}
    cell = tdn.GLIF()
    assert cell.t_ref == 3.75
    assert {name: quantity().item() for name, quantity in cell.quantities()} == pytest.approx(numbers, rel=1e-6)


@pytest.mark.parametrize("level", range(1, 6))
def test_a_level_has_the_parts_it_names(level):
    state = tdn.GLIF(level).initial_state(torch.zeros(1, 1))
    assert isinstance(state.theta_spike, torch.Tensor) == (level in (2, 4, 5))
    assert (state.currents != ()) == (level >= 3)
    assert isinstance(state.theta_voltage, torch.Tensor) == (level == 5)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="level"):
        tdn.GLIF(6)
    with pytest.raises(ValueError, match="one length"):
        tdn.GLIF(3, tau_currents=(10.0,))
    with pytest.raises(ValueError, match="reset below the threshold"):
        tdn.GLIF(2, f_v=1.0, delta_v=5.0)


def test_arguments_of_another_level_are_refused():
    with pytest.raises(ValueError, match=r"expected the arguments of level 1, got f_v, which belong to level 2, 4, 5"):
        tdn.GLIF(1, f_v=0.3)
    with pytest.raises(ValueError, match="expected the arguments of level 2, got a_v"):
        tdn.GLIF(2, a_v=0.3)

"""The cortical microcircuit: against SciPy, its synapse at rest, and working memory by facilitation."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import torchdyn_neuro as tdn


def softplus(x):
    return 1.5 * np.log1p(np.exp(x / 1.5))


def field(state, I_E, I_I=0.0):
    """The equation with the default constants, ms and Hz."""
    E, I, s, u, R = state  # noqa: E741
    return np.array(
        [
            (-E + softplus(5 * s - I - 3 + I_E)) / 10,
            (-I + softplus(E + I_I)) / 10,
            (-s + u * R * E) / 10,
            (0.2 - u) / 1500 + 0.2 * (1 - u) * E / 1000,
            (1 - R) / 200 - u * R * E / 1000,
        ]
    )


CUE, PROBE, END = (200, 500), (2000, 2100), 2300


def protocol(cue, dt=1.0):
    x = torch.zeros(round(END / dt), 1, 1, dtype=torch.float64)
    if cue:
        x[round(CUE[0] / dt) : round(CUE[1] / dt)] = 40.0
    x[round(PROBE[0] / dt) : round(PROBE[1] / dt)] += 10.0
    return x, torch.zeros_like(x)


def by_scipy(cue):
    """Piece by piece, where the input is constant."""
    pieces = [(0, 200, 0.0), (200, 500, 40.0 * cue), (500, 2000, 0.0), (2000, 2100, 10.0), (2100, 2300, 0.0)]
    state, E, u = np.array([0, 0, 0, 0.2, 1.0]), [], []
    for start, end, drive in pieces:
        times = np.arange(start + 1, end + 1)
        run = solve_ivp(lambda _, y, d=drive: field(y, d), (start, end), state, t_eval=times, rtol=1e-10, atol=1e-12)
        state = run.y[:, -1]
        E.append(run.y[0])
        u.append(run.y[3])
    return np.concatenate(E), np.concatenate(u)


def test_working_memory():
    """A cue leaves no trace in the rates of the delay but in u; the same probe then meets a stronger synapse."""
    circuit = tdn.Microcircuit(integrator=tdn.RK4()).double()
    traces = {}
    for cue in (True, False):
        with torch.no_grad(), tdn.backend("auto"):
            found = tdn.record(circuit, protocol(cue), ["E", "u", "R"])
        E, u = found["E"].flatten().numpy(), found["u"].flatten().numpy()
        expected_E, expected_u = by_scipy(cue)
        assert np.abs(E - expected_E).max() < 1e-3
        assert np.abs(u - expected_u).max() < 1e-5
        traces[cue] = E, u
    (cued, u_cued), (plain, u_plain) = traces[True], traces[False]
    delay = slice(PROBE[0] - 500, PROBE[0])
    assert np.abs(cued[delay] - plain[delay]).max() < 0.02  # Hz
    assert cued[CUE[0] : CUE[1]].max() > 30
    assert u_cued[PROBE[0] - 1] > 2 * u_plain[PROBE[0] - 1]
    response = [E[PROBE[0] : PROBE[1]].max() for E in (cued, plain)]
    assert response[0] > 2 * response[1]
    assert cued[-1] == pytest.approx(plain[-1], abs=0.02)


def test_a_reverberating_circuit_has_two_states():
    """With stronger recurrence that recovers faster a cue is held by the rates themselves (bistability)."""
    circuit = tdn.Microcircuit(J=8.0, tau_d=100.0, integrator=tdn.RK4()).double()
    x = protocol(True)[0][:1900]
    with torch.no_grad(), tdn.backend("auto"):
        held, _ = circuit.scan((x, 0 * x))
        silent, _ = circuit.scan((0 * x, 0 * x))
    assert held[-1] > 5 > 0.5 > silent[-1]


@pytest.mark.parametrize(("method", "order"), [(tdn.RK4, 4), (tdn.Heun, 2), (tdn.Euler, 1), (tdn.ExponentialEuler, 1)])
def test_order_of_the_method(method, order):
    duration, errors = 100.0, []
    run = solve_ivp(
        lambda _, y: field(y, 12.0, 3.0), (0, duration), [0, 0, 0, 0.2, 1.0], method="DOP853", rtol=1e-12, atol=1e-13
    )
    for dt in (0.5, 0.25, 0.125):
        x = torch.full((round(duration / dt), 1, 1), 12.0, dtype=torch.float64)
        with torch.no_grad():
            _, state = tdn.Microcircuit(integrator=method(), dt=dt).double().scan((x, x / 4))
        errors.append(np.abs(np.array([leaf.item() for leaf in state]) - run.y[:, -1]).max())
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.3)


def test_the_synapse_settles_where_tsodyks_and_markram_say():
    """At a held rate r: u = U (1 + tau_f r) / (1 + U tau_f r), R = 1 / (1 + tau_d u r), s = u R r."""
    r = 20.0
    circuit = tdn.Microcircuit(J=0.0, w_EI=0.0, I_E=0.0, F_E=torch.nn.Identity()).double()
    x = torch.full((9000, 1, 1), r, dtype=torch.float64)
    with torch.no_grad(), tdn.backend("auto"):
        _, state = circuit.scan((x, 0 * x))
    u = 0.2 * (1 + 1.5 * r) / (1 + 0.2 * 1.5 * r)
    R = 1 / (1 + 0.2 * u * r)
    assert [state.u.item(), state.R.item(), state.s.item()] == pytest.approx([u, R, u * R * r], rel=1e-8)


def test_any_step_keeps_resources_within_bounds():
    circuit = tdn.Microcircuit(dt=500.0)
    x = 1e4 * torch.rand(40, 2, 3)
    _, state = circuit.scan((x, x.flip(0)))
    for leaf in (state.u, state.R):
        assert (leaf >= 0).all()
        assert (leaf <= 1).all()
    with pytest.raises(ValueError, match=r"Microcircuit: expected the inputs \(I_E, I_I\) of both .*, got shape \(40"):
        circuit(x)

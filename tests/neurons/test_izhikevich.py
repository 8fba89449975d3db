"""Izhikevich's neuron: the equation against SciPy, the published scheme against a loop in NumPy."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import torchdyn_neuro as tdn

from .functional import potentials

DURATION, DT, CURRENT = 200.0, 0.05, 10.0


def change(p, y) -> list[float]:
    """The equation."""
    return [0.04 * y[0] ** 2 + 5 * y[0] + 140 - y[1] + CURRENT, p["a"] * (p["b"] * y[0] - y[1])]


def next_spike(p, start: list[float], within: float) -> tuple[float, float]:
    """When the potential reaches its peak, infinity if not ``within``, and the state at the end, by SciPy."""

    def crossing(_, y):
        return y[0] - 30.0

    crossing.terminal, crossing.direction = True, 1
    run = solve_ivp(
        lambda _, y: change(p, y), (0, within), start, events=crossing, method="DOP853", rtol=1e-11, atol=1e-11
    )
    return (run.t[-1] if run.status == 1 else np.inf), run.y[:, -1]


def reference_times(p) -> np.ndarray:
    times, now, start = [], 0.0, [-65.0, -65.0 * p["b"]]
    while True:
        wait, y = next_spike(p, start, DURATION - now)
        if now + wait >= DURATION:
            return np.array(times)
        now += wait
        times.append(now)
        start = [p["c"], y[1] + p["d"]]


@pytest.fixture(scope="module")
def spike_times() -> dict[str, np.ndarray]:
    """The five types in one run, one neuron each."""
    table = {
        key: torch.tensor([p[key] for p in tdn.IZHIKEVICH_2003.values()], dtype=torch.float64)
        for key in ("a", "b", "c", "d")
    }
    with torch.no_grad():
        spikes = tdn.Izhikevich(dt=DT, **table).double()(
            torch.full((round(DURATION / DT), 1, 5), CURRENT, dtype=torch.float64)
        )
    return {name: (spikes[:, 0, i].nonzero()[:, 0].numpy() + 1) * DT for i, name in enumerate(tdn.IZHIKEVICH_2003)}


@pytest.mark.parametrize("name", tdn.IZHIKEVICH_2003)
def test_the_five_types_against_scipy(name, spike_times):
    expected, got = reference_times(tdn.IZHIKEVICH_2003[name]), spike_times[name]
    assert len(expected) >= 5
    assert abs(len(got) - len(expected)) <= (1 if expected[-1] > DURATION - DT * len(expected) else 0)


def test_every_interval_is_rounded_up_to_the_grid():
    """From the state of the cell after each spike, SciPy finds the next one, and it comes within a step."""
    types = tdn.IZHIKEVICH_2003.values()
    table = {key: torch.tensor([p[key] for p in types], dtype=torch.float64) for key in ("a", "b", "c", "d")}
    x = torch.full((3000, 1, 5), CURRENT, dtype=torch.float64)
    with torch.no_grad():
        seen = tdn.record(tdn.Izhikevich(dt=DT, **table).double(), x, ["v", "u", "output"])
    for i, p in enumerate(types):
        before, start = -1, [-65.0, -65.0 * p["b"]]
        steps = seen["output"][:, 0, i].nonzero()[:, 0].tolist()
        assert len(steps) >= 4
        for step in steps:
            late = (step - before) * DT - next_spike(p, start, 200.0)[0]
            # To the error of RK4, which resolves the upstroke at this step.
            assert -1e-3 * DT <= late <= 1.001 * DT
            before, start = step, [seen["v"][step, 0, i].item(), seen["u"][step, 0, i].item()]


@pytest.fixture(scope="module")
def interpolated() -> dict[float, np.ndarray]:
    """The potential of the five types at every half ms, [time, type], with interpolated crossings, by step."""
    types = tdn.IZHIKEVICH_2003.values()
    table = {key: torch.tensor([p[key] for p in types], dtype=torch.float64) for key in ("a", "b", "c", "d")}
    found = {}
    for dt in (0.1, 0.05):
        cell = tdn.Izhikevich(dt=dt, integrator=tdn.Interpolated(tdn.RK4()), **table).double()
        found[dt] = potentials(cell, torch.full((round(0.5 / dt), 1, 5), CURRENT, dtype=torch.float64), 300)
    return found


@pytest.mark.parametrize("name", tdn.IZHIKEVICH_2003)
def test_interpolated_spike_times_converge_with_the_order_of_the_method(name, interpolated):
    """Between two spikes the potential tells how late the last one came: fourth order, far below a step."""
    p, kind = tdn.IZHIKEVICH_2003[name], list(tdn.IZHIKEVICH_2003).index(name)
    now, start, late = 0.0, [-65.0, -65.0 * p["b"]], []
    for _ in range(6):
        wait, y = next_spike(p, start, 200.0)
        now, start = now + wait, [p["c"], y[1] + p["d"]]
        probe = round(2 * now + min(next_spike(p, start, 200.0)[0], 20.0))
        if probe > 300:
            break
        if probe / 2 - now < 0.5:
            continue  # within a burst
        y = next_spike(p, start, probe / 2 - now)[1]
        late.append([(y[0] - interpolated[dt][probe - 1, kind]) / change(p, y)[0] for dt in interpolated])
    assert len(late) >= 3
    coarse, fine = np.abs(late).max(0)
    assert coarse < 0.01 * 0.1
    assert fine < 0.002 * 0.05
    # Errors of several spikes of one sign and the other, so that the order is only known from below.
    assert np.log2(coarse / fine) > 3


@pytest.mark.parametrize("name", tdn.IZHIKEVICH_2003)
def test_the_published_scheme_against_a_loop(name):
    p = tdn.IZHIKEVICH_2003[name]
    current = 10 + 5 * np.sin(np.arange(400) / 20)
    v, u, fired, trace = -65.0, -65.0 * p["b"], [], []
    for i in current:
        fired.append(float(v >= 30))
        if v >= 30:
            v, u = p["c"], u + p["d"]
        for _ in range(2):
            v = v + 0.5 * ((0.04 * v + 5.0) * v + 140.0 - u + i)
        u = u + p["a"] * (p["b"] * v - u)
        trace.append([v, u])
    x = torch.tensor(current).reshape(-1, 1, 1)
    cell = tdn.Izhikevich(
        scheme="izhikevich2003", **{k: torch.tensor(value, dtype=torch.float64) for k, value in p.items()}
    ).double()
    got = tdn.record(cell, x, ["v", "u", "output"])
    assert sum(fired) > 5
    torch.testing.assert_close(got["output"].flatten(), torch.tensor(fired, dtype=torch.float64), rtol=0, atol=0)
    # The same operations in the same order; what is left is the rounding of fused multiply-adds, grown over spikes.
    torch.testing.assert_close(
        torch.stack([got["v"], got["u"]], -1)[:, 0, 0], torch.tensor(trace), rtol=1e-9, atol=1e-9
    )


def test_the_published_scheme_fixes_its_step():
    for wrong in ({"dt": 0.5}, {"integrator": tdn.RK4()}, {"t_ref": 2.0}, {"noise": tdn.WhiteNoise()}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            tdn.Izhikevich(scheme="izhikevich2003", **wrong)
    with pytest.raises(ValueError, match="'izhikevich2003'"):
        tdn.Izhikevich(scheme="2003")


def test_exponential_euler_does_not_apply():
    with pytest.raises(ValueError, match="relaxation"):
        tdn.Izhikevich(integrator=tdn.ExponentialEuler())


def test_an_overshoot_does_not_leak_into_the_recovery():
    # u may move by what it moves in one step at the peak, not by what the overshoot would give.
    start = tdn.IzhikevichState(v=torch.full((1, 1), 25.0), u=torch.zeros(1, 1))
    spikes, state = tdn.Izhikevich(d=0.0).step(torch.full((1, 1), 1e6), start)
    assert spikes.item() == 1
    assert 0 < state.u.item() <= 0.1 * 0.02 * 0.2 * 30.0

"""AdEx against SciPy's integrator with events."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import torchdyn_neuro as tdn

from .functional import potentials

DURATION, DT = 292.0, 0.05
IRREGULAR = "irregular_spiking"  # chaotic: two computations agree for some spikes only


PEAK = 20.0  # mV, that of the default


def change(p, y) -> list[float]:
    """The equation."""
    upstroke = p["g_L"] * p["Delta_T"] * np.exp((y[0] - p["V_T"]) / p["Delta_T"])
    dv = (p["g_L"] * (p["E_L"] - y[0]) + upstroke - y[1] + p["current"]) / p["C"]
    return [dv, (p["a"] * (y[0] - p["E_L"]) - y[1]) / p["tau_w"]]


def next_spike(p, start: list[float], within: float, exact: float = 1e-9) -> tuple[float, float]:
    """When the potential reaches its peak, infinity if not ``within``, and the state at the end, by SciPy."""

    def crossing(_, y):
        # 12 times Delta_T above V_T; from here to the peak only the exponential counts.
        return y[0] - p["V_T"] - 24.0

    crossing.terminal = True
    run = solve_ivp(
        lambda _, y: change(p, y), (0, within), start, events=crossing, method="DOP853", rtol=exact, atol=exact
    )
    assert run.status >= 0, run.message
    upstroke = p["C"] / p["g_L"] * (np.exp(-12) - np.exp((p["V_T"] - PEAK) / p["Delta_T"]))
    return (run.t[-1] + upstroke if run.status == 1 else np.inf), run.y[:, -1]


def reference_times(p) -> np.ndarray:
    """Spike times; the clock restarts at each spike, so that its resolution does not limit the step."""
    times, now, start = [], 0.0, [p["E_L"], 0.0]
    while True:
        wait, y = next_spike(p, start, DURATION - now)
        if now + wait >= DURATION:
            return np.array(times)
        now += wait
        times.append(now)
        start = [p["v_reset"], y[1] + p["b"]]


@pytest.fixture(scope="module")
def spike_times() -> dict[str, np.ndarray]:
    """All eight patterns in one run, one neuron each."""
    patterns = tdn.NAUD_2008.values()
    table = {key: torch.tensor([p[key] for p in patterns], dtype=torch.float64) for key in next(iter(patterns))}
    current = table.pop("current").expand(round(DURATION / DT), 1, 8)
    with torch.no_grad():
        spikes = tdn.AdEx(dt=DT, **table)(current)[:, 0]
    return {name: (spikes[:, i].nonzero()[:, 0].numpy() + 1) * DT for i, name in enumerate(tdn.NAUD_2008)}


@pytest.mark.parametrize("name", tdn.NAUD_2008)
def test_the_eight_patterns_against_scipy(name, spike_times):
    expected, got = reference_times(tdn.NAUD_2008[name]), spike_times[name]
    assert len(expected) >= 1
    if name == IRREGULAR:
        assert abs(len(got) - len(expected)) <= 2
    else:
        assert len(got) == len(expected)


def test_every_interval_is_rounded_up_to_the_grid():
    """From the state of the cell after each spike, SciPy finds the next one: nothing adds up, even where it is chaotic.

    The cell spikes at the first point of the grid after it, or at the second, where a step in which the upstroke begins
    falls short of the peak.
    """
    patterns, dt = tdn.NAUD_2008.values(), 0.1
    table = {key: torch.tensor([p[key] for p in patterns], dtype=torch.float64) for key in next(iter(patterns))}
    x = table.pop("current").expand(1500, 1, 8)
    with torch.no_grad():
        seen = tdn.record(tdn.AdEx(dt=dt, **table), x, ["v", "w", "output"])
    for i, p in enumerate(patterns):
        before, start = -1, [p["E_L"], 0.0]
        steps = seen["output"][:, 0, i].nonzero()[:, 0].tolist()
        assert len(steps) >= 1
        for step in steps:
            late = (step - before) * dt - next_spike(p, start, 200.0)[0]
            assert -1e-6 <= late <= 2 * dt
            before, start = step, [seen["v"][step, 0, i].item(), seen["w"][step, 0, i].item()]


@pytest.fixture(scope="module")
def interpolated() -> dict[float, np.ndarray]:
    """The potential of the eight patterns at every whole ms, [ms, pattern], with interpolated crossings, by step."""
    patterns = tdn.NAUD_2008.values()
    table = {key: torch.tensor([p[key] for p in patterns], dtype=torch.float64) for key in next(iter(patterns))}
    current, found = table.pop("current"), {}
    for dt in (0.1, 0.05):
        cell = tdn.AdEx(dt=dt, integrator=tdn.Interpolated(tdn.RK4()), **table)
        found[dt] = potentials(cell, current.expand(round(1 / dt), 1, 8), 150)
    return found


@pytest.mark.parametrize("name", tdn.NAUD_2008)
def test_interpolated_spike_times_against_scipy(name, interpolated):
    """Between two spikes the potential tells how late the last one came: early on, a hundredth of a step at most.

    The time is right to fourth order; what the adaptation gathers in the upstroke, where the potential is a logarithm
    of time, is right to a small fraction of what a step gathers, which later bursts magnify.
    """
    p, pattern = tdn.NAUD_2008[name], list(tdn.NAUD_2008).index(name)
    now, start, late = 0.0, [p["E_L"], 0.0], []
    for _ in range(3 if name == IRREGULAR else 4):
        wait, y = next_spike(p, start, 200.0, 1e-11)
        if now + wait > 140:
            break
        now, start = now + wait, [p["v_reset"], y[1] + p["b"]]
        after = next_spike(p, start, 200.0, 1e-11)[0]
        probe = round(now + min(after, 20.0) / 2)
        if after < 3 or probe > 150:
            continue  # within a burst there is no whole ms well away from spikes
        y = next_spike(p, start, probe - now, 1e-11)[1]
        late.append([(y[0] - interpolated[dt][probe - 1, pattern]) / change(p, y)[0] for dt in interpolated])
    assert late
    steps = np.array(list(interpolated))
    assert (np.abs(late) <= 0.01 * steps).all()


def test_an_overshoot_does_not_leak_into_the_adaptation():
    # The upstroke spans many peaks within one step; w may move by what it moves in one step at the peak.
    cell = tdn.AdEx(dt=0.5, b=0.0)
    start = tdn.AdExState(v=torch.full((1, 1), -30.0), w=torch.zeros(1, 1))
    spikes, state = cell.step(torch.full((1, 1), 1e5), start)
    assert spikes.item() == 1
    assert 0 < state.w.item() <= 0.5 * 4.0 * (20.0 + 70.6) / 144.0


def test_a_spike_resets_the_potential_and_raises_the_adaptation():
    start = tdn.AdExState(v=torch.full((1, 1), 30.0), w=torch.full((1, 1), 10.0))
    cell = tdn.AdEx(tau_w=1e9)
    spikes, state = cell.step(torch.zeros(1, 1), start)
    assert spikes.item() == 1
    torch.testing.assert_close(state.v, torch.full((1, 1), -70.6))
    torch.testing.assert_close(state.w, torch.full((1, 1), 90.5))


def test_presets_take_changes_and_name_the_known_ones():
    assert tdn.AdEx.preset("tonic_spiking", b=7.0).b().item() == 7.0
    with pytest.raises(ValueError, match="'tonic_spiking'"):
        tdn.AdEx.preset("tonic")


def test_values_out_of_bounds():
    with pytest.raises(ValueError, match=r"v_peak above V_T"):
        tdn.AdEx(v_peak=-55.0)
    with pytest.raises(ValueError, match=r"AdEx.C"):
        tdn.AdEx(C=0.0)
    with pytest.raises(ValueError, match=r"C / g_L"):
        tdn.AdEx(dt=20.0)
    tdn.AdEx(dt=20.0, integrator=tdn.ExponentialEuler())

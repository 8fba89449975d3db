"""Every example finds what its docstring promises: its figures against those of the paper, or computed here anew."""

import ast
import inspect
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from torchdyn_neuro.data.yin_yang import yin_yang

from .loading import EXAMPLES, NAMES, PATHS, load
from .references import (
    adex_spikes,
    izhikevich_printed,
    izhikevich_spikes,
    releases,
    shunted_membrane,
    squid_axon,
)


def test_every_example_is_tested():
    source = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert not [name for name in NAMES if f'load("{name}")' not in source]


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_the_script_calls_main_with_its_arguments(path, monkeypatch):
    """The last lines, through which the tests below do not pass."""
    *_, last = ast.parse(path.read_text()).body
    assert ast.unparse(last.test) == "__name__ == '__main__'"
    calls, main = [], load(str(path.relative_to(EXAMPLES).with_suffix(""))).main
    takes_picture = "picture" in inspect.signature(main).parameters
    monkeypatch.setattr(sys, "argv", [str(path), "my.png"] if takes_picture else [str(path)])
    scope = {"__name__": "__main__", "sys": sys, "Path": Path, "main": lambda *given: calls.append(given)}
    exec(ast.unparse(last), scope)
    assert calls == [(Path("my.png"),) if takes_picture else ()]
    inspect.signature(main).bind()


def test_custom_neuron():
    """It oscillates where the fixed point loses its stability, and learns the tau that made the oscillation."""
    figures = load("custom_neuron").main()
    tau, a, b = 12.5, 0.7, 0.8
    v = -math.sqrt(1 - b / tau)  # the trace of the Jacobian, 1 - v^2 - b / tau, is 0
    hopf = (v + a) / b - v + v**3 / 3
    assert hopf < figures["onset"] < hopf + 0.05  # the next current of the grid
    assert figures["tau"] == pytest.approx(tau, rel=0.01)  # from 10


def test_drop_into_resnet():
    example = load("drop_into_resnet")
    figures = example.main(samples=16, steps=14)
    assert figures["losses"][0] == pytest.approx(math.log(10), abs=0.4)  # ten classes, chance
    assert figures["losses"][-1] < 0.75 * math.log(10)
    assert 1e-4 < abs(figures["tau"] - 2) < 1


def test_quickstart(picture):
    figures = load("quickstart").main(picture)
    true = np.linspace(5, 40, 48)
    error = abs(figures["tau"].numpy() - true) / true
    assert np.median(error) < 0.02 < 0.3 < np.median(abs(15 - true) / true)  # where the search starts
    assert figures["error"] == pytest.approx(np.sort(error)[23], abs=1e-6)


def test_streaming():
    figures = load("streaming").main()
    assert figures["difference"] <= 1e-5 * figures["largest"]
    assert figures["largest"] > 0.01  # spikes reach the readout
    assert figures["afresh"] == [True, False]


def test_live_events():
    assert load("live_events").main()["share"] >= 0.75  # chance is a quarter


def test_bellec_2018(picture):
    figures = load("papers/Bellec_2018").main(picture)
    assert figures["ALIF"] >= 0.95
    assert figures["LIF"] < 0.6  # of two bits, chance is a half


def test_bellec_2020(picture):
    """A few iterations; a whole run checks what it finds itself, and memory is that of tests/learning."""
    example = load("papers/Bellec_2020")
    figures = example.main(picture, iterations=6, lengths=())
    assert set(figures["accuracy"]) == set(example.METHODS)
    assert all(0.4 < accuracy < 1 for accuracy in figures["accuracy"].values())
    assert 0.1 < figures["cosine"]["recurrent weights"] < 1
    torch.manual_seed(0)
    x, side = example.trials(500)
    cues = x[: example.CUES * (example.CUE + example.GAP)].unflatten(2, (4, example.GROUP)).sum((0, 3))
    assert ((cues[:, 1] > cues[:, 0]).long() == side).float().mean() > 0.99  # the side that was right


def lateness(times, dt=0.1):
    """A spike on the grid is late by up to a step; that delays those after it, some by more."""
    return 2 * dt * len(times)


def test_brette_gerstner_2005(picture):
    figures = load("papers/Brette_Gerstner_2005").main(picture, dt=0.1)
    regular, rebound = figures["Fig. 2C: regular spiking"], figures["Fig. 3D: post-inhibitory rebound"]
    common = {"C": 281, "g_L": 30, "V_T": -50.4, "Delta_T": 2, "b": 80.5, "v_peak": 20}
    cell = {**common, "E_L": -70.6, "v_reset": -70.6, "a": 4, "tau_w": 144}
    times, states = adex_spikes(lambda t: 500 if t < 200 else 0 if t < 500 else 800, 1000, **cell)
    assert regular["times"] == pytest.approx(times, abs=lateness(times))
    assert regular["highest"] == pytest.approx(states[:20000, 0].max(), abs=0.05)
    assert min(regular["times"]) > 500  # the first pulse stays below threshold
    intervals = np.diff(regular["times"])
    assert (np.diff(intervals) > -0.2).all()
    assert intervals[-1] > 2 * intervals[0]

    cell = {**common, "E_L": -60, "v_reset": -60, "a": 80, "tau_w": 720}
    times, states = adex_spikes(lambda t: -800 if t < 400 else 0, 1000, **cell)
    assert rebound["times"] == pytest.approx(times, abs=lateness(times))
    assert len(times) > 0
    assert rebound["lowest_w"] == pytest.approx(states[:, 1].min(), rel=0.01)
    assert rebound["sag"] == pytest.approx(states[39999, 0] - states[:40000, 0].min(), abs=0.1)
    assert rebound["lowest_w"] < 0 < rebound["sag"]
    assert rebound["end"] == pytest.approx(states[-1, 0], abs=0.1)


def test_hodgkin_huxley_1952(picture):
    figures = load("papers/Hodgkin_Huxley_1952").main(picture, dt=0.02)
    assert [peak > 0 for peak in figures["peak"]] == [True, True, True, False]  # 90, 15, 7 and 6 mV
    for k, shock in enumerate((90, 15, 7, 6)):
        times, (v, *gates) = squid_axon(shock, 20)
        late = times > 0.2
        assert figures["peak"][k] == pytest.approx(v[late].max(), abs=0.2)
        assert figures["trough"][k] == pytest.approx(v.min(), abs=0.05)
        assert figures["latency"][k] == pytest.approx(times[late][v[late].argmax()], abs=0.1)
        if shock == 15:
            for found, expected in zip(figures["gates"].values(), gates, strict=True):
                assert np.interp(times, 0.02 * np.arange(1001), found) == pytest.approx(expected, abs=0.01)


# Izhikevich (2003), Fig. 2: a, b, c, d.
IZHIKEVICH = {
    "RS": (0.02, 0.2, -65, 8),
    "IB": (0.02, 0.2, -55, 4),
    "CH": (0.02, 0.2, -50, 2),
    "FS": (0.1, 0.2, -65, 2),
    "LTS": (0.02, 0.25, -65, 2),
}


def test_izhikevich_2003(picture):
    def current(t):
        return 10.0 * (t >= 30)

    figures = load("papers/Izhikevich_2003").main(picture)
    intervals = {}
    for name, values in IZHIKEVICH.items():
        times = izhikevich_spikes(current, 350, *values)
        assert figures["ode"][name] == pytest.approx(times, abs=lateness(times)), name
        assert figures["izhikevich2003"][name] == pytest.approx(izhikevich_printed(current, 350, *values)), name
        intervals[name] = np.diff(figures["ode"][name])
    # What gives each type its name.
    assert intervals["RS"][-1] > 1.3 * intervals["RS"][0]
    assert intervals["IB"][0] < 0.5 * intervals["IB"][-1]
    assert (intervals["CH"] < 6).sum() >= 4
    assert (intervals["CH"] > 10).sum() >= 3
    assert intervals["FS"][2:].max() < 1.1 * intervals["FS"][2:].min()
    assert intervals["FS"][-1] < 0.5 * intervals["RS"][-1]
    assert intervals["LTS"][-1] > 1.2 * intervals["LTS"][0]


# Naud et al. (2008), Table 1: C, g_L, E_L, a, tau_w, b, v_reset, current. The sixth and the seventh as adapted in the
# documentation of Brian 2.
NAUD = {
    "tonic_spiking": (200, 10, -70, 2, 30, 0, -58, 500),
    "adaptation": (200, 12, -70, 2, 300, 60, -58, 500),
    "initial_burst": (130, 18, -58, 4, 150, 120, -50, 400),
    "regular_bursting": (200, 10, -58, 2, 120, 100, -46, 210),
    "delayed_accelerating": (200, 12, -70, -10, 300, 0, -58, 300),
    "delayed_regular_bursting": (100, 10, -65, -10, 90, 30, -47, 110),
    "transient_spiking": (100, 10, -65, 10, 90, 100, -47, 180),
    "irregular_spiking": (100, 12, -60, -11, 130, 30, -48, 160),
}


def test_naud_2008(picture):
    figures = load("papers/Naud_2008").main(picture)
    assert list(figures) == list(NAUD)
    for name, (C, g_L, E_L, a, tau_w, b, v_reset, step) in NAUD.items():
        cell = {"C": C, "g_L": g_L, "E_L": E_L, "a": a, "tau_w": tau_w, "b": b, "v_reset": v_reset}
        cell |= {"V_T": -50, "Delta_T": 2, "v_peak": 0}
        times, _ = adex_spikes(lambda t, step=step: step if t >= 20 else 0, 420, **cell)
        if name == "irregular_spiking":  # any error grows there
            assert figures[name][:4] == pytest.approx(times[:4], abs=2)
            assert len(figures[name]) == pytest.approx(len(times), abs=3)
        else:
            assert figures[name] == pytest.approx(times, abs=lateness(times)), name
    # What gives each pattern its name.
    intervals = {name: np.diff(times) for name, times in figures.items()}
    assert intervals["tonic_spiking"].max() < 1.1 * intervals["tonic_spiking"].min()
    assert (np.diff(intervals["adaptation"]) > -0.2).all()
    assert intervals["adaptation"][-1] > 3 * intervals["adaptation"][0]
    assert intervals["initial_burst"][:2].max() < 10 < 50 < intervals["initial_burst"][2:].min()
    for name in ("regular_bursting", "delayed_regular_bursting"):
        assert (intervals[name] < 10).sum() >= 2 <= (intervals[name] > 40).sum()
    assert intervals["delayed_accelerating"][-1] < 0.7 * intervals["delayed_accelerating"][0]
    assert len(figures["transient_spiking"]) == 1
    irregular = intervals["irregular_spiking"][2:]
    assert irregular.std() > 0.2 * irregular.mean()


def test_tsodyks_1998(picture):
    figures = load("papers/Tsodyks_1998").main(picture)
    depressing, facilitating = (0.5, None, 800), (0.03, 530, 130)
    trains = ((depressing, 20), (facilitating, 20), (facilitating, 70))
    # tau_inact and tau_mem in ms, A in pA and R in GOhm.
    cells = ((3, 40, 250, 0.1), (1.5, 60, 1540, 1), (1.5, 60, 1540, 1))
    for k, ((values, rate), (inact, mem, A, R)) in enumerate(zip(trains, cells, strict=True)):
        released = releases(20, 1000 / rate, *values)
        # Spikes lie on a grid of 0.05 ms.
        assert figures["released"][k] == pytest.approx(released, rel=2e-3)
        lag = np.arange(0, 1200, 0.05) - 1000 / rate * np.arange(20)[:, None]
        shape = np.where(lag >= 0, (np.exp(-lag / mem) - np.exp(-lag / inact)) * inact / (mem - inact), 0)
        assert figures["highest"][k] == pytest.approx((A * R * released[:, None] * shape).sum(0).max(), rel=0.03)
    for name, values in (("depressing", depressing), ("facilitating", facilitating)):
        for rate, response in figures["tuning"][name].items():
            interval = round(1000 / rate)  # of whole milliseconds
            assert response == pytest.approx(releases(2000, interval, *values)[-1] / values[0], rel=0.02), (name, rate)
    assert figures["best"] == pytest.approx(1000 * (0.03 * 530 * 130) ** -0.5, rel=0.3)
    responses = list(figures["tuning"]["depressing"].values())
    assert responses == sorted(responses, reverse=True)


def test_tsodyks_markram_1997(picture):
    figures = load("papers/Tsodyks_Markram_1997").main(picture)
    U, tau_d = 0.55, 800
    for rate, released in figures["depressing"].items():
        gone = math.exp(-1000 / rate / tau_d)
        assert released == pytest.approx(U * (1 - gone) / (1 - (1 - U) * gone), rel=1e-3)
    for rate, released in figures["facilitating"].items():
        assert released == pytest.approx(releases(2000, 1000 / rate, 0.05, 1000, 50)[-1], rel=0.02)
    assert figures["depressing"][100.0] * 100 == pytest.approx(1000 / tau_d, rel=0.02)  # the limit, per second
    assert figures["depressing"][1.0] * 1 < 0.5 * 1000 / tau_d  # below 1 / (U tau_d), 2.3 Hz


def test_wunderlich_2021(picture):
    """With a twelfth of the training both gradients do what no linear readout can; events and clock are one network."""
    figures = load("papers/Wunderlich_2021").main(picture, samples=1000, epochs=5)
    linear = LogisticRegression().fit(*map(np.asarray, yin_yang(5000, seed=3)))
    baseline = linear.score(*map(np.asarray, yin_yang(1000, seed=2)))
    exact, surrogate = figures["exact spike-time gradient"], figures["surrogate gradient"]
    for figure in (exact, surrogate):
        assert len(figure["errors"]) == 5
        assert min(figure["by_events"], figure["by_clock"]) > baseline > 0.6
        assert figure["by_events"] == pytest.approx(figure["by_clock"], abs=0.05)
    assert exact["by_events"] == pytest.approx(1 - exact["errors"][-1], abs=1e-6)
    assert surrogate["by_clock"] == pytest.approx(1 - surrogate["errors"][-1], abs=1e-6)


def test_delay_detection(picture):
    figures = load("papers/delay_detection").main(picture)
    assert figures["learned"] > 0.95
    assert figures["weights"] < 0.6  # of two classes, chance is a half
    # Delays line up what runs up or down over the inputs in steps of 6 ms: their slopes are -6 and 6.
    slopes = np.polyfit(np.arange(4), np.array(figures["delays"]).T, 1)[0]
    assert sorted(np.sign(slopes)) == [-1, 1]


def test_psp_shapes(picture):
    figures = load("papers/psp_shapes").main(picture)

    def peak(rise, decay):
        return rise * decay / (decay - rise) * math.log(decay / rise)

    time = np.arange(0, 100, 0.001)
    kernel = np.exp(-time / 20)
    currents = {
        "exponential": (np.exp(-time / 5), 0.0),
        "alpha": (time / 5 * np.exp(1 - time / 5), 5.0),
        "double exponential": (np.exp(-time / 5) - np.exp(-time), peak(1, 5)),
    }
    for name, (current, expected) in currents.items():
        assert figures[name]["height"] == pytest.approx(1, abs=1e-3)
        assert figures[name]["current"] == pytest.approx(expected, abs=0.1)
        # Of a membrane of 20 ms, by the integral of the current.
        potential = kernel * np.cumsum(current / kernel)
        assert figures[name]["potential"] == pytest.approx(time[potential.argmax()], abs=0.2)
    assert figures["joint"]["potential"] == pytest.approx(peak(5, 20), abs=0.1)


def test_shunting_inhibition(picture):
    figures = load("papers/shunting_inhibition").main(picture)
    assert figures["excitation"] == pytest.approx(shunted_membrane(20, 0, -60)[0] + 60, rel=0.02)
    assert figures["shunted"] == pytest.approx(shunted_membrane(20, 60, -60)[0] + 60, rel=0.02)
    assert figures["hyperpolarising"] == pytest.approx(shunted_membrane(0, 60, -80)[1] + 60, rel=0.02)
    assert figures["shunt"] < 1e-4
    assert figures["shunted"] < 0.7 * figures["excitation"]
    for inhibition, depolarisation in figures["division"].items():
        assert depolarisation == pytest.approx(60 / (10 + 1 + inhibition), rel=1e-4)


def test_stp_temporal_filter(picture):
    figures = load("papers/stp_temporal_filter").main(picture)
    assert figures["plastic"] > 0.95
    assert figures["static"] < 0.6  # of two classes, chance is a half
    start = {"U": 0.3, "tau_f": 50.0, "tau_d": 50.0}
    for name, values in figures["parameters"].items():
        assert np.abs(np.log(np.array(values) / start[name])).max() > 0.1

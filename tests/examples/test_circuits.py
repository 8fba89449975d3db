"""The examples of circuits find what their docstrings promise: see :mod:`.test_examples`."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp
from scipy.optimize import fsolve
from sklearn.linear_model import LogisticRegression

from .circuit_references import (
    balanced_rate,
    bifurcation,
    facilitating_network,
    jacobian,
    pair_field,
    period,
    siegert,
    vogels_abbott,
    wong_wang,
)
from .loading import load


def test_wilson_cowan_1972(picture):
    figures = load("papers/Wilson_Cowan_1972").main(picture)
    bistable = {"c": (12, 4, 13, 11), "E": (1.2, 2.8), "I": (1, 4), "refractory": True}
    ends = [
        bifurcation(lambda P: pair_field(P=P, **bistable), guess, np.linalg.det)[2]
        for guess in ([0.36, 0.15, -0.4], [0.06, 0.02, 0.3])
    ]
    assert figures["range"] == pytest.approx(ends, abs=1e-6)
    rhythmic = pair_field((16, 12, 15, 3), (1.3, 4), (2, 3.7), 1.25, refractory=True)
    assert 1000 / figures["frequency"] == pytest.approx(period(rhythmic, [0, 0]), rel=1e-4)


def test_ei_rhythm(picture):
    figures = load("ei_rhythm").main(picture, points=2)

    def make(drive):
        return pair_field((10, 12, 10, 0), (1, 2), (1, 3), drive)

    *state, onset = bifurcation(make, [0.28, 0.45, 3.5], np.trace)
    turning = np.linalg.eigvals(jacobian(make(onset), np.array(state))).imag.max()
    assert figures["onset"] == pytest.approx(onset, abs=1e-6)
    assert figures["frequency"] == pytest.approx(1000 * turning / (2 * math.pi), rel=1e-6)
    assert figures["cycle"][0] == pytest.approx(figures["frequency"], rel=0.01)
    for drive, frequency, peak in list(zip(figures["drives"], figures["cycle"], figures["spectrum"], strict=True))[1:]:
        assert 1000 / frequency == pytest.approx(period(make(drive), [0.2, 0.2]), rel=1e-4)
        assert peak == pytest.approx(frequency, abs=0.3)
    assert figures["predicted"][-1] > 3 * figures["cycle"][-1]


def test_train_rhythm(picture):
    figures = load("train_rhythm").main(picture, updates=80)
    weights = [figures[name] for name in ("w_EE", "w_EI", "w_IE", "w_II")]
    field = pair_field(weights, (1, 2), (1, 3), 3.0, tau=(10, figures["tau_I"]))
    rest = fsolve(lambda state: field(0, state), [0.25, 0.3])
    eigenvalue = np.linalg.eigvals(jacobian(field, rest))[0]
    assert 0 < eigenvalue.real < 0.01
    assert abs(eigenvalue.imag) * 1000 / (2 * math.pi) == pytest.approx(40, rel=0.03)
    assert figures["measured"] == pytest.approx(1000 / period(field, [0.2, 0.2]), abs=0.3)
    assert figures["before"] == pytest.approx(34, abs=1)


def test_hopfield_1984(picture):
    figures = load("papers/Hopfield_1984").main(picture, trials=10)
    r, W = figures["rates"].numpy(), figures["weight"].numpy()
    # The integral of the inverse of tanh(4 u).
    single = (r * np.arctanh(r) + 0.5 * np.log(1 - r**2)) / 4
    energy = -0.5 * ((r @ W) * r).sum(-1) + single.sum(-1)
    assert figures["energy"].numpy() == pytest.approx(energy, abs=1e-9)
    assert (np.diff(energy, axis=0) < 1e-9).all()
    assert energy[0].mean() - energy[-1].mean() > 10
    assert np.abs(W - W.T).max() == 0
    assert figures["recalled"] == 1


def test_stochastic_resonance(picture):
    figures = load("stochastic_resonance").main(picture, steps=8000, rows=8)
    sigma, rates, ratio = (np.array(figures[name]) for name in ("sigma", "rates", "ratio"))
    assert rates[0] == 0
    assert 0.1 < sigma[figures["best"]] < 5
    assert ratio[1] < 0.4 * ratio.max() > ratio[-1]
    # So slow a signal is followed by the stationary rate. A step of 1 ms sees fewer crossings: a higher threshold.
    for k in (7, 9, 11):
        noise = sigma[k] / math.sqrt(20)
        threshold = 1 + 0.5826 * sigma[k] / 20

        def rate(phase, noise=noise, threshold=threshold):
            return siegert(0.8 + 0.15 * math.sin(phase), noise, tau=20, threshold=threshold, reset=threshold - 1)

        mean = quad(rate, 0, 2 * math.pi, epsrel=1e-3)[0] / (2 * math.pi)
        assert rates[k] == pytest.approx(mean, rel=0.06), sigma[k]


def test_wong_wang_2006(picture):
    figures = load("papers/Wong_Wang_2006").main(picture, trials=100)
    for k, coherence in ((2, 0.064), (4, 0.256)):
        _, correct, time = wong_wang(coherence, 400)
        p = correct.mean()
        assert figures["accuracy"][k] == pytest.approx(p, abs=3 * math.sqrt(max(p * (1 - p), 0.01) * (1 / 400 + 0.01)))
        assert figures["reaction"][k] == pytest.approx(time[np.isfinite(time)].mean(), rel=0.1)
    assert figures["attractors"] == 2
    assert 0.03 < figures["threshold"] < 0.1

    def field(S):
        excess = 270 * (0.2609 * S - 0.0497 * S[::-1] + 0.3255 + 5.2e-4 * 30) - 108
        return -S / 100 + (1 - S) * 0.641e-3 * excess / (1 - np.exp(-0.154 * excess))

    found = [fsolve(field, start, xtol=1e-12) for start in ([0.05, 0.65], [0.42, 0.42], [0.65, 0.05])]
    assert np.array(figures["fixed_points"]) == pytest.approx(np.array(found), abs=1e-6)


def test_mongillo_2008(picture):
    figures = load("papers/Mongillo_2008").main(picture, trials=2)
    E, cells = 400, 900
    excites = np.arange(cells) < 2 * E
    W = np.zeros((cells, cells))
    W[:E, :E] = W[E : 2 * E, E : 2 * E] = 0.3
    W[2 * E :, : 2 * E], W[:, 2 * E :] = 0.075, -1.0
    answers = []
    for cue in (0.6, 0.0):
        current = np.full((1700, cells), 0.4)
        current[300:600, :E] += cue
        current[1600:1640, excites] += 0.25
        spikes = facilitating_network(W, excites, current)[:, :E]
        answers.append(1000 * spikes[1600:1660].mean())
        name = "cued" if cue else "no cue at all"
        assert figures["delay"][name] == pytest.approx(1000 * spikes[1000:1600].mean(), abs=0.15)
        # A few cells that answer without a cue are a matter of chance.
        assert figures["answer"][name] == pytest.approx(answers[-1], rel=0.3, abs=3.0)
    assert answers[0] > 2 * answers[1]
    # What the cue has left, as far as it has not decayed.
    assert 0.2 + 0.6 * math.exp(-1000 / 1500) < figures["u"][0] < 0.2 + 0.8 * math.exp(-400 / 1500)
    current = np.full((2500, cells), 0.5)
    rest = facilitating_network(W, excites, current)[1500:, :E]
    current[300:600, :E] += 0.6
    loud = facilitating_network(W, excites, current)[1500:, :E]
    assert figures["persistent"]["no cue at all"] == pytest.approx(1000 * rest.mean(), abs=0.3)
    assert figures["persistent"]["cued"] == pytest.approx(1000 * loud.mean(), rel=0.4)


def circuit() -> dict:
    """Tables 4 and 5 of Potjans & Diesmann (2014)."""
    names = [f"L{layer}{kind}" for layer in (23, 4, 5, 6) for kind in "EI"]
    neurons = [20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948]
    chances = [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443],
    ]
    return {
        "populations": names,
        "neurons": neurons,
        "connection_probability": chances,
        "external_indegree": [1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100],
        "background_rate_hz": 8.0,
        "psp_mV": 0.15,
        "weight_rel_sd": 0.1,
        "g": -4.0,
        "doubled_weight": {"target": "L23E", "source": "L4E"},
        "delay_ms": {"excitatory": 1.5, "inhibitory": 0.75},
        "delay_rel_sd": 0.5,
        "neuron": {"E_L_mV": -65.0, "v_th_mV": -50.0, "v_reset_mV": -65.0, "C_pF": 250.0, "tau_mem_ms": 10.0}
        | {"tau_syn_ms": 0.5, "t_ref_ms": 2.0},
        "initial_v": {"mean_mV": -58.0, "sd_mV": 10.0},
        "dt_ms": 0.1,
        "mean_rates_hz": [0.971, 2.868, 4.746, 5.396, 8.142, 9.078, 0.991, 7.523],
    }


def test_potjans_diesmann_2014(picture, tmp_path):
    """The published tables, at a tenth of the size."""
    example = load("papers/Potjans_Diesmann_2014")
    tables = circuit()
    names, neurons, chances = (tables[key] for key in ("populations", "neurons", "connection_probability"))
    (tmp_path / "tables.json").write_text(json.dumps(tables))
    figures = example.main(picture, tmp_path / "tables.json", scale=0.1, duration=2000.0, settle=200.0)
    # NEST 3.10 at this size, means of three runs of 4 s: other neurons and another length scatter by a tenth and more.
    nest = (0.730, 3.131, 4.426, 7.016, 7.397, 7.768, 1.186, 8.136)
    for name, rate in zip(names, nest, strict=True):
        assert figures[name]["rate"] == pytest.approx(rate, rel=0.2)
    net = example.network(tables, 0.05)
    sizes = [round(0.05 * count) for count in neurons]
    assert net.layout.neurons == tuple(sizes)
    wanted = sum(
        math.log(1 - chances[i][j]) / math.log(1 - 1 / (neurons[i] * neurons[j])) * 0.05 * sizes[i] / neurons[i]
        for i in range(8)
        for j in range(8)
    )
    assert net.packed.synapses == pytest.approx(wanted, abs=16)
    # The peak of one postsynaptic potential, mV, from the cell itself.
    cell = net.populations["L4E"].cell
    state = cell.initial_state(torch.zeros(1, 1))
    rest, trace = state.v.item(), []
    for step in range(100):
        arrives = net.populations["L4E"].drives[0].weight * math.sqrt(0.05) if step == 0 else 0.0
        _, state = cell.step(torch.full((1, 1), arrives), state)
        trace.append(state.v.item() - rest)
    assert max(trace) == pytest.approx(0.15, rel=0.01)


def test_potjans_diesmann_2014_fit(picture, tmp_path):
    """A few updates of the drives lead towards the published rates."""
    (tmp_path / "tables.json").write_text(json.dumps(circuit()))
    found = load("papers/Potjans_Diesmann_2014_fit").main(picture, tmp_path / "tables.json", 0.02, updates=14)
    assert found["last"] < 0.7 * found["first"]


def test_train_sparse_network(picture):
    """A few updates of the weights order the assemblies."""
    example = load("train_sparse_network")
    found = example.main(picture, updates=8)
    error = [(found[key] - example.WANTED).square().mean() for key in ("first", "last")]
    assert error[1] < 0.5 * error[0]


def test_brette_2007(picture):
    figures = load("papers/Brette_2007").main(picture, duration=300.0, settle=100.0)
    for model, found in figures.items():
        rate, cv = vogels_abbott(model == "COBA", 4000, settle=1000)
        # Other synapses and first potentials.
        assert found["rate"] == pytest.approx(rate, rel=0.2)
        assert found["inhibitory"] == pytest.approx(rate, rel=0.25)
        assert found["cv"] == pytest.approx(cv, rel=0.15)


def test_vogels_abbott_2005(picture):
    example = load("papers/Vogels_Abbott_2005")
    figures = example.main(picture, duration=1100.0, strengths=([0.8], [2.0]))
    assert figures["strong"]["last"] > 1000.0 + example.BEGINS
    assert figures["strong"]["inhibitory"] == pytest.approx(figures["strong"]["rate"], rel=0.15)  # the same inputs
    # All at once, 5 ms and the time to threshold apart.
    assert 100.0 < figures["free"]["rate"] < 200.0
    net = example.network(*example.STRONG)
    inputs = 0.02 * 11_000 * 10_000
    assert net.packed.synapses == pytest.approx(inputs, abs=5 * math.sqrt(inputs))


def test_brunel_2000(picture):
    figures = load("papers/Brunel_2000").main(picture, duration=300.0, settle=100.0)
    regular, fast, balanced, slow = figures.values()
    # Cells that always get enough fire as often as they may: 2 ms, and a step of the grid or more to threshold.
    assert 250 < regular["rate"] < 1000 / 2.0
    for found, g, eta in ((balanced, 5, 2), (fast, 6, 4)):
        assert found["rate"] == pytest.approx(balanced_rate(g, eta, J=0.1, inputs=1000), rel=0.1)
    assert fast["peak"] == pytest.approx(1000 / (4 * 1.5), rel=0.3)  # the period is about four delays
    assert 15 < slow["peak"] < 45  # 22 Hz in the paper
    assert balanced["control"] == pytest.approx((12_500 * balanced["rate"] * 0.0005) ** -0.5, rel=0.01)


def test_maass_2002(picture):
    figures = load("papers/Maass_2002").main(picture, trials=400)
    states, labels = figures["states"].numpy(), figures["labels"].numpy()
    for segment in (2, 3):
        other = LogisticRegression(C=0.1, max_iter=2000).fit(states[:300], labels[:300, segment])
        score = other.score(states[300:], labels[300:, segment])
        assert figures["liquid"][segment] == pytest.approx(score, abs=0.15)
    assert figures["liquid"][3] > 0.95
    assert figures["liquid"][2] > 0.65  # chance is a half, with a deviation of 0.05 in 100 trials
    assert figures["inputs"][2] < 0.65
    assert figures["distance"]["another"] > 1.2 * figures["distance"]["the same"]
    assert 1 < figures["rate"] < 100


def test_jaeger_2001(picture):
    figures = load("papers/Jaeger_2001").main(picture, steps=800)
    theory = np.array(figures.pop("theory"))
    assert theory.sum() == pytest.approx(20, abs=0.01)
    assert figures["linear"] == pytest.approx(theory, abs=0.03)
    assert sum(figures["tanh, strong input"]) < 10


def test_multiscale(picture):
    figures = load("multiscale").main(picture)

    def rates(v):
        a = (
            0.1 * (v + 40) / -np.expm1(-(v + 40) / 10),
            0.07 * np.exp(-(v + 65) / 20),
            0.01 * (v + 55) / -np.expm1(-(v + 55) / 10),
        )
        b = 4 * np.exp(-(v + 65) / 18), 1 / (1 + np.exp(-(v + 35) / 10)), 0.125 * np.exp(-(v + 65) / 80)
        return np.array(a), np.array(b)

    def change(t, state):
        v, (m, h, n) = state[0], state[1:]
        a, b = rates(v)
        current = 10 * t / 1.5 * math.exp(1 - t / 1.5)  # of the alpha synapse, all cells of the area before at once
        ionic = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.387)
        return [current - ionic, *(a - (a + b) * state[1:])]

    a, b = rates(-65.0)
    run = solve_ivp(change, (0, 10), [-65.0, *(a / (a + b))], rtol=1e-8, atol=1e-8, max_step=0.01)
    rise = run.t[(run.y[0] > 0).argmax()]
    assert figures["lags"][1] == pytest.approx(
        12 + rise, abs=0.4
    )  # exponential Euler at 0.1 ms is late by 0.36 ms, at 0.05 ms by 0.16
    assert figures["lags"][0] == pytest.approx(12 + rise, abs=1)  # the pulse reaches the cells of the first one apart
    assert figures["spikes"] == [20, 20, 20]

"""The equations of the circuits once more, in NumPy and SciPy, for the tests of their examples."""

import math

import numpy as np
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq, fsolve
from scipy.special import erfcx


def logistic(x):
    return 1 / (1 + np.exp(-x))


def pair_field(c, E, I, P, *, tau=(10.0, 10.0), refractory=False):  # noqa: E741
    """The right-hand side of an excitatory-inhibitory pair: constants c1 to c4, (slope, threshold) of both.

    refractory: with the factor and the sigmoid through the origin of Wilson & Cowan (1972), eqs. 11, 12 and 15.
    """

    def field(_, state):
        e, i = state
        drives = c[0] * e - c[1] * i + P, c[2] * e - c[3] * i
        change = []
        for x, drive, (slope, threshold), t in zip(state, drives, (E, I), tau, strict=True):
            zero = logistic(-slope * threshold) if refractory else 0.0
            active = logistic(slope * (drive - threshold)) - zero
            change.append((-x + ((1 - zero - x) if refractory else 1) * active) / t)
        return np.array(change)

    return field


def jacobian(field, state, step=1e-6):
    sides = [(field(0, state + shift) - field(0, state - shift)) / (2 * step) for shift in step * np.eye(len(state))]
    return np.array(sides).T


def bifurcation(make, guess, condition):
    """State and parameter at which the Jacobian of make(parameter) meets a condition."""

    def equations(z):
        field = make(z[2])
        return [*field(0, z[:2]), condition(jacobian(field, z[:2]))]

    found = fsolve(equations, guess, xtol=1e-10)
    assert np.abs(equations(found)).max() < 1e-9
    return found


def period(field, start, settle=1500.0, cycles=3):
    """ms, between upward crossings of the mean of the first variable."""
    state = solve_ivp(field, (0, settle), start, rtol=1e-10, atol=1e-12, method="DOP853").y[:, -1]
    middle = solve_ivp(field, (0, 400), state, rtol=1e-8, atol=1e-10, max_step=1.0).y[0].mean()

    def crossing(_, state):
        return state[0] - middle

    crossing.direction = 1
    run = solve_ivp(field, (0, 400 * cycles), state, rtol=1e-10, atol=1e-12, method="DOP853", events=crossing)
    return np.diff(run.t_events[0]).mean()


def siegert(mu, sigma, *, tau, threshold, reset, t_ref=0.0):
    """Rate (Hz) of a leaky integrate-and-fire cell; sigma is the SD of the potential times the root of 2."""
    low, high = (reset - mu) / sigma, (threshold - mu) / sigma
    area = quad(lambda x: erfcx(-x), low, high, limit=200)[0]
    return 1000 / (t_ref + tau * math.sqrt(math.pi) * area)


def balanced_rate(g, eta, *, J, inputs, tau=20.0, threshold=20.0, reset=10.0, t_ref=2.0):
    """Rate (Hz) of the asynchronous state: Brunel (2000), eqs. 4, 5 and 21."""

    def mismatch(rate):
        per_ms, outside = rate / 1000, eta * threshold / (J * tau)
        mu = J * tau * (inputs * per_ms * (1 - g / 4) + outside)
        variance = J**2 * tau * (inputs * per_ms * (1 + g**2 / 4) + outside)
        return siegert(mu, math.sqrt(variance), tau=tau, threshold=threshold, reset=reset, t_ref=t_ref) - rate

    return brentq(mismatch, 0.1, 300)


def wong_wang(coherence, trials, *, steps=2000, dt=1.0, seed=1):
    """S [trials, 2] at the end, which population is first at 15 Hz, and when: Wong & Wang (2006), appendix."""
    rng = np.random.default_rng(seed)
    S, noise = np.full((trials, 2), 0.1), np.zeros((trials, 2))
    first = np.full((trials, 2), np.inf)
    stimulus = 5.2e-4 * 30 * np.array([1 + coherence, 1 - coherence])
    for n in range(steps):
        x = 0.2609 * S - 0.0497 * S[:, ::-1] + 0.3255 + stimulus + noise
        excess = 270 * x - 108
        rate = excess / (1 - np.exp(-0.154 * excess))
        clean = 270 * (x - noise) - 108
        above = clean / (1 - np.exp(-0.154 * clean)) > 15
        first = np.where(above & np.isinf(first), n * dt, first)
        S = S + dt * (-S / 100 + (1 - S) * 0.641 * rate / 1000)
        noise = noise - dt / 2 * noise + 0.02 * math.sqrt(dt / 2) * rng.standard_normal(S.shape)
    return S, first[:, 0] < first[:, 1], first.min(1)


def facilitating_network(W, excites, current, *, sigma=1.26, tau=20.0, synapse=10.0, seed=1):
    """Spikes [T, cells] of integrate-and-fire cells with the synapses of Mongillo et al. (2008), eqs. 1 to 3.

    current: [T, cells]; 1 ms steps, refractory period 2 ms; currents decay with ``synapse``, and carry W.
    """
    rng = np.random.default_rng(seed)
    cells, fades = len(excites), math.exp(-1 / synapse)
    v, u, x, rest, arrived = np.zeros(cells), np.full(cells, 0.2), np.ones(cells), np.zeros(cells), np.zeros(cells)
    from_each = np.ascontiguousarray(W.T)  # of the few cells that fire alone: the whole matrix would take its time
    decay = math.exp(-1 / tau)
    spread = sigma * math.sqrt((1 - decay**2) / (2 * tau))
    spikes = np.zeros(current.shape, bool)
    for n, outside in enumerate(current):
        v = np.where(rest > 0, 0.0, v * decay + (1 - decay) * (outside + arrived) + spread * rng.standard_normal(cells))
        rest = np.maximum(rest - 1, 0)
        fired = spikes[n] = v >= 1
        v[fired], rest[fired] = 0.0, 2
        u = 0.2 + (u - 0.2) * math.exp(-1 / 1500)
        x = 1 - (1 - x) * math.exp(-1 / 200)
        u = np.where(fired, u + 0.2 * (1 - u), u)
        arrived = arrived * fades + np.where(excites, u * x, 1.0)[fired] / synapse @ from_each[fired]
        x = np.where(fired, x * (1 - u), x)
    return spikes


def vogels_abbott(conductances, steps, *, settle, cells=4000, seed=1, dt=0.1):
    """Rate (Hz) and CV of the intervals of the networks of Vogels & Abbott (2005), by small steps of Euler."""
    rng = np.random.default_rng(seed)
    excites = np.arange(cells) < 0.8 * cells
    targets = [np.flatnonzero(rng.random(cells) < 0.02) for _ in range(cells)]
    v, rest, g = rng.uniform(-60.0, -50.0, cells), np.zeros(cells), np.zeros((2, cells))
    fades, weights = np.array([[1 - dt / 5.0], [1 - dt / 10.0]]), (0.6, 6.7) if conductances else (1.62, -9.0)
    leak, spikes = -60.0 if conductances else -49.0, []
    for n in range(steps):
        # Conductances in units of the leak.
        pull = g[0] * (0.0 - v) + g[1] * (-80.0 - v) if conductances else g[0] + g[1]
        v = np.where(rest > 0, -60.0, v + dt / 20.0 * (leak - v + pull))
        rest, g = np.maximum(rest - 1, 0), g * fades
        if conductances and n * dt < 50.0:  # what sets them going
            g[0] += 0.6 * rng.poisson(0.24 * dt, cells)
        fired = np.flatnonzero(v >= -50.0)
        v[fired], rest[fired] = -60.0, round(5.0 / dt)
        for neuron in fired:
            row = 0 if excites[neuron] else 1
            g[row, targets[neuron]] += weights[row]
        spikes += [(neuron, n * dt) for neuron in fired if n >= settle and excites[neuron]]
    neuron, times = np.array(sorted(spikes)).T
    trains = np.split(times, np.flatnonzero(np.diff(neuron)) + 1)
    gaps = [np.diff(train) for train in trains if len(train) >= 4]
    rate = 1000 * len(times) / (excites.sum() * (steps - settle) * dt)
    return rate, np.mean([gap.std() / gap.mean() for gap in gaps])

"""The equations of the papers once more, in plain Python and SciPy, for the tests of the examples."""

import math

import numpy as np
from scipy.integrate import solve_ivp


def adex_spikes(current, duration, *, C, g_L, E_L, V_T, Delta_T, tau_w, a, b, v_reset, v_peak, dt=0.01):
    """Spike times (ms) of the equations of Brette & Gerstner (2005), by small steps of Euler, and the states [T, 2].

    current: pA, as a function of the time in ms.
    """
    v, w, times, states = E_L, 0.0, [], []
    for n in range(round(duration / dt)):
        # Past this the spike is certain and the exponential would overflow.
        upstroke = g_L * Delta_T * math.exp(min((v - V_T) / Delta_T, 50.0))
        change = (-g_L * (v - E_L) + upstroke - w + current(n * dt)) / C
        v, w = v + dt * change, w + dt * (a * (v - E_L) - w) / tau_w
        if v >= v_peak:
            v, w = v_reset, w + b
            times.append((n + 1) * dt)
        states.append((v, w))
    return np.array(times), np.array(states)


def izhikevich_spikes(current, duration, a, b, c, d, dt=0.005):
    """Spike times (ms) of the equations of Izhikevich (2003), by small steps of Euler."""
    v, u, times = -65.0, -65.0 * b, []
    for n in range(round(duration / dt)):
        change = 0.04 * v * v + 5 * v + 140 - u + current(n * dt)
        v, u = v + dt * change, u + dt * a * (b * v - u)
        if v >= 30:
            v, u = c, u + d
            times.append((n + 1) * dt)
    return np.array(times)


def izhikevich_printed(current, duration, a, b, c, d):
    """Spike times (ms) of the program printed in the paper, its steps of 1 ms numbered from 1 on."""
    v, u, times = -65.0, -65.0 * b, []
    for n in range(round(duration)):
        if v >= 30:
            times.append(n + 1)
            v, u = c, u + d
        for _ in range(2):
            v += 0.5 * ((0.04 * v + 5) * v + 140 - u + current(n))
        u += a * (b * v - u)
    return np.array(times)


def squid_axon(depolarisation, duration):
    """Times (ms) and v (mV, rest at -65), m, h, n of Hodgkin & Huxley (1952) after a shock to the axon at rest."""

    def rates(v):
        u = v + 65  # the depolarisation; theirs is its negative
        alpha = 0.1 * (25 - u) / np.expm1((25 - u) / 10), 0.07 * np.exp(-u / 20), 0.01 * (10 - u) / np.expm1(1 - u / 10)
        return np.array(alpha), np.array([4 * np.exp(-u / 18), 1 / (np.exp(3 - u / 10) + 1), 0.125 * np.exp(-u / 80)])

    def change(_, state):
        v, (m, h, n) = state[0], state[1:]
        alpha, beta = rates(v)
        current = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.387)
        return [-current, *(alpha - (alpha + beta) * state[1:])]

    alpha, beta = rates(-65.0)
    start = [-65 + depolarisation, *(alpha / (alpha + beta))]
    times = np.linspace(0, duration, 4001)
    return times, solve_ivp(change, (0, duration), start, t_eval=times, rtol=1e-9, atol=1e-9).y


def releases(count, interval, U, tau_f, tau_d):
    """What each spike of a regular train releases: Tsodyks, Pawelzik & Markram (1998), eqs. of u and R between spikes.

    interval, tau_f, tau_d: ms; tau_f is None without facilitation.
    """
    u, R, released = U, 1.0, []
    for _ in range(count):
        released.append(u * R)
        R = 1 - (1 - R * (1 - u)) * math.exp(-interval / tau_d)
        u = U if tau_f is None else U + u * (1 - U) * math.exp(-interval / tau_f)
    return np.array(released)


def shunted_membrane(excitation, inhibition, E_inh):
    """Largest and smallest v (mV) of 200 pF and 10 nS at -60 mV, with AMPA (nS) from 40 ms and GABA from 35 ms on."""

    def change(t, v):
        g_e = excitation * np.exp(-(t - 40) / 2) * (t >= 40)
        g_i = inhibition * np.exp(-(t - 35) / 20) * (t >= 35)
        return (-10 * (v + 60) - g_e * v - g_i * (v - E_inh)) / 200

    v = solve_ivp(change, (35, 120), [-60.0], max_step=0.1, rtol=1e-8, atol=1e-8).y[0]
    return v.max(), v.min()

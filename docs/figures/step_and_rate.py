"""The rate of a LIF over its current, for three steps, beside the formula."""

import math

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

import torchdyn_neuro as tdn

T_REF = 5.0


def draw() -> Figure:
    currents = torch.linspace(0.9, 4.0, 125)
    figure, axis = plt.subplots(figsize=(6.4, 3.0))
    for dt, color in ((5.0, "tab:orange"), (1.0, "tab:blue"), (0.1, "tab:green")):
        cell = tdn.LIF(20.0, reset="value", t_ref=T_REF, dt=dt)
        steps = round(2000 / dt)
        with torch.no_grad():
            rates = cell(currents.expand(steps, 1, -1)).sum(0).squeeze(0) / 2.0
        axis.plot(currents, rates, color=color, linewidth=1, label=f"dt = {dt:g} ms")
    exact = [1000 / (T_REF + 20 * math.log(i / (i - 1))) if i > 1 else 0.0 for i in currents.tolist()]
    axis.plot(currents, exact, "k--", linewidth=0.8, label="formula")
    axis.set(xlabel="current", ylabel="rate (Hz)")
    axis.legend(frameon=False)
    return figure

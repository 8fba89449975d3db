"""What a frame means: a current is held over its step, spikes arrive at its end, the output stands there."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

import torchdyn_neuro as tdn


def draw() -> Figure:
    current = torch.tensor([0.0, 1.0, 1.0, 0.4, 0.0, 0.0])
    spikes = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    v = tdn.LeakyIntegrator(tau_mem=1.5)(current[:, None, None]).flatten()
    s = tdn.ExponentialSynapse(tau=1.5)(spikes[:, None, None]).flatten()
    time = torch.linspace(0, 6, 1201)
    fine = tdn.LeakyIntegrator(tau_mem=1.5, dt=0.005)
    v_between = fine(current.repeat_interleave(200)[:, None, None]).flatten()
    figure, axes = plt.subplots(4, 1, figsize=(6.4, 5.0), sharex=True, height_ratios=(1, 1.4, 1, 1.4))
    axes[0].stairs(current, range(7), color="tab:gray", fill=True, alpha=0.4)
    axes[0].set_ylabel("current x[n]\nheld")
    axes[1].plot(time[1:], v_between, color="tab:blue", linewidth=1, alpha=0.5)
    axes[1].plot(range(1, 7), v, "o", color="tab:blue")
    axes[1].set_ylabel("potential\ny[n] at the end")
    arrivals = [n + 1 for n in range(6) if spikes[n] > 0]
    axes[2].vlines(arrivals, 0, 1, color="tab:red", linewidth=2)
    axes[2].set_ylabel("spikes x[n]\narrive")
    between = sum((time >= arrival) * torch.exp(-(time - arrival).clamp(min=0) / 1.5) for arrival in arrivals)
    axes[3].plot(time, between, color="tab:blue", linewidth=1, alpha=0.5)
    axes[3].plot(range(1, 7), s, "o", color="tab:blue")
    axes[3].set(ylabel="synapse\ny[n] at the end", xlabel="time in steps of dt")
    for axis in axes:
        axis.set_yticks([])
        for step in range(7):
            axis.axvline(step, color="tab:gray", linewidth=0.4)
    for step in range(6):
        axes[0].text(step + 0.5, 1.12, f"step {step}", ha="center", fontsize=8, color="tab:gray")
    return figure

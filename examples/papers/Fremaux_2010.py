"""Frémaux, Sprekeler & Gerstner (2010), J. Neurosci. 30:13326: what spike timing needs to learn from reward.

Four cues, each a group of inputs, call for one of two actions: that of the two pools of noisy neurons which spikes
more. After a cue comes a reward if the action was right. The synapses remember for a while which spikes they saw
together, and dopamine makes weights of it. If dopamine is the reward less what is expected after this cue, the task is
learned; if it is the reward itself, what spike timing does on average, whatever the reward, takes over: every weight
grows, and the same rule learns far less. Sixteen agents learn side by side, as rows of one batch.
Run ``python examples/papers/Fremaux_2010.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

CUES, INPUTS, POOL, AGENTS = 4, 10, 4, 16  # inputs per cue, neurons per action
CUE, AFTER = 100, 20  # ms
ACTIONS = torch.tensor([0, 0, 1, 1])  # what each cue calls for


class Noise(nn.Module):
    """A current of its own to each neuron, from which they explore."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1.5 * torch.randn_like(x)


def agent() -> tdn.Chain:
    """Cues drive both pools alike at first."""
    timing = tdn.PairSTDP(A_plus=0.0035, A_minus=0.0007, tau_plus=20.0, tau_minus=20.0, w_min=0.0, w_max=1.0)
    synapses = tdn.Plastic(
        nn.Linear(CUES * INPUTS, 2 * POOL, bias=False), tdn.RewardSTDP(timing, tau_e=100.0, tau_d=10.0)
    )
    nn.init.constant_(synapses.connection.weight, 0.4)
    return tdn.Chain(synapses, tdn.ExponentialSynapse(5.0), Noise(), tdn.LIF(20.0))


def learn(trials: int, *, expected: bool) -> tuple[Tensor, Tensor]:
    """Whether each action was right [trials, agents], and the weights [agents, actions, cues] in the end.

    expected: whether dopamine is the reward less a running mean of it after the same cue.
    """
    net, state = agent(), None
    mean = torch.full((AGENTS, CUES), 0.5)
    right, rows, silence = [], torch.arange(AGENTS), torch.zeros(CUE, AGENTS)
    for _ in range(trials):
        cue = torch.randint(CUES, (AGENTS,))
        active = nn.functional.one_hot(cue, CUES).float().repeat_interleave(INPUTS, 1)
        y, state = net.scan(tdn.Modulated(torch.bernoulli(0.05 * active.expand(CUE, -1, -1)), silence), state)
        spikes = y.sum(0).unflatten(1, (2, POOL)).sum(2)
        action = (spikes + 0.1 * torch.rand_like(spikes)).argmax(1)  # of equals, either
        reward = (action == ACTIONS[cue]).float()
        dopamine = torch.zeros(AFTER, AGENTS)
        dopamine[0] = reward - mean[rows, cue] if expected else reward
        mean[rows, cue] += 0.1 * (reward - mean[rows, cue])
        _, state = net.scan(tdn.Modulated(torch.zeros(AFTER, AGENTS, CUES * INPUTS), dopamine), state)
        right.append(reward)
    weights = state[0].weight.unflatten(2, (CUES, INPUTS)).unflatten(1, (2, POOL)).mean((2, 4))
    return torch.stack(right), weights


@torch.no_grad()
def main(picture: Path = Path("pictures/Fremaux_2010.png"), trials: int = 100) -> dict[str, Any]:
    figures, curves, learned = {}, {}, {}
    for name, expected in (("reward less expectation", True), ("reward alone", False)):
        torch.manual_seed(0)
        right, learned[name] = learn(trials, expected=expected)
        curves[name] = right.mean(1)
        figures[name] = {"first": right[:15].mean().item(), "last": right[-15:].mean().item()}
        print(f"{name}: right at first {figures[name]['first']:.2f}, in the end {figures[name]['last']:.2f}")
    centred, raw = figures["reward less expectation"], figures["reward alone"]
    assert centred["first"] < 0.7
    assert centred["last"] > 0.85
    assert raw["last"] < centred["last"] - 0.2

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    for (name, curve), color in zip(curves.items(), ("tab:red", "0.5"), strict=True):
        smooth = curve.unfold(0, 5, 1).mean(1)
        axes[0].plot(torch.arange(len(smooth)) + 5, smooth, color=color, label=name)
    axes[0].axhline(0.5, color="0.8", linestyle=":", zorder=-1)
    axes[0].set(xlabel="trial", ylabel="right actions", ylim=(0.3, 1.02), title="mean of 16 agents")
    axes[0].legend()
    for ax, (name, weights) in zip(axes[1:], learned.items(), strict=True):
        shown = ax.imshow(weights.mean(0).numpy(), vmin=0, vmax=1, cmap="viridis", aspect="auto")
        ax.set(xlabel="cue (1, 2: action 1; 3, 4: action 2)", yticks=[0, 1], yticklabels=["1", "2"], ylabel="action")
        ax.set(xticks=range(CUES), xticklabels=range(1, CUES + 1), title=f"mean weight: {name}")
        figure.colorbar(shown, ax=ax)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return figures


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

"""Pictures of what an equation does, drawn from the module itself; the inputs are those of the contract tests."""

import math
from collections.abc import Callable

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import nn

import torchdyn_neuro as tdn
from tests import contract_cases
from torchdyn_neuro.core.state import State, first_leaf, map_state

MOST_FIELDS = 4
HIDDEN = {"refractory", "adaptation", "noise"}
"""Fields of a state that belong to other equations."""
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 9,
    "svg.fonttype": "path",
    "svg.hashsalt": "torchdyn_neuro",
    "figure.constrained_layout.use": True,
}


def rows(count: int, height: float = 1.15) -> tuple[Figure, list]:
    figure, axes = plt.subplots(count, 1, figsize=(6.4, 0.6 + height * count), sharex=True, squeeze=False)
    return figure, list(axes[:, 0])


def loop(dt: float):
    """How to run: a few hundred steps take less time than to compile a loop for them."""
    return tdn.backend("eager" if dt >= 0.5 else "auto")


def takes_spikes(cls: type) -> bool:
    """Whether an equation is driven by spikes: a synapse, or what the contract tests drive so."""
    case = contract_cases.EXAMPLES.get(cls.__name__, contract_cases.Case())
    return case.drive is contract_cases.spikes or ".synapses." in cls.__module__


def train(steps: int, dt: float) -> torch.Tensor:
    """Eight spikes at 50 Hz and one that comes late, [steps]."""
    times = torch.tensor([20.0 + 20 * k for k in range(8)] + [300.0])
    found = torch.zeros(steps)
    found[(times / dt).long().clamp(max=steps - 1)] = 1.0
    return found


def driven(cls: type, module: tdn.Dynamics) -> tuple[torch.Tensor, State, int]:
    """Time, an input [T, B, *], and the row of it whose answer shows most: about eight spikes, or half of the range."""
    dt = module.dt
    steps = round(350 / dt)
    time = (torch.arange(steps) + 1) * dt
    case = contract_cases.EXAMPLES.get(cls.__name__, contract_cases.Case())
    units = contract_cases.NEURONS
    if takes_spikes(cls):
        spikes = train(steps, dt)[:, None, None].expand(steps, 1, units)
        if case.drive is None:
            return time, spikes.clone(), 0
        return time, case.drive(0.9 - 0.9 * spikes if case.drive is contract_cases.spikes else spikes), 0
    step = ((time > 50) & (time <= 250)).float()[:, None, None]
    strengths = torch.logspace(-1, 5, 73) if case.drive is None else torch.linspace(0.02, 1.0, 50)
    shares = torch.linspace(1.0, 0.6, units)
    x = step * strengths[:, None] * shares
    x = x if case.drive is None else case.drive(x)
    with torch.no_grad(), loop(dt):
        y = first_leaf(module(x))
    counts = y.reshape(steps, len(strengths), -1)[..., 0].sum(0)
    if isinstance(module, tdn.Spiking) and (counts > 0).any():
        row = int(torch.where(counts > 0, (counts - 8).abs(), torch.inf).argmin())
    else:
        row = int((strengths - (2.0 if case.drive is None else 0.5)).abs().argmin())
    return time, map_state(lambda leaf: leaf[:, row : row + 1], x), row


def dynamics(cls: type, module: tdn.Dynamics) -> Figure:
    """The input, the fields of the state and the output over time."""
    time, x, _ = driven(cls, module)
    x_0 = map_state(lambda leaf: leaf[0], x)
    state = module.initial_state(x_0)
    fields = [
        name
        for name in getattr(state, "_fields", ())
        if name not in HIDDEN and isinstance(getattr(state, name), torch.Tensor) and getattr(state, name).ndim == 2
    ][:MOST_FIELDS]
    with torch.no_grad(), loop(module.dt):
        seen = tdn.record(module, x, [*fields, "output"])
    output = first_leaf(seen["output"])
    spiking = bool(output.max() > 0) and set(output.unique().tolist()) <= {0.0, 1.0}
    shown = fields if spiking or any(torch.equal(output, seen[name]) for name in fields) else [*fields, "output"]
    figure, axes = rows(1 + max(len(shown), 1), 1.0)
    several = 1 if isinstance(module, tdn.Spiking) or takes_spikes(cls) else None
    for leaf in (given for given in _leaves(x) if given.is_floating_point()):
        line = leaf[:, 0].reshape(len(time), -1)[:, :several]
        if takes_spikes(cls):
            axes[0].vlines(time[line[:, 0] > 0], 0, 1, color="tab:gray")
        else:
            axes[0].plot(time, line, color="tab:gray", linewidth=1)
    axes[0].set_ylabel("input")
    for axis, name in zip(axes[1:], shown, strict=False):
        values = first_leaf(seen[name])[:, 0].reshape(len(time), -1)[:, :several]
        axis.plot(time, values, linewidth=1)
        axis.set_ylabel(name)
    if spiking:
        for moment in time[output[:, 0].reshape(len(time), -1)[:, 0] > 0]:
            axes[1].axvline(moment, color="tab:red", linewidth=0.6, alpha=0.6)
        axes[1].set_title("spikes in red", fontsize=8, loc="right", color="tab:red")
    axes[-1].set_xlabel("time (ms)")
    return figure


def _leaves(x: State) -> list[torch.Tensor]:
    return [leaf for leaf in tdn.leaves(x) if isinstance(leaf, torch.Tensor)]


def surrogate(cls: type, module: tdn.Surrogate) -> Figure:
    """The slope that stands for that of the spike."""
    x = torch.linspace(-2, 2, 401, dtype=torch.float64)
    figure, (axis,) = rows(1, 2.2)
    axis.plot(x, module.derivative(x), label="its slope in the backward pass")
    axis.plot(x, (x >= 0).double(), color="tab:gray", linewidth=0.8, label="the spike in the forward pass")
    axis.set(xlabel="potential above threshold, v - v_th")
    axis.legend(frameon=False)
    return figure


def activation(cls: type, module: nn.Module) -> Figure:
    """The rate over the input."""
    x = torch.linspace(-3, 5, 401)
    figure, (axis,) = rows(1, 2.2)
    with torch.no_grad():
        axis.plot(x, module(x))
    axis.set(xlabel="input x", ylabel="rate F(x)")
    return figure


def timing(cls: type, rule: tdn.LearningRule) -> Figure:
    """What one pair of spikes changes, over the time between them."""
    lags = torch.arange(-60, 61)
    plastic = tdn.Plastic(nn.Linear(1, 1, bias=False), rule)
    with torch.no_grad():
        plastic.connection.weight.fill_(0.5)
        state = plastic.initial_state(torch.zeros(len(lags), 1))
        for step in range(220):
            pre = torch.full((len(lags), 1), float(step == 100))
            after = step - 100 - lags
            post = (after == 0).float().unsqueeze(1)
            # For rules that read the potential, one as about a spike of AdEx: a peak, and some mV that die away.
            potential = -70.6 + 100 * post + (15 * torch.exp(-after / 5) * (after > 0)).unsqueeze(1)
            modulator = torch.ones(len(lags)) if rule.modulated else None
            state = plastic.learn(pre, post, state, neurons=tdn.LIFState(potential), modulator=modulator)
    figure, (axis,) = rows(1, 2.2)
    axis.axhline(0, color="tab:gray", linewidth=0.6)
    axis.axvline(0, color="tab:gray", linewidth=0.6)
    axis.plot(lags, state.weight[:, 0, 0] - 0.5, ".", markersize=3)
    axis.set(xlabel="post after pre (ms)", ylabel="change of a weight of 0.5")
    return figure


def weights(cls: type, rule: tdn.LearningRule) -> Figure:
    """How the weights onto two neurons move under an input whose first half is correlated."""
    generator = torch.Generator().manual_seed(0)
    steps, inputs = 1500, 6
    noise = torch.rand(steps, 1, inputs, generator=generator)
    common = torch.rand(steps, 1, 1, generator=generator).expand(steps, 1, inputs // 2)
    x = torch.cat([0.7 * common + 0.3 * noise[..., : inputs // 2], noise[..., inputs // 2 :]], -1)
    plastic = tdn.Plastic(nn.Linear(inputs, 1, bias=False), rule)
    with torch.no_grad():
        plastic.connection.weight.copy_(torch.linspace(0.1, 0.3, inputs))
        seen = tdn.record(tdn.Chain(plastic, tdn.LeakyIntegrator()), x, ["0.weight", "output"])
    figure, (above, below) = rows(2, 1.3)
    above.plot(seen["output"][:, 0, 0], linewidth=0.8)
    above.set_ylabel("postsynaptic\nactivity")
    for index in range(inputs):
        color = "tab:blue" if index < inputs // 2 else "tab:orange"
        label = {0: "correlated inputs", inputs // 2: "independent inputs"}.get(index)
        below.plot(seen["0.weight"][:, 0, 0, index], color=color, linewidth=0.9, label=label)
    below.set(ylabel="weights", xlabel="time (ms)")
    below.legend(frameon=False, fontsize=7)
    return figure


def rule(cls: type, module: tdn.LearningRule) -> Figure:
    """Spike timing where one pair of spikes changes something, a course of weights otherwise."""
    by_time = isinstance(module, (tdn.SpikeTiming, tdn.RewardSTDP))
    return timing(cls, module) if by_time else weights(cls, module)


def attached(cls: type, part: nn.Module) -> Figure:
    """A LIF with what attaches to it, beside one without, under the same step of current."""
    time = torch.arange(1.0, 401.0)
    current = (1.6 if isinstance(part, tdn.Adaptation) else 1.05) * (time > 50).float()[:, None, None]
    figure, axes = rows(2, 1.3)
    option = "adaptation" if isinstance(part, tdn.Adaptation) else "noise"
    for axis, options, name in ((axes[0], {}, "without"), (axes[1], {option: part}, "with")):
        torch.manual_seed(0)
        with torch.no_grad():
            seen = tdn.record(tdn.LIF(**options), current, ["v", "output"])
        axis.plot(time, seen["v"][:, 0, 0], linewidth=0.9)
        for moment in time[seen["output"][:, 0, 0] > 0]:
            axis.axvline(moment, color="tab:red", linewidth=0.6, alpha=0.6)
        axis.set_ylabel(f"v of a LIF\n{name}")
    axes[1].set_xlabel("time (ms); spikes in red")
    return figure


def channel(cls: type, module: tdn.IonChannel) -> Figure | None:
    """Steady states and time constants of the gates over the potential."""
    v = torch.linspace(-100, 50, 301)
    with torch.no_grad():
        steady, tau = module.kinetics(v)
    if steady == ():
        return None
    figure, (above, below) = rows(2, 1.4)
    for name in steady._fields:
        above.plot(v, getattr(steady, name), label=name)
        below.plot(v, getattr(tau, name), label=name)
    above.set_ylabel("steady state")
    below.set(ylabel="time constant\n(ms)", xlabel="potential v (mV)")
    above.legend(frameon=False)
    return figure


def receptor(cls: type, module: tdn.Receptor) -> Figure:
    """The conductance after a spike, and the current at three potentials."""
    steps = 600
    x = torch.zeros(steps, 1, 1, 1)
    x[100] = 1.0
    with torch.no_grad():
        g = first_leaf(tdn.ConductanceSynapse([module], dt=0.5)(x)).reshape(steps)
    figure, (above, below) = rows(2, 1.3)
    time = torch.arange(1, steps + 1) * 0.5
    above.plot(time, g)
    above.set_ylabel("gated\nconductance")
    for v in (-80.0, -65.0, -40.0):
        with torch.no_grad():
            below.plot(time, module.conductance(g, torch.tensor(v)) * (module.E_rev() - v), label=f"v = {v:g} mV")
    below.set(ylabel="current", xlabel="time (ms)")
    below.legend(frameon=False, fontsize=7)
    return figure


def integrator(cls: type, method: tdn.Integrator) -> Figure | None:
    """The error after 4 ms of a Hodgkin-Huxley membrane under a constant current, over the length of a step."""
    if method.draws or method.crossings or isinstance(method, tdn.Exact):
        return None
    counts = [160, 320, 640, 1280]
    errors = [abs(_membrane(method, count) - _membrane(tdn.RK4(substeps=8), counts[-1])) for count in counts]
    figure, (axis,) = rows(1, 2.4)
    dts = [4.0 / count for count in counts]
    axis.loglog(dts, errors, "o-", markersize=4)
    axis.set(xlabel="dt (ms)", ylabel="error of v (mV)")
    order = math.log(errors[0] / errors[1]) / math.log(2)
    axis.set_title(f"measured order {order:.1f}", fontsize=8, loc="right")
    return figure


def _membrane(method: tdn.Integrator, steps: int) -> float:
    """The potential of a membrane on its way to a spike after 4 ms."""
    cell = tdn.HodgkinHuxley(integrator=method, dt=4.0 / steps).double()
    with torch.no_grad():
        return tdn.record(cell, torch.full((steps, 1, 1), 4.0, dtype=torch.float64), ["v"])["v"][-1].item()


def matrix(cls: type, module: nn.Module) -> Figure | None:
    """The weights of a connection."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.ndim != 2 or weight.is_sparse or weight.layout != torch.strided:
        return None
    figure, axis = plt.subplots(figsize=(3.4, 2.6))
    most = float(weight.detach().abs().max()) or 1.0
    image = axis.imshow(weight.detach(), cmap="RdBu_r", vmin=-most, vmax=most)
    axis.set(xlabel="from", ylabel="onto")
    figure.colorbar(image, label="weight")
    return figure


Drawing = Callable[[type, object], Figure | None]

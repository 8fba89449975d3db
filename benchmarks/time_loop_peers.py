"""The same models in other libraries, each as its documentation says, at its best setting for speed.

Left out, because they compute something else: snnTorch's ``StateLeaky`` and ``LeakyParallel`` and SpikingJelly's
``PSN`` have no reset, which is what makes them parallel in time. Every peer gets its input in its own layout and is
reset outside the timed part. snnTorch has the user write the loop; it runs over ``x.unbind(0)``, for ``x[t]`` would
make its backward pass several times slower.
"""

import math
from collections.abc import Callable

import torch
from measure import Candidate
from time_loop_cases import Case
from time_loop_cells import TAU_ADAPT, TAU_MEM, TAU_SYN, adaptive_step, plastic_step
from torch import Tensor, nn


class Loop(nn.Module):
    """Runs ``cell(x_t, *state) -> (y_t, *state)`` over time, the loop that a library leaves to its user."""

    def __init__(self, cell: nn.Module):
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        outputs, state = [], ()
        for x_t in x.unbind(0):
            y_t, *state = self.cell(x_t, *state)
            outputs.append(y_t)
        return torch.stack(outputs)


class First(nn.Module):
    """Keeps the output of a module that returns output and state."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)[0]


class FoldTime(nn.Module):
    """A layer without time over a sequence, whichever of the first two axes is time."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def assemble(case: Case, lif: Callable, recurrent: Callable, readout: Callable) -> nn.Module | None:
    """The models that are a neuron behind ordinary layers; ``recurrent`` includes what precedes the neuron."""
    neurons = case.shape[-1]
    if case.kind == "lif":
        return lif()
    if case.kind == "linear":
        return nn.Sequential(nn.Linear(neurons, neurons), lif())
    if case.kind == "convolution":
        return nn.Sequential(FoldTime(nn.Conv2d(64, 64, 3, padding=1, bias=False)), lif())
    if case.kind == "recurrent":
        return nn.Sequential(recurrent(), nn.Linear(256, 20), readout())
    return None


def spikingjelly(case: Case) -> list[Candidate]:
    """Multi-step mode; the implementation for the device (C++/CUDA or Triton) is chosen by the library itself."""
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    def lif(step_mode: str = "m") -> nn.Module:
        return neuron.LIFNode(tau=TAU_MEM, v_reset=None, surrogate_function=surrogate.ATan(), step_mode=step_mode)

    def recurrent() -> nn.Module:
        wrapped = layer.LinearRecurrentContainer(lif("s"), 256, 256, bias=False, step_mode="m")
        return nn.Sequential(nn.Linear(700, 256), wrapped)

    def readout() -> nn.Module:
        return layer.SynapseFilter(tau=TAU_MEM, learnable=False, step_mode="m")

    model, name = assemble(case, lif, recurrent, readout), "spikingjelly"
    if model is None:
        core = {"adaptive": _adaptive_core, "plastic": _plastic_core}.get(case.kind)
        if core is None:
            return []
        model, name = neuron.FlexSN(core, num_states=4, step_mode="m"), "spikingjelly FlexSN"
    return [Candidate(name, model, model, reset=lambda: functional.reset_net(model))]


def _spikingjelly_spike(x: Tensor) -> Tensor:
    from spikingjelly.activation_based import surrogate

    return surrogate.atan.apply(x, 2.0)


def _adaptive_core(x: Tensor, s: Tensor, v: Tensor, a: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    return adaptive_step(x, s, v, a, h, _spikingjelly_spike)


def _plastic_core(x: Tensor, u: Tensor, d: Tensor, s: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    return plastic_step(x, u, d, s, v, _spikingjelly_spike)


def snntorch(case: Case) -> list[Candidate]:
    """The step modules in the loop that the tutorials write."""
    import snntorch as snn

    beta = math.exp(-1 / TAU_MEM)

    class RepeatSpikes(nn.Module):
        """RLeaky takes its last spikes as well as its potential: hand them back as state."""

        def __init__(self):
            super().__init__()
            self.cell = snn.RLeaky(beta=beta, linear_features=256)

        def forward(self, x_t: Tensor, *state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            spikes, potential = self.cell(x_t, *state)
            return spikes, spikes, potential

    def recurrent() -> nn.Module:
        return nn.Sequential(nn.Linear(700, 256), Loop(RepeatSpikes()))

    def readout() -> nn.Module:
        return Loop(snn.Leaky(beta=beta, reset_mechanism="none"))

    model = assemble(case, lambda: Loop(snn.Leaky(beta=beta)), recurrent, readout)

    def reset() -> None:
        for module in model.modules():
            if isinstance(module, snn.RLeaky | snn.Leaky):
                module.reset_mem()

    return [] if model is None else [Candidate("snntorch", model, model, reset=reset)]


def norse(case: Case) -> list[Candidate]:
    """The modules that run over time; LIFBox, lifted over time, is its LIF without a synapse."""
    import norse.torch as norse_torch
    from norse.torch.functional.lif_box import LIFBoxParameters
    from norse.torch.functional.tsodyks_makram import TsodyksMakramParameters, TsodyksMakramState, stp_step

    tau_mem_inv, tau_syn_inv = torch.as_tensor(1e3 / TAU_MEM), torch.as_tensor(1e3 / TAU_SYN)
    parameters = norse_torch.LIFParameters(tau_mem_inv=tau_mem_inv, tau_syn_inv=tau_syn_inv)

    def box() -> nn.Module:
        return First(norse_torch.Lift(norse_torch.LIFBoxCell(LIFBoxParameters(tau_mem_inv=tau_mem_inv))))

    def recurrent() -> nn.Module:
        return First(norse_torch.LIFRecurrent(700, 256, p=parameters))

    def readout() -> nn.Module:
        return First(norse_torch.LI(norse_torch.LIParameters(tau_mem_inv=tau_mem_inv)))

    class Plastic(nn.Module):
        def __init__(self):
            super().__init__()
            self.lif, self.parameters_ = norse_torch.LIFCell(parameters), TsodyksMakramParameters()

        def forward(self, x_t: Tensor, plasticity=None, state=None) -> tuple:
            if plasticity is None:
                plasticity = TsodyksMakramState(u=torch.zeros_like(x_t), x=torch.ones_like(x_t))
            release, plasticity = stp_step(x_t, plasticity, self.parameters_)
            spikes, state = self.lif(release, state)
            return spikes, plasticity, state

    if case.kind == "adaptive":
        adaptation = norse_torch.LSNNParameters(
            tau_mem_inv=tau_mem_inv, tau_syn_inv=tau_syn_inv, tau_adapt_inv=torch.as_tensor(1e3 / TAU_ADAPT)
        )
        model, name = First(norse_torch.LSNN(adaptation)), "norse LSNN"
    elif case.kind == "plastic":
        model, name = Loop(Plastic()), "norse stp_step + LIF"
    elif case.kind == "recurrent":
        model, name = assemble(case, box, recurrent, readout), "norse LIFRecurrent"
    else:
        with_synapse = assemble(case, lambda: First(norse_torch.LIF(parameters)), recurrent, readout)
        boxed = assemble(case, box, recurrent, readout)
        found = [("norse LIF", with_synapse), ("norse LIFBox", boxed)]
        return [Candidate(name, model, model) for name, model in found if model is not None]
    return [Candidate(name, model, model)]


def sinabs(case: Case) -> list[Candidate]:
    """Batch first; only one spike per step, as the others."""
    import sinabs.layers as layers
    from sinabs.activation import SingleSpike

    def lif() -> nn.Module:
        return layers.LIF(tau_mem=TAU_MEM, spike_fn=SingleSpike)

    def recurrent() -> nn.Module:
        cell = layers.LIFRecurrent(tau_mem=TAU_MEM, rec_connect=nn.Linear(256, 256, bias=False), spike_fn=SingleSpike)
        return nn.Sequential(nn.Linear(700, 256), cell)

    if case.kind == "adaptive":
        model, name = layers.ALIF(tau_mem=TAU_MEM, tau_adapt=TAU_ADAPT, tau_syn=TAU_SYN), "sinabs ALIF"
    else:
        model = assemble(case, lif, recurrent, lambda: layers.ExpLeak(tau_mem=TAU_MEM))
        name = "sinabs"
    if model is None:
        return []
    stateful = [module for module in model.modules() if isinstance(module, layers.StatefulLayer)]
    for module in stateful:
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)  # no other library learns its time constants here

    def reset() -> None:
        for module in stateful:  # sinabs.reset_states() passes over a recurrent layer
            module.reset_states()

    return [Candidate(name, model, model, reset=reset, batch_first=True)]


class _RightHandSide(nn.Module):
    """That of the network of rate units, with each frame of the input held over its step."""

    def __init__(self, neurons: int):
        super().__init__()
        self.connection = nn.Linear(neurons, neurons)
        self.x: tuple[Tensor, ...] = ()

    def forward(self, t: Tensor, v: Tensor) -> Tensor:
        frame = self.x[min(int(t), len(self.x) - 1)]
        return (frame + self.connection(torch.tanh(v)) - v) / TAU_MEM


class _Solved(nn.Module):
    """The right-hand side, solved step by step."""

    def __init__(self, rate: nn.Module, solve: Callable):
        super().__init__()
        self.rate, self.solve = rate, solve

    def forward(self, x: Tensor) -> Tensor:
        self.rate.x = x.unbind(0)
        times = torch.arange(x.shape[0] + 1, dtype=x.dtype, device=x.device)
        # Perturbed: the first stage of a step lies behind its start and the last one before its end, in its own frame.
        found = self.solve(self.rate, torch.zeros_like(x[0]), times, method="rk4", options={"perturb": True})
        return torch.tanh(found[1:])


def torchdiffeq(case: Case) -> list[Candidate]:
    """Torchdiffeq: its Runge-Kutta method of fixed steps, one for each frame."""
    from torchdiffeq import odeint

    if case.kind != "ctrnn":
        return []
    model = _Solved(_RightHandSide(case.shape[-1]), odeint)
    return [Candidate("torchdiffeq", model, model)]


PEERS: dict[str, Callable[[Case], list[Candidate]]] = {
    "spikingjelly": spikingjelly,
    "snntorch": snntorch,
    "norse": norse,
    "sinabs": sinabs,
    "torchdiffeq": torchdiffeq,
}
"""Distribution name -> its models of a case; an empty list if it has none."""

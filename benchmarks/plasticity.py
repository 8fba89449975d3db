"""Pair STDP at one layer, beside the learners of SpikingJelly and BindsNET; all in turn, in one run.

    python benchmarks/plasticity.py
    python benchmarks/plasticity.py --threads 1 --json figures.json

A layer of 784 inputs and 400 leaky neurons, 200 steps, 16 rows, one weight that takes the sum of what all rows ask for.
Each library runs its own network as its documentation says: SpikingJelly's ``STDPLearner`` in single steps with
``torch.optim.SGD``, BindsNET's ``PostPre`` in ``Network.run``. No gradients. The speed-ups are those of the least
processor time of all threads, which other work on the machine disturbs less than the time that passes.

The rule is the same where amplitudes and time constants of both halves are equal: SpikingJelly and BindsNET count the
spikes of a step before they read the traces, so that spikes of the same step pair both ways, which then cancels; here
they do not pair. SpikingJelly's trace loses 1/tau of itself in a step, ours and BindsNET's exp(-dt/tau): its tau is
chosen to match. So all three are also given the same spikes on both sides, and the largest difference of the weights
afterwards is printed. Libraries that are not installed are left out.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from measure import machine, stopwatch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import torchdyn_neuro as tdn

CPU = torch.device("cpu")
A, TAU, TAU_MEM = 1e-4, 20.0, 20.0


@dataclass
class Learner:
    """One library at the task.

    weight: the first weights [post, pre].
    run: runs the network over spikes [T, B, inputs] from the first weights; returns the spikes of the layer.
    teach: gives the rule spikes on both sides; returns the weights afterwards [post, pre].
    """

    name: str
    weight: Tensor
    run: Callable[[Tensor], Tensor]
    teach: Callable[[Tensor, Tensor], Tensor]
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def ours(weight: Tensor, backend: str) -> Learner:
    """``Plastic`` in a ``Chain``, or taught by hand."""
    rule = tdn.PairSTDP(A, A, TAU, TAU, w_min=0.0, w_max=1.0)
    plastic = tdn.Plastic(nn.Linear(weight.shape[1], weight.shape[0], bias=False), rule, weights="sum")
    plastic.connection.weight.data.copy_(weight)
    chain = tdn.Chain(plastic, tdn.LIF(TAU_MEM, v_th=5.0))

    def run(x: Tensor) -> Tensor:
        with tdn.backend(backend):
            return chain.scan(x)[0]

    def teach(pre: Tensor, post: Tensor) -> Tensor:
        state = plastic.initial_state(pre[0])
        for x_t, y_t in zip(pre, post, strict=True):
            state = plastic.learn(x_t, y_t, state)
        return state.weight

    return Learner(f"torchdyn_neuro, {backend}", weight, run, teach)


def spikingjelly(weight: Tensor) -> Learner:
    """Its learner watches layer and neurons, writes the change as a gradient, and SGD takes the step."""
    from spikingjelly.activation_based import functional, layer, learning, neuron

    def build(behind: nn.Module) -> tuple[nn.Sequential, learning.STDPLearner, torch.optim.SGD]:
        net = nn.Sequential(layer.Linear(weight.shape[1], weight.shape[0], bias=False), behind)
        net[0].weight.data.copy_(weight)
        tau = 1 / (1 - math.exp(-1 / TAU))  # 1 - 1/tau of theirs is exp(-1/tau) of ours
        scale = {"f_pre": lambda w: A, "f_post": lambda w: A}
        learner = learning.STDPLearner("s", net[0], net[1], tau_pre=tau, tau_post=tau, **scale)
        return net, learner, torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.0)

    def over_time(net: nn.Sequential, learner: learning.STDPLearner, optimizer: torch.optim.SGD, x: Tensor) -> Tensor:
        outputs = []
        for x_t in x:
            optimizer.zero_grad()
            outputs.append(net(x_t))
            learner.step(on_grad=True)
            optimizer.step()
            net[0].weight.data.clamp_(0.0, 1.0)
        functional.reset_net(net)
        learner.reset()
        return torch.stack(outputs)

    def run(x: Tensor) -> Tensor:
        return over_time(*network, x)

    def teach(pre: Tensor, post: Tensor) -> Tensor:
        given = iter(post)

        class Given(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return next(given)

        net, *learning = build(Given())
        over_time(net, *learning, pre)
        return net[0].weight.data

    network = build(neuron.LIFNode(tau=TAU_MEM, v_threshold=5.0, v_reset=None))
    return Learner("spikingjelly STDPLearner", weight, run, teach)


def bindsnet(weight: Tensor) -> Learner:
    """Its network of nodes and a connection, with traces that add up."""
    from bindsnet.learning import PostPre
    from bindsnet.network import Network
    from bindsnet.network.nodes import Input, LIFNodes
    from bindsnet.network.topology import Connection

    options = {"traces": True, "traces_additive": True, "tc_trace": TAU}

    def build(rows: int) -> tuple[Network, Connection]:
        net = Network(dt=1.0, batch_size=rows)
        source = Input(n=weight.shape[1], **options)
        target = LIFNodes(n=weight.shape[0], thresh=5.0, rest=0.0, reset=0.0, refrac=0, tc_decay=TAU_MEM, **options)
        connection = Connection(
            source, target, w=weight.T.clone(), update_rule=PostPre, nu=(A, A), reduction=torch.sum, wmin=0.0, wmax=1.0
        )
        net.add_layer(source, name="in")
        net.add_layer(target, name="out")
        net.add_connection(connection, source="in", target="out")
        return net, connection

    networks: dict[int, Network] = {}

    def run(x: Tensor) -> Tensor:
        if x.shape[1] not in networks:
            networks[x.shape[1]] = build(x.shape[1])[0]
        net = networks[x.shape[1]]
        net.run(inputs={"in": x}, time=len(x))
        spikes = net.layers["out"].s.float()
        net.reset_state_variables()
        return spikes

    def teach(pre: Tensor, post: Tensor) -> Tensor:
        net, connection = build(pre.shape[1])
        for x_t, y_t in zip(pre, post, strict=True):
            for nodes, spikes in ((net.layers["in"], x_t), (net.layers["out"], y_t)):
                nodes.s = spikes.bool()
                nodes.x = nodes.x * math.exp(-1 / TAU) + spikes
            connection.update(learning=True)
        return connection.w.detach().T

    return Learner("bindsnet PostPre", weight, run, teach)


@torch.no_grad()
def measure(steps: int, rows: int, inputs: int, neurons: int, repeats: int) -> list[Learner]:
    """All libraries that are there, timed in turn."""
    weight = 0.3 * torch.rand(neurons, inputs) + 0.1
    learners = [ours(weight, "auto"), ours(weight, "eager")]
    for peer in (spikingjelly, bindsnet):
        try:
            learners.append(peer(weight))
        except ImportError as error:
            print(f"{peer.__name__} is left out: {error}")
    x = (torch.rand(steps, rows, inputs) < 0.1).float()
    for turn in range(repeats + 1):
        for learner in learners:
            start, spent = stopwatch(CPU), time.process_time()
            learner.run(x)
            if turn:  # the first turn is the warm-up
                learner.processor.append(time.process_time() - spent)
                learner.seconds.append(stopwatch(CPU) - start)
    return learners


@torch.no_grad()
def difference(learners: list[Learner], steps: int, rows: int, inputs: int, neurons: int) -> dict[str, tuple]:
    """The largest change of a weight and the largest difference from ours, by the same spikes on both sides."""
    pre, post = ((torch.rand(steps, rows, n) < 0.05).float() for n in (inputs, neurons))
    reference, *others = (learner.teach(pre, post) for learner in learners[1:])
    change = (reference - learners[1].weight).abs().max().item()
    names = [learner.name for learner in learners[2:]]
    return {name: (change, (w - reference).abs().max().item()) for name, w in zip(names, others, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Pair STDP at one layer in three libraries.")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--inputs", type=int, default=784)
    parser.add_argument("--neurons", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    described = machine(CPU, ("torchdyn_neuro", "spikingjelly", "bindsnet"))
    size = options.steps, options.rows, options.inputs, options.neurons
    learners = measure(*size, options.repeats)
    table = Table(title=f"{options.inputs} -> {options.neurons}, T = {options.steps}, B = {options.rows}")
    for title in ("learner", "least ms", "median ms", "processor, least ms", "times the first"):
        table.add_column(title)
    for learner in learners:
        figures = min(learner.seconds), statistics.median(learner.seconds), min(learner.processor)
        times = figures[2] / min(learners[0].processor)
        table.add_row(learner.name, *(f"{1000 * figure:.0f}" for figure in figures), f"{times:.1f}")
    Console(width=120).print(table)
    differences = difference(learners, *size)
    for name, (change, apart) in differences.items():
        print(f"the same spikes: weights change by up to {change:.4f}, {name}'s end up within {apart:.1e} of ours")
    for name, value in described.items():
        print(f"{name}: {value}")
    if options.json:
        rows = [
            {"name": learner.name, "seconds": learner.seconds, "processor": learner.processor} for learner in learners
        ]
        options.json.write_text(json.dumps({"machine": described, "rows": rows, "differences": differences}, indent=1))


if __name__ == "__main__":
    main()

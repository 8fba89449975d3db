"""Two processes that share a network: what comes out is that of one, and neither waits for one that is lost."""

import os
import signal
import socket
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import torchdyn_neuro as tdn
from tests.networks.small_networks import listed, poisson_network, same
from tests.processes import forkserver
from torchdyn_neuro import networks, wiring

WATCH = {"I": {"v": [3, 96]}, "E": {"refractory": [0, 330]}}
INTERVAL = 2.0
LONG = 100_000.0


def refused(kind: type[Exception], call) -> str:
    """The message of an error."""
    with pytest.raises(kind) as found:
        call()
    return str(found.value)


def work(rank: int, port: int, folder: Path, told) -> None:
    """What one of the two does; the parent looks at what it leaves in the folder."""
    torch.set_num_threads(1 + rank)
    networks.engine.threads_for = lambda operations: torch.get_num_threads()
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    group, messages = dist.group.WORLD, []
    net = poisson_network(owners=2, group=group)
    first = net.run(12.0)
    pieces = []
    record = pieces.append if rank else True
    last = net.run(8.0, first.state, watch=WATCH, checkpoint=folder / "checkpoint", record=record, progress=True)
    frozen = poisson_network(owners=1, group=group).freeze().run(6.0)

    def fails(done: float, factor: float) -> None:
        if rank == 1:
            raise OSError("no room left")

    messages.append(refused(OSError if rank else RuntimeError, lambda: net.run(0.5, progress=fails)))
    messages.append(refused(ValueError, lambda: poisson_network(owners=2, seed=rank, group=group)))
    messages.append(refused(ValueError, lambda: net.run(1.0 + rank)))
    messages.append(refused(ValueError, lambda: net.simulate(1.0)))
    learned = networks.Projection("E", "E", wiring.FixedInDegree(2), 0.1, 0.5, learned=True)
    populations = {"E": networks.Population(5, tdn.LIF(20.0, dt=0.5))}
    options = {"owners": 2, "group": group}
    messages.append(refused(ValueError, lambda: networks.SpikingNetwork(populations, [learned], **options)))
    result = {
        "runs": (first, pieces[0] if rank else last.spikes, last.state, frozen),
        "messages": messages,
        "synapses": net.packed.synapses,
    }
    torch.save(result, folder / f"result{rank}")

    def tell(done: float, factor: float) -> None:
        told.value = done

    # Process 0 is killed from outside.
    try:
        net.run(LONG, record=False, checkpoint=folder / "long", interval=INTERVAL, progress=rank == 0 and tell)
    except RuntimeError as error:
        (folder / f"lost{rank}").write_text(str(error))


def test_two_processes_are_one(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = forkserver()
    told = context.Value("d", 0.0)
    both = [context.Process(target=work, args=(rank, port, tmp_path, told)) for rank in range(2)]
    for process in both:
        process.start()

    # Meanwhile, in one process.
    net = poisson_network(owners=1)
    first = net.run(12.0)
    last = net.run(8.0, first.state, watch=WATCH)
    frozen = poisson_network(owners=1).freeze().run(6.0)
    assert min(len(run.spikes) for run in (first, last, frozen)) > 30

    while told.value < 3 * INTERVAL and all(process.is_alive() for process in both):
        time.sleep(0.02)
    os.kill(both[0].pid, signal.SIGKILL)
    done = told.value
    for process in both:
        process.join(90)
    assert [process.exitcode for process in both] == [-signal.SIGKILL, 0]
    assert "expected 2 processes, lost one of them" in (tmp_path / "lost1").read_text()

    results = [torch.load(tmp_path / f"result{rank}", weights_only=False) for rank in range(2)]
    assert sum(result["synapses"] for result in results) == net.packed.synapses
    for result in results:
        assert 0.4 * net.packed.synapses < result["synapses"] < 0.6 * net.packed.synapses
        one, _, state, other = result["runs"]
        assert same(one, first)
        assert same(other, frozen)
        assert same(last._replace(state=state), last)
    assert listed(results[0]["runs"][1]) == listed(last.spikes)
    piece = results[1]["runs"][1]
    assert listed(piece.spikes) == listed(last.spikes)
    for population, fields in WATCH.items():
        for field in fields:
            assert torch.equal(piece.traces[population][field], last.traces[population][field])
    assert same(last._replace(state=torch.load(tmp_path / "checkpoint")), last)
    lost, seeds, durations, gradients, weights = zip(*(result["messages"] for result in results), strict=True)
    assert "got an error in process 1" in lost[0]
    assert lost[1] == "no room left"
    assert all("expected the same seed in all processes, got 0 in process 0 and 1 in" in message for message in seeds)
    assert all("expected the same duration in all processes, got 10 in" in message for message in durations)
    assert all("expected a network of one process for gradients" in message for message in gradients)
    assert all("expected no weights that are learned" in message for message in weights)

    # At most an interval was lost, and one process goes on.
    state = torch.load(tmp_path / "long")
    assert int(state.step) * net.dt > done - INTERVAL - 1e-9
    rest = net.run(INTERVAL, state)
    whole = net.run(int(state.step) * net.dt + INTERVAL)
    assert same(rest._replace(spikes=whole.spikes), whole)

"""Two processes that share a batch compute the gradients of one."""

import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.processes import forkserver


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6),
        tdn.SynapticLIF(tdn.Learned(20.0), tdn.Learned(5.0), v_th=0.2),
        tdn.Recurrent(tdn.LIF(tdn.Learned(10.0), v_th=tdn.Learned(0.1)), nn.Linear(6, 6)),
        nn.Linear(6, 2),
        tdn.LeakyIntegrator(tdn.Learned(15.0)),
    )


def inputs():
    return 20 * torch.rand(12, 4, 4, generator=torch.Generator().manual_seed(1))


def work(rank, port, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    model = network()
    parallel = nn.parallel.DistributedDataParallel(model)
    parallel(inputs()[:, 2 * rank : 2 * rank + 2]).square().mean().backward()
    torch.save({name: parameter.grad for name, parameter in model.named_parameters()}, folder / f"{rank}")
    dist.destroy_process_group()


def test_gradients_of_two_gloo_processes_equal_the_plain_run(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    forkserver()
    mp.start_processes(work, args=(port, tmp_path), nprocs=2, start_method="forkserver")
    results = [torch.load(tmp_path / f"{rank}") for rank in range(2)]
    model = network()
    model(inputs()).square().mean().backward()
    assert len(list(model.parameters())) == 11
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
        for rank in range(2):
            assert_close(results[rank][name], parameter.grad)

"""What is chosen outside a model holds in its own thread, and in what is computed again for the backward pass."""

import threading

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

import torchdyn_neuro as tdn
from torchdyn_neuro.core import context
from torchdyn_neuro.core.context import chosen_backend
from torchdyn_neuro.core.torch_private import COMPILER_READS_CONTEXT_VARIABLES


def rows(*shape):
    return 3 * torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def in_thread(run):
    """What ``run`` returns on a thread of its own; what it raises is raised here."""
    results, errors = [], []

    def target():
        try:
            results.append(run())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(60)
    if errors:
        raise errors[0]
    return results[0]


def test_a_backend_is_chosen_for_one_thread():
    with tdn.backend("eager"):
        assert in_thread(chosen_backend) == "auto"
        assert chosen_backend() == "eager"


def test_streams_in_two_threads_share_a_model_and_nothing_else():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(3, 4), tdn.LeakyIntegrator()), rows(40, 2, 3)
    streams = [x, -2 * x]
    expected = [model(stream).detach() for stream in streams]
    barrier = threading.Barrier(2, timeout=60)

    class Meeting(nn.Module):
        """Both threads are inside a pass at once."""

        def forward(self, x):
            barrier.wait()
            return x

    shared = nn.Sequential(Meeting(), model, Meeting())
    got = [None, None]

    def run(index):
        live = tdn.Streaming(shared)
        got[index] = torch.cat([live(piece) for piece in streams[index].split(10)])

    threads = [threading.Thread(target=run, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for one, two in zip(got, expected, strict=True):
        assert_close(one, two)


class Checkpointed(nn.Module):
    """A first layer, then a block that is computed again for the backward pass."""

    def __init__(self, block, reentrant):
        super().__init__()
        self.first, self.block, self.reentrant = nn.Linear(5, 5), block, reentrant

    def forward(self, x):
        x = self.first(x)
        return self.block(x) if self.reentrant is None else checkpoint(self.block, x, use_reentrant=self.reentrant)


def gradients(loss, model):
    model.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


@pytest.mark.parametrize("reentrant", [False, True])
def test_unfolded_inside_a_checkpoint(reentrant):
    torch.manual_seed(0)
    block = nn.Sequential(nn.Linear(5, 4), tdn.Unfolded(tdn.LIF(tdn.Learned(10.0))), nn.Linear(4, 3))
    model, x, z = Checkpointed(block, None), rows(6, 2, 5), rows(3, 4, 5)
    net = tdn.Stepwise(model)

    def loss():
        # The same number of rows T B, of different numbers of steps.
        return net(x).sum() + net(z).square().sum()

    expected = gradients(loss(), net)
    model.reentrant = reentrant
    assert_close(gradients(loss(), net), expected, rtol=1e-6, atol=1e-6)
    assert_close(in_thread(lambda: gradients(loss(), net)), expected, rtol=1e-6, atol=1e-6)
    later = loss()
    assert_close(in_thread(lambda: gradients(later, net)), expected, rtol=1e-6, atol=1e-6)
    with pytest.raises(RuntimeError, match="Unfolded: expected to run inside a Stepwise, got a call outside"):
        model(x.flatten(0, 1))


@pytest.mark.parametrize(("inside", "outside"), [("eager", "auto"), ("auto", "eager")])
def test_what_is_computed_again_runs_on_the_backend_of_the_forward_pass(inside, outside):
    torch.manual_seed(0)
    block = nn.Sequential(tdn.LIF(tdn.Learned(10.0)), nn.Linear(5, 3), tdn.Chain(tdn.ExponentialSynapse(), tdn.LIF()))
    model, x = Checkpointed(block, False), rows(20, 2, 5)
    expected = gradients(block(model.first(x)).sum(), model)
    with tdn.backend(inside):
        loss = model(x).sum()
    with tdn.backend(outside):
        assert_close(gradients(loss, model), expected)
    with tdn.backend(inside):
        loss = model(x).sum()
    assert_close(in_thread(lambda: gradients(loss, model)), expected)


@pytest.mark.parametrize("follows", {COMPILER_READS_CONTEXT_VARIABLES, False})
def test_compiled_functions_see_the_choice_around_them(monkeypatch, follows):
    """Also by compilers that follow no context variable."""
    monkeypatch.setattr(context, "COMPILER_READS_CONTEXT_VARIABLES", follows)

    def run(x):
        return x + 1 if chosen_backend() == "eager" else x

    torch._dynamo.reset()
    compiled, x = torch.compile(run, fullgraph=True, backend="eager"), torch.zeros(1)
    assert compiled(x) == 0
    with tdn.backend("eager"):
        assert compiled(x) == 1
        with tdn.backend("auto"):
            assert compiled(x) == 0
        assert in_thread(lambda: compiled(x)) == 0
        assert compiled(x) == 1
    assert compiled(x) == 0


def test_choices_hold_inside_compiled_functions():
    cell, x = tdn.LIF(), rows(5, 2, 3)

    def run(x):
        with tdn.backend("eager"):
            return cell(x)

    torch._dynamo.reset()
    assert torch.equal(torch.compile(run, fullgraph=True, backend="eager")(x), cell(x))
    net = tdn.Stepwise(nn.Sequential(nn.Linear(3, 4), tdn.Unfolded(tdn.LIF())))
    assert_close(torch.compile(net, fullgraph=True, backend="eager")(x), net(x))

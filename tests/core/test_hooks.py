"""Whoever listens to a layer hears it inside every container."""

import pytest
import torch
from torch import nn
from torch.nn.modules import module as nn_module
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

import torchdyn_neuro as tdn


def rows(*shape):
    return 3 * torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def layers():
    torch.manual_seed(0)
    return [
        nn.Linear(5, 4),
        tdn.ExponentialSynapse(),
        tdn.LIF(tdn.Learned(10.0)),
        nn.Linear(4, 2),
        tdn.LeakyIntegrator(),
    ]


KINDS = {
    "forward": lambda layer, seen: layer.register_forward_hook(lambda m, args, y: seen.append((m, args[0], y))),
    "pre": lambda layer, seen: layer.register_forward_pre_hook(lambda m, args: seen.append((m, args[0]))),
    "kwargs": lambda layer, seen: layer.register_forward_hook(
        lambda m, args, kwargs, y: seen.append((m, args[0], kwargs, y)), with_kwargs=True
    ),
    "always": lambda layer, seen: layer.register_forward_hook(
        lambda m, args, y: seen.append((m, args[0], y)), always_call=True
    ),
    "changes the output": lambda layer, seen: layer.register_forward_hook(lambda m, args, y: 0.5 * y),
    "changes the input": lambda layer, seen: layer.register_forward_pre_hook(lambda m, args: (2 * args[0],)),
    "backward": lambda layer, seen: layer.register_full_backward_hook(
        lambda m, into, out: seen.append((m, into[0], out[0]))
    ),
    "backward pre": lambda layer, seen: layer.register_full_backward_pre_hook(lambda m, out: (2 * out[0],)),
    "global": lambda layer, seen: nn_module.register_module_forward_hook(
        lambda m, args, y: seen.append((m, args[0], y)) if m is layer else None
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 1, 2, 4])
def test_hooks_of_a_chain_are_those_of_a_sequential(kind, place):
    parts, x, results = layers(), rows(12, 2, 5), []
    for net in (nn.Sequential(*parts), tdn.Chain(*parts)):
        seen = []
        handle = KINDS[kind](parts[place], seen)
        try:
            net.zero_grad()
            leaf = x.clone().requires_grad_()
            y = net(leaf)
            y.sum().backward()
        finally:
            handle.remove()
        results.append([y, seen, leaf.grad, *(parameter.grad.clone() for parameter in net.parameters())])
    assert_close(results[1][0], results[0][0], rtol=0, atol=0)
    assert_close(results[1][2:], results[0][2:])
    assert len(results[0][1]) == len(results[1][1]) == (0 if "changes" in kind or kind == "backward pre" else 1)
    for one, two in zip(*(result[1] for result in results), strict=True):
        assert one[0] is two[0] is parts[place]
        assert_close(one[1:], two[1:])
    assert not torch.equal(y, nn.Sequential(*parts)(x)) or "changes" not in kind


def test_a_hook_in_a_chain_sees_sequences_and_in_a_step_frames():
    chain, x, seen = tdn.Chain(nn.Linear(5, 4), tdn.LIF()), rows(7, 2, 5), []
    plain = chain(x)
    chain[1].register_forward_hook(lambda m, args, y: seen.append((args[0].shape, y.clone())))
    y, last = chain.scan(x)
    assert [shape for shape, _ in seen] == [(7, 2, 4)]
    assert_close(seen[0][1], y, rtol=0, atol=0)
    assert_close(y, plain, rtol=0, atol=0)
    seen.clear()
    state = chain.initial_state(x[0])
    assert not seen
    for x_t in x:
        _, state = chain.step(x_t, state)
    assert [shape for shape, _ in seen] == [(2, 4)] * 7
    assert_close(torch.stack([y_t for _, y_t in seen]), plain)
    assert_close(state[1].v, last[1].v)


def test_a_state_goes_on_through_hooks_and_nested_containers():
    inner = tdn.Chain(nn.Linear(4, 4), tdn.LIF())
    outer, x, seen = tdn.Chain(nn.Linear(5, 4), inner, tdn.Stepwise(nn.BatchNorm1d(4))).eval(), rows(8, 2, 5), []
    plain = outer(x)
    for layer in (inner, inner[0], inner[1], outer[2]):
        layer.register_forward_hook(lambda m, args, y: seen.append(type(m).__name__))
    first, state = outer.scan(x[:3])
    second, _ = outer.scan(x[3:], state)
    assert_close(torch.cat([first, second]), plain)
    assert seen == ["Linear", "LIF", "Chain", "Stepwise"] * 2
    seen.clear()
    outer.step(x[0], outer.initial_state(x[0]))
    assert seen == ["Linear", "LIF", "Chain", "Stepwise"]
    seen.clear()
    live = tdn.Streaming(outer)
    assert_close(torch.cat([live(x[:3]), live(x[3:])]), plain)
    assert seen == ["Linear", "LIF", "Chain", "Stepwise"] * 2


@pytest.mark.parametrize("part", ["neuron", "connection"])
def test_hooks_inside_a_recurrent_see_every_step(part):
    torch.manual_seed(0)
    layer, x, seen = tdn.Recurrent(tdn.LIF(), nn.Linear(4, 4)), rows(9, 2, 4), []
    plain = layer(x)
    handle = getattr(layer, part).register_forward_hook(lambda m, args, y: seen.append(y))
    assert_close(layer(x), plain)
    assert [y_t.shape for y_t in seen] == [(2, 4)] * 9
    if part == "neuron":
        assert_close(torch.stack(seen), plain)
    with tdn.backend("cpp"), pytest.raises(tdn.NotPointwise):
        layer(x)
    handle.remove()
    seen.clear()
    assert_close(layer(x), plain, rtol=0, atol=0)
    assert not seen


def test_hooks_inside_stepwise_and_unfolded():
    model, x, seen = nn.Sequential(nn.Linear(5, 4), tdn.Unfolded(tdn.LIF())), rows(6, 2, 5), []
    model[1].dynamics.register_forward_hook(lambda m, args, y: seen.append(y.shape))
    model[1].register_forward_hook(lambda m, args, y: seen.append(y.shape))
    tdn.Stepwise(model)(x)
    assert seen == [(6, 2, 4), (12, 4)]


def test_counters_and_profilers_see_the_layers():
    chain, x = tdn.Chain(nn.Linear(5, 4), tdn.LIF(), nn.Linear(4, 2)), rows(10, 2, 5)
    plain = chain(x)
    with FlopCounterMode(display=False) as counter:
        assert_close(chain(x), plain)
    assert counter.get_total_flops() == 2 * 20 * (5 * 4 + 4 * 2)
    assert {"Chain.0", "Chain.2"} <= set(counter.get_flop_counts())
    with torch.profiler.profile(acc_events=True) as profile:
        chain(x)
    assert any("addmm" in event.key or "linear" in event.key for event in profile.key_averages())


def test_a_forward_pass_that_never_runs_is_noticed():
    class Own(tdn.LIF):
        """A pass of its own."""

        def forward(self, x):
            return x

    chain = tdn.Chain(Own())
    chain[0].register_forward_hook(lambda m, args, y: None)
    with pytest.raises(RuntimeError, match=r"Own: expected its forward pass to run .*; let forward"):
        chain(rows(3, 2, 4))

"""Comparison of the fused loop with the eager one, which is the definition."""

import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves, map_state


def run(module, x, name, state=None):
    """Outputs, last states and all gradients (inputs, initial states, parameters) under one backend."""
    x = map_state(lambda leaf: leaf.detach().clone().requires_grad_(), x)
    # The key of random numbers is a whole number and carries no gradient.
    if state is not None:
        state = map_state(lambda leaf: leaf.detach().clone().requires_grad_(leaf.is_floating_point()), state)
    with tdn.backend(name):
        torch.manual_seed(1)
        y, last = module.scan(x, state)
        results = [*leaves(y), *leaves(last)]
        loss = sum((result.double() * _weights(result)).sum() for result in results if result.is_floating_point())
        given = [] if state is None else leaves(state)
        operands = [leaf for leaf in (*leaves(x), *given, *module.parameters()) if leaf.requires_grad]
        gradients = torch.autograd.grad(loss, operands, allow_unused=True)
    return [result.detach() for result in results], gradients


def _weights(like):
    """Numbers of both signs that are not all alike, the same for every run."""
    count = torch.arange(like.numel(), dtype=torch.float64, device=like.device).reshape(like.shape)
    return torch.sin(count + 1)


def assert_agrees(module, x, state=None, *, relative=None, backend="cpp"):
    """Fused equals eager in values, last states and gradients; its backward repeats bit for bit."""
    eager, fused = (run(module, x, name, state) for name in ("eager", backend))
    # In Triton's interpreter one block runs after the other, by the same calls of NumPy each time.
    interpreted = backend == "triton" and leaves(x)[0].device.type == "cpu"
    again = fused if interpreted else run(module, x, backend, state)
    for expected, got in zip((*eager[0], *eager[1]), (*fused[0], *fused[1]), strict=True):
        if expected is None or got is None:
            # One of them knows that nothing arrives, the other computes zeros.
            assert all(gradient is None or not gradient.any() for gradient in (expected, got))
        elif relative is None or not expected.is_floating_point():
            torch.testing.assert_close(got, expected)
        else:
            assert got.dtype == expected.dtype
            assert got.shape == expected.shape
            assert not got.numel() or (got - expected).abs().max() <= relative * max(1.0, expected.abs().max())
    for first, second in zip(fused[1], again[1], strict=True):
        assert first is None or torch.equal(first, second)
    return fused

"""Layers for spikes against torch's own: what their tests share."""

import copy

import torch

# Dense products sum in blocks: over a thousand terms the two orders differ by more than the default 1e-5.
LONG_SUMS = {"rtol": 1e-5, "atol": 1e-4}


def count_kernels(monkeypatch, layer_module, kernel_module):
    """Names of the kernels that run, and whether they find the input sparse enough; layers of any size use them."""
    monkeypatch.setattr(layer_module, "_LEAST_WORK", 0)
    monkeypatch.setattr(layer_module, "_FEWEST_OUTPUTS", 1)
    monkeypatch.setattr(layer_module, "_FEWEST_ROWS", 0, raising=False)  # a convolution has its own
    run, calls = kernel_module._run, []

    def counted(name, *arguments):
        calls.append((name, run(name, *arguments)))
        return calls[-1][1]

    monkeypatch.setattr(kernel_module, "_run", counted)
    return calls


def spikes(shape, share=0.1, dtype=torch.float32):
    return (torch.rand(shape) < share).to(dtype)


def sized(active, kind):
    """Active entries as spikes, as counts or with graded values."""
    size = {"spikes": 1, "counts": torch.randint(1, 5, active.shape), "graded": torch.randn(active.shape)}[kind]
    return (active * size).to(active.dtype)


def results_of_both(x, dense, by_events):
    """Pairs of outputs and gradients (of the input, the weight and the bias): of ``dense``, and of its twin."""
    results = []
    for layer in (dense, by_events(copy.deepcopy(dense))):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        arriving = torch.sin(torch.arange(y.numel(), dtype=y.dtype)).reshape(y.shape)
        results.append((y, *torch.autograd.grad(y, [leaf, *layer.parameters()], arriving)))
    return zip(*results, strict=True)


def loss_after_training(model, x):
    """The third loss of gradient descent towards an output of one."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        loss = (model(x) - 1).square().mean()
        loss.backward()
        optimizer.step()
    return loss

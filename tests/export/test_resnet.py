"""A network of torchvision with replaced activations: trained, exported, streamed."""

import torch
from torch import nn
from torch.testing import assert_close
from torchvision.models import resnet18

import torchdyn_neuro as tdn
from torchdyn_neuro.export import export_step


def test_a_resnet_with_replaced_activations_trains_exports_and_streams():
    torch.manual_seed(0)
    model = resnet18(num_classes=3)
    tdn.replace(model, nn.ReLU, tdn.LIF, tau_mem=tdn.Learned(2.0))
    model = tdn.Stepwise(model)
    frames = torch.rand(2, 2, 3, 16, 16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    nn.functional.cross_entropy(model(4 * frames).mean(0), torch.tensor([0, 2])).backward()
    before = model.module.relu.dynamics.tau_mem().item()
    optimizer.step()
    assert model.module.relu.dynamics.tau_mem().item() != before
    # Statistics of few frames would leave the neurons silent.
    model.eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.bias.data.fill_(1.0)
    step = export_step(model, frames[0, :1])
    state = step.initial_state(2)
    assert len(state) == 17
    assert all(name.endswith(".dynamics.v") for name in state)
    live = tdn.Streaming(model)
    for x_t in frames:
        y_t, state = step(4 * x_t, state)
        assert_close(y_t, live.step(4 * x_t))
    assert y_t.std() > 0
    assert list(state.values())[-1].unique().numel() > 10

"""A torchvision ResNet-18 whose ReLUs become spiking neurons, trained for a few steps on handwritten digits.

Run ``python examples/drop_into_resnet.py``. The model itself is untouched: time is folded into the batch for its
convolutions (``Stepwise``) and unfolded for the neurons (``Unfolded``).
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torchvision.models import resnet18

import torchdyn_neuro as tdn


def with_spikes(model: nn.Module) -> nn.Module:
    """Put a spiking neuron in the place of every ReLU."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, tdn.Unfolded(tdn.LIF(tau_mem=tdn.Learned(2.0), R=2.0)))
    return model


def main(samples: int = 64, steps: int = 12) -> dict[str, list[float] | float]:
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images[:samples], dtype=torch.float32)[:, None] / 16
    images = nn.functional.interpolate(images, size=32, mode="bilinear").expand(-1, 3, -1, -1)
    labels = torch.tensor(digits.target[:samples])

    model = tdn.Stepwise(with_spikes(resnet18(num_classes=10)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for step in range(steps):
        logits = model(images.expand(4, -1, -1, -1, -1)).mean(0)  # 4 steps of the same images
        loss = nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        print(f"step {step}: loss {losses[-1]:.3f}")
    tau = model.module.layer1[0].relu.dynamics.tau_mem().item()
    print(f"a learned time constant, 2 ms at first: {tau:.3f} ms")
    return {"losses": losses, "tau": tau}


if __name__ == "__main__":
    main()

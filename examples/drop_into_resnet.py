"""A torchvision ResNet-18 whose ReLUs become spiking neurons, trained for a few steps on handwritten digits.

Run ``python examples/drop_into_resnet.py``. ``tdn.replace`` swaps the activations, ``tdn.calibrate`` brings all layers
to one rate. The rest of the model is untouched: time is folded into the batch for its convolutions (``Stepwise``) and
unfolded for the neurons.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torchvision.models import resnet18

import torchdyn_neuro as tdn


def main(samples: int = 64, steps: int = 12) -> dict[str, list[float] | float]:
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images[:samples], dtype=torch.float32)[:, None] / 16
    images = nn.functional.interpolate(images, size=32, mode="bilinear").expand(-1, 3, -1, -1)
    labels = torch.tensor(digits.target[:samples])

    model = resnet18(num_classes=10)
    tdn.replace(model, nn.ReLU, tdn.LIF, tau_mem=tdn.Learned(2.0))  # 17 places, each with neurons of its own
    model = tdn.Stepwise(model)
    print(tdn.calibrate(model, images.expand(4, -1, -1, -1, -1), rate=200.0))
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
    tau = model.module.relu.dynamics.tau_mem().item()
    print(f"a learned time constant, 2 ms at first: {tau:.3f} ms")
    return {"losses": losses, "tau": tau}


if __name__ == "__main__":
    main()

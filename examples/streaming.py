"""Live inference: frames come one by one, the model remembers what it needs.

Run ``python examples/streaming.py``: a network hears two streams at once; each frame is one call, and the result is
what a pass over the whole sequence gives. When one stream ends, its row alone starts afresh.
"""

import torch
from torch import nn

import torchdyn_neuro as tdn


def main() -> dict[str, float | list[bool]]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 128),
        tdn.ExponentialSynapse(tau=5.0),
        tdn.Recurrent(tdn.LIF(tau_mem=10.0), nn.Linear(128, 128, bias=False)),
        nn.Linear(128, 10),
        tdn.LeakyIntegrator(tau_mem=20.0),
    )
    stream = (torch.rand(100, 2, 64) < 0.05).float()

    live = tdn.Streaming(model)
    outputs = torch.stack([live.step(frame) for frame in stream])
    whole = model(stream)
    difference = (outputs - whole).abs().max().item()
    print(f"{len(outputs)} frames; largest difference to one pass over the whole sequence: {difference:.1e}")

    live.reset(torch.tensor([True, False]))
    after = live.step(stream[0])
    afresh = [torch.allclose(row, start) for row, start in zip(after, whole[0], strict=True)]
    print(f"after a reset of the first row alone, rows that start afresh: {afresh}")
    return {"difference": difference, "largest": whole.abs().max().item(), "afresh": afresh}


if __name__ == "__main__":
    main()

"""A live demonstration without a camera: a recorded stream of events, seen by a network frame by frame.

Run ``python examples/live_events.py``: a small network learns in which of four directions a bar crosses a sensor of
12 x 12 pixels, from noisy events. Then a recording in which the direction changes is played, and every 20 ms a line
tells the time, what is seen, how surely, and how fast the hidden neurons fire. A number behind the name is the speed: 1
is real time.
"""

import sys
import time

import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro.data.binning import bin_events

SIDE, DT, CROSSING = 12, 5.0, 120.0  # pixels, ms, ms
STEPS = round(CROSSING / DT)
ARROWS = "→←↓↑"


def crossing(direction: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Times, ms, and pixels of the events of one bar: its edge, a tenth of it missing, and noise."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    along = columns if direction < 2 else rows
    if direction in (1, 3):
        along = SIDE - 1 - along
    times = CROSSING * (along + 0.5) / SIDE + 4.0 * torch.randn(SIDE, SIDE, generator=generator)
    seen = torch.rand(SIDE, SIDE, generator=generator) < 0.9
    noise = torch.randint(SIDE * SIDE, (15,), generator=generator)
    times = torch.cat([times[seen], CROSSING * torch.rand(15, generator=generator)])
    return times.clamp(0, CROSSING - 1e-3), torch.cat([(rows * SIDE + columns)[seen], noise])


def frames(times: Tensor, pixels: Tensor, steps: int) -> Tensor:
    """Counts [steps, 1, pixels] of what happened in each step."""
    row = torch.zeros_like(pixels)
    return bin_events(row, times, pixels, torch.tensor([steps]), dt=DT, channels=SIDE * SIDE).transpose(0, 1)


def learn(generator: torch.Generator) -> nn.Module:
    """A network that was shown 240 crossings."""
    labels = torch.arange(240) % 4
    x = torch.cat([frames(*crossing(int(label), generator), STEPS) for label in labels], 1)
    model = nn.Sequential(
        nn.Linear(SIDE * SIDE, 64),
        tdn.ExponentialSynapse(tau=20.0, dt=DT),
        tdn.Recurrent(tdn.ALIF(tau_mem=20.0, dt=DT), nn.Linear(64, 64, bias=False)),
        nn.Linear(64, 4),
        tdn.LeakyIntegrator(tau_mem=30.0, dt=DT),
    )
    tdn.calibrate(model, x, rate=15.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(40):
        # What is seen from the middle of a crossing on.
        loss = nn.functional.cross_entropy(model(x)[STEPS // 2 :].mean(0), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


def main(speed: float = 0.0) -> dict[str, float]:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    model = learn(generator)

    shown = [0, 2, 1, 3, 3, 0, 1, 2]
    recording = torch.cat([frames(*crossing(direction, generator), STEPS) for direction in shown])
    live = tdn.Streaming(model)
    right = 0
    with tdn.inference.RateMeter(model) as meter:
        for step, frame in enumerate(recording):
            probabilities = live.step(frame)[0].softmax(0)
            seen, truth = int(probabilities.argmax()), shown[step // STEPS]
            if speed:
                time.sleep(DT / 1e3 / speed)
            if (step + 1) % 4 == 0:
                [rate] = meter.read().values()
                sureness = "█" * round(20 * float(probabilities[seen]))
                where = f"{(step + 1) * DT:6.0f} ms  bar {ARROWS[truth]}  seen {ARROWS[seen]}"
                print(f"{where} {sureness:<20} {float(rate):5.1f} Hz")
            # At the end of a crossing, the one before has faded.
            if (step + 1) % STEPS == 0:
                right += seen == truth
    print(f"right at the end of {right} of {len(shown)} crossings")
    return {"share": right / len(shown)}


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))

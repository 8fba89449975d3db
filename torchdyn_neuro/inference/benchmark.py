"""The command that measures a trained classifier: ``torchdyn-benchmark CHECKPOINT``."""

import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from ..core.streaming import Streaming
from ..metrics.efficiency import MULTIPLY_ACCUMULATE, EfficiencyCounter
from ..training import Classification
from ..training.classification import parts_of_batch
from .command_line import guarded, opened, parser

DESCRIPTION = """Latency of a step and of a sample, throughput, spikes, operations and energy, and the accuracy, of a
trained classifier on its test data. Without the data the times are those of noise, and the rest is left out.
"""


def command(arguments: list[str] | None = None) -> None:
    """The command ``torchdyn-benchmark``; ``--help`` says what it takes."""
    takes = parser("torchdyn-benchmark", DESCRIPTION)
    takes.add_argument("--root", help="folder of the data (default: as in training)")
    takes.add_argument("--batch-size", type=int, default=64, metavar="N", help="for the throughput (default: 64)")
    takes.add_argument("--samples", type=int, default=1000, metavar="N", help="for the rest (default: 1000; 0: all)")
    takes.add_argument("--seconds", type=float, default=1.0, metavar="S", help="for each time (default: 1)")
    takes.add_argument("--threads", type=int, default=0, metavar="N", help="of the CPU (default: as torch has it)")
    takes.add_argument("--json", action="store_true", help="a JSON object")
    given = takes.parse_args(arguments)
    if given.batch_size < 1 or given.samples < 0 or not given.seconds > 0 or given.threads < 0:
        takes.error("expected --batch-size of at least 1, --seconds above 0, --samples and --threads of at least 0")

    def main() -> int:
        if given.threads:
            torch.set_num_threads(given.threads)
        classifier, data = opened(given.checkpoint, given.trusted, given.device, given.root)
        batches = test_batches(data)
        if batches is None and given.root is not None:
            raise ValueError(f"--root: expected the data of the training in {given.root!r}, found none")
        found = sizes(classifier)
        sample = _sample(classifier, data, batches)
        found |= times(classifier, sample, given.batch_size, given.seconds)
        if batches is not None:
            found |= costs(classifier, batches, given.samples or math.inf)
        _print(found, given.json)
        return 0

    guarded(main)


def test_batches(data: LightningDataModule) -> Any:
    """The loader of the test data; ``None`` if they are not here."""
    try:
        data.prepare_data()
        data.setup("test")
        return data.test_dataloader()
    except FileNotFoundError:
        return None


def sizes(classifier: Classification) -> dict[str, Any]:
    """Parameters of the network and the bytes of its tensors."""
    tensors = classifier.model.state_dict().values()
    return {
        # Of a quantized weight both parts are parameters; its scales are few.
        "parameters": sum(each.numel() for each in classifier.model.parameters()),
        "megabytes": sum(each.numel() * each.element_size() for each in tensors) / 1e6,
    }


@torch.no_grad()
def times(classifier: Classification, sample: Tensor, batch_size: int, seconds: float) -> dict[str, Any]:
    """Latency of a step and of a whole sample, ms, and samples a second in batches.

    Args:
        classifier: which is measured.
        sample: one, [1, \\*].
        batch_size: of the batches.
        seconds: that each is measured for.
    """
    x = classifier.encode(sample)
    stream = Streaming(classifier.model)
    frame = x[0]
    batch = sample.expand(batch_size, *sample.shape[1:]).contiguous()
    step = _durations(lambda: stream.step(frame), seconds, sample.device)
    whole = _durations(lambda: classifier(sample), seconds, sample.device)
    many = _durations(lambda: classifier(batch), seconds, sample.device)
    return {
        "device": str(sample.device),
        "threads": torch.get_num_threads(),
        "steps": len(x),
        "step_ms": 1e3 * statistics.median(step),
        "step_p95_ms": 1e3 * statistics.quantiles(step, n=20)[-1],
        "sample_ms": 1e3 * statistics.median(whole),
        "sample_p95_ms": 1e3 * statistics.quantiles(whole, n=20)[-1],
        "batch_size": batch_size,
        "samples_per_second": batch_size / statistics.median(many),
    }


def _durations(call: Callable[[], Any], seconds: float, device: torch.device) -> list[float]:
    """How long each of many calls takes, after three that are not counted."""

    def once() -> float:
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    for _ in range(3):
        once()
    found: list[float] = []
    while sum(found) < seconds or len(found) < 5:
        found.append(once())
    return found


@torch.no_grad()
def costs(classifier: Classification, batches: Any, most: float) -> dict[str, Any]:
    """Accuracy, and for each sample its spikes, operations and energy, on the first test samples."""
    right = seen = 0
    with EfficiencyCounter(classifier.model) as counter:
        for samples, labels, lengths in _parts(classifier, batches):
            right += int((classifier(samples, lengths).argmax(1) == labels).sum())
            seen += len(labels)
            if seen >= most:
                break
    report = counter.report()
    return {
        "samples": seen,
        "accuracy": right / seen,
        "spikes": report.spikes,
        "accumulates": report.accumulates,
        "multiply_accumulates": report.multiply_accumulates,
        "energy_nj": report.energy(),
        "dense_energy_nj": MULTIPLY_ACCUMULATE * report.dense / 1000,
        "not_counted": report.left_out,
    }


def _parts(classifier: Classification, batches: Any) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    for batch in batches:
        samples, labels, lengths = parts_of_batch(batch)
        device = classifier.device
        yield samples.to(device), labels.to(device), None if lengths is None else lengths.to(device)


def _sample(classifier: Classification, data: LightningDataModule, batches: Any) -> Tensor:
    """One sample of the test data, or noise where they are not here."""
    if batches is not None:
        samples, _, lengths = parts_of_batch(next(iter(batches)))
        one = samples[:1] if lengths is None else samples[:1, : int(lengths[0])]
        return one.to(classifier.device)
    shape = tuple(getattr(data, "shape", None) or classifier.config["data"]["input_shape"])
    steps = () if classifier.encoder is not None else (100,)
    return torch.rand(1, *steps, *shape, device=classifier.device)


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(found))
        return
    rows = [
        ("size", f"{found['parameters']:,} parameters, {found['megabytes']:.3g} MB"),
        ("machine", f"{found['device']}, {found['threads']} threads"),
        ("a step", f"{found['step_ms']:.3g} ms (95 %: {found['step_p95_ms']:.3g} ms)"),
        (
            "a sample",
            f"{found['sample_ms']:.3g} ms (95 %: {found['sample_p95_ms']:.3g} ms), {found['steps']} steps",
        ),
        ("throughput", f"{found['samples_per_second']:,.0f} samples/s in batches of {found['batch_size']}"),
    ]
    if "accuracy" in found:
        rows += [
            ("accuracy", f"{found['accuracy']:.4f} of {found['samples']} test samples"),
            ("spikes", f"{found['spikes']:,.1f} a sample"),
            (
                "operations",
                f"{found['accumulates']:,.0f} additions, {found['multiply_accumulates']:,.0f} products a sample",
            ),
            (
                "energy",
                f"{found['energy_nj']:.3g} nJ a sample (45 nm, arithmetic alone); the same layers once, without "
                f"spikes: {found['dense_energy_nj']:.3g} nJ",
            ),
        ]
        if found["not_counted"]:
            rows.append(("not counted", ", ".join(found["not_counted"])))
    else:
        rows.append(("data", "not here (--root): the times are those of noise"))
    for name, text in rows:
        print(f"{name:<12}{text}")

"""The commands that ask a trained classifier, ``torchdyn-predict``, and measure it, ``torchdyn-benchmark``.

This module stands beside the package, because importing that loads torch.
"""

import os

# As in torchdyn_train.py.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def predict() -> None:
    """Labels, probabilities and firing rates of files or of a stream."""
    from torchdyn_neuro.inference.predict import command

    command()


def benchmark() -> None:
    """Latency, throughput, spikes, energy and accuracy."""
    from torchdyn_neuro.inference.benchmark import command

    command()

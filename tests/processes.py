"""Processes of tests, forked from one that has imported torch and this package and done nothing else."""

from multiprocessing.context import BaseContext

import torch.multiprocessing as mp


def forkserver() -> BaseContext:
    """The context of a worker: what its tests start imports nothing that takes long."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["torchdyn_neuro"])
    return context

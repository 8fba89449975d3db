"""The graph of the model."""

import warnings

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from .fixed_sample import FixedSample


class ModelGraph(FixedSample):
    """Shows the operations of the model in TensorBoard's tab of graphs, unrolled over a few time steps, once.

    Args:
        steps: number of time steps.
    """

    def __init__(self, steps: int = 2):
        super().__init__(every=10**9, samples=1)
        self.steps = steps
        self.drawn = False

    def show(self, trainer: Trainer, pl_module: LightningModule, boards: list[TensorBoardLogger]) -> None:
        if self.drawn or not trainer.is_global_zero:
            return
        self.drawn = True
        x = pl_module.encode(self.batch, self.lengths)[: self.steps]
        with torch.no_grad(), warnings.catch_warnings():
            # What is traced here is only looked at.
            warnings.simplefilter("ignore")
            for board in boards:
                board.experiment.add_graph(pl_module.model, x.contiguous())

"""A module of its own for each place at which one module is called."""

from collections.abc import Sequence

from torch import Tensor, nn


class PerCall(nn.Module):
    r"""Stands for a module that its owner calls several times in one forward, with a module of its own for each call.

    The first call in a forward of the owner goes to the first module, the second to the second. The ReLU of a residual
    block of torchvision is such a module: one attribute, used behind both convolutions.

    Args:
        modules: one for each call, in order.
        owner: the module whose forward makes the calls; each start of its forward begins again with the first.

    Shape:
        - input: what the module of that call takes
        - output: what it gives

    Raises:
        RuntimeError: from ``forward`` if the owner calls more often than there are modules.
    """

    def __init__(self, modules: Sequence[nn.Module], owner: nn.Module):
        super().__init__()
        for index, module in enumerate(modules):
            self.add_module(str(index), module)
        self.calls = 0
        owner.register_forward_pre_hook(self.begin)

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: int) -> nn.Module:
        return list(self._modules.values())[index]

    def begin(self, owner: nn.Module, inputs: tuple) -> None:
        """Start again with the first module."""
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        if self.calls == len(self):
            raise RuntimeError(
                f"PerCall: expected {len(self)} calls in a forward of its owner, got one more; give each call "
                "a module of its own"
            )
        self.calls += 1
        return self[self.calls - 1](x)

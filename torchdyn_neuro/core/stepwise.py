"""Time folded into the batch for layers that know no time, and unfolded for dynamics among them."""

from typing import Any

import torch
from torch import Tensor, nn

from .context import Fold, folded, folding, real_steps_of, remember_fold
from .dynamics import Dynamics
from .fits import check_fits
from .inputs import check_numbers, check_tensor, refuse_scripting
from .lengths import check_lengths, padding
from .steady import over_steady
from .torch_private import NormBase, tree_leaves, tree_map


def holds_dynamics(module: nn.Module) -> bool:
    """Whether ``module`` is, or contains, an equation with state; one inside :class:`Unfolded` does not count."""
    if isinstance(module, Unfolded):
        return False
    return isinstance(module, Dynamics) or any(holds_dynamics(child) for child in module.children())


def run_folded(module: nn.Module, x: Any, owner: str) -> Any:
    """``module`` on sequences [T, B, \\*] as if they were batches [T B, \\*].

    Args:
        module: knows no time.
        x: a tree of tensors [T, B, \\*].
        owner: who runs it, for messages.

    Returns:
        What the module gives, each tensor unfolded to [T, B, \\*].
    """
    leaves = [x] if isinstance(x, Tensor) else [leaf for leaf in tree_leaves(x) if leaf is not None]
    for leaf in leaves:
        check_tensor(owner, leaf)
        if leaf.ndim < 2 or leaf.shape[:2] != leaves[0].shape[:2]:
            raise ValueError(
                f"{owner}: expected inputs [T, B, *] that share [T, B], got {tuple(leaves[0].shape)} and "
                f"{tuple(leaf.shape)}; give all of them the same number of steps and rows"
            )
        check_numbers(module, leaf, owner)
    if not leaves:
        raise TypeError(f"{owner}: expected a tensor [T, B, *], got {x!r}; pass a tensor")
    check_fits(owner, module, x)
    _check_rows(module, leaves[0], owner)
    steps, rows = leaves[0].shape[:2]
    fold = Fold(steps, rows, _real_frames(module, steps, rows, owner))

    def unfold(y: Any) -> Any:
        if not isinstance(y, Tensor):
            return y
        if y.ndim == 0 or y.shape[0] != fold.frames:
            raise ValueError(
                f"{owner}: expected {type(module).__name__} to keep the axis of the batch, {fold.frames} here, got an "
                f"output of shape {tuple(y.shape)}; wrap only layers that map [N, *] to [N, *]"
            )
        if fold.asked and y.requires_grad and not torch.compiler.is_compiling():
            remember_fold(y, fold)
        return fold.unpack(y)

    with folding(fold):
        y = module(_map(fold.pack, x))
    return unfold(y) if isinstance(y, Tensor) else tree_map(unfold, y)


def takes_statistics(module: nn.Module) -> bool:
    """Whether a norm inside looks at the whole batch, as in training."""
    norms = [part for part in module.modules() if isinstance(part, NormBase)]
    return any(norm.training or norm.running_mean is None for norm in norms)


def _real_frames(module: nn.Module, steps: int, rows: int, owner: str) -> Tensor | None:
    """Which of the [T B] frames a layer is to see; ``None``: all of them, for it does not mix them."""
    if not takes_statistics(module):
        return None
    lengths = real_steps_of(module)
    if lengths is None:
        return None
    lengths = check_lengths(owner, lengths, rows, steps, least=0)
    real = (~padding(lengths, steps)).flatten().nonzero().squeeze(1)
    if len(real) < 2:
        raise ValueError(
            f"{owner}: expected at least 2 real frames for the statistics of {type(module).__name__}, got {len(real)}; "
            "take larger batches, longer pieces, or another norm"
        )
    return real


def _check_rows(module: nn.Module, x: Tensor, owner: str) -> None:
    """Raise if a layer would mix the rows of its batch, and so steps and rows of the sequence ``x``."""
    for part in module.modules():
        if isinstance(part, (nn.Softmax, nn.LogSoftmax, nn.Softmin)) and part.dim == 0:
            raise ValueError(
                f"{owner}: expected layers that treat each row of the batch by itself, got "
                f"{type(part).__name__}(dim=0), which would mix steps and rows; choose another dim"
            )
        if isinstance(part, (nn.MultiheadAttention, nn.RNNBase)) and not part.batch_first:
            raise ValueError(
                f"{owner}: expected layers that take the batch first, got {type(part).__name__}, which would take "
                "steps and rows for its sequence; pass batch_first=True"
            )
    if isinstance(module, (nn.TransformerEncoder, nn.TransformerEncoderLayer)) and x.ndim == 3:
        raise ValueError(
            f"{owner}: expected frames [B, tokens, features] for {type(module).__name__}, got a sequence of shape "
            f"{tuple(x.shape)}, whose steps and rows it would take for tokens; give them an axis of their own"
        )


def _map(function: Any, tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return function(tree)
    return tree_map(lambda leaf: function(leaf) if isinstance(leaf, Tensor) else leaf, tree)


class Stepwise(nn.Module):
    r"""Applies a layer that knows no time to a sequence, by folding time into the batch.

    Layers that treat all leading axes as batch (``nn.Linear``, norms over the last axis) do not need it; convolutions,
    pooling, flattening and batch normalization do. Batch normalization then shares its statistics over time; of
    sequences that are known to be :func:`padded` it sees the real frames alone.
    A whole model may be wrapped; the dynamics in it each go into an :class:`Unfolded`.

    Args:
        module: any module that maps [N, \*] to [N, \*] and holds no dynamics, but for unfolded ones.

    Shape:
        - input: [T, B, \*], or any tree (tuples, lists, dicts) of such tensors
        - output: [T, B, \*], in the tree that the module gives

    Raises:
        ValueError: if ``module`` holds dynamics, which would take the batch for time; from ``forward`` for inputs that
            are no sequences, and for outputs without the axis of the batch.
        TypeError: from ``forward`` for what is no dense tensor, and for whole numbers or truth values where the module
            has floating-point weights and no embedding.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> tdn.Stepwise(nn.Conv2d(1, 4, 3))(torch.zeros(10, 2, 1, 8, 8)).shape
        torch.Size([10, 2, 4, 6, 6])
    """

    __prepare_scriptable__ = refuse_scripting

    def __init__(self, module: nn.Module):
        super().__init__()
        if holds_dynamics(module):
            raise ValueError(
                f"Stepwise: expected a module without dynamics, got {type(module).__name__} which holds some; "
                "wrap each of them in Unfolded, or only the layers between them in Stepwise"
            )
        self.module = module

    def forward(self, x: Any) -> Any:
        if isinstance(x, Tensor) and x.ndim < 3:
            raise ValueError(f"Stepwise: expected an input [T, B, *], got shape {tuple(x.shape)}; put time first")
        return over_steady(self.module, x, lambda x: run_folded(self.module, x, "Stepwise"))

    def step(self, x_t: Any) -> Any:
        """The layer on one frame [B, *]."""
        return self.module(x_t)


class Unfolded(nn.Module):
    r"""Dynamics inside a model that :class:`Stepwise` runs with time folded into the batch.

    It takes the place of an activation in any existing model: time is unfolded for it and folded again behind it. The
    same one may stand in several places, for it holds no state. The blocks around it may be checkpointed
    (``torch.utils.checkpoint``).

    Args:
        dynamics: the dynamics, e.g. a spiking neuron in the place of a ReLU.

    Shape:
        - input: [T B, \*], or a tree of such tensors
        - output: [T B, \*]

    Raises:
        TypeError: if ``dynamics`` is none.
        RuntimeError: from ``forward`` outside a :class:`Stepwise`.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), tdn.Unfolded(tdn.LIF()), nn.Flatten(), nn.Linear(144, 10))
        >>> tdn.Stepwise(model)(torch.zeros(8, 2, 1, 8, 8)).shape
        torch.Size([8, 2, 10])
    """

    __prepare_scriptable__ = refuse_scripting

    def __init__(self, dynamics: Dynamics):
        super().__init__()
        if not isinstance(dynamics, Dynamics):
            raise TypeError(f"Unfolded: expected a Dynamics, got {type(dynamics).__name__}; pass e.g. LIF()")
        self.dynamics = dynamics

    def forward(self, x: Any) -> Any:
        for leaf in [x] if isinstance(x, Tensor) else tree_leaves(x):
            check_tensor("Unfolded", leaf, "a tensor [T B, *]")
        fold = folded()
        if fold is None:
            raise RuntimeError("Unfolded: expected to run inside a Stepwise, got a call outside; use Stepwise(model)")
        return _map(fold.pack, self.dynamics(_map(fold.unpack, x)))

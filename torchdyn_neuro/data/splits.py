"""Which samples are for training, which for validation, and which for the test."""

import torch
from torch import Tensor

from ..core.checks import fraction, whole_number


def hold_out(labels: Tensor, people: Tensor, share: float, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Indices of all others, and of a share of the samples: of each class and person the same share, within one.

    The samples are put in order by class and person, at random among those of the same, and taken at equal distances.

    Args:
        labels: class of each sample, [N].
        people: who spoke or moved, [N].
        share: how much is held out.
        seed: seed of the choice.

    Raises:
        ValueError: if the share is not from 0 to 1.

    Example:
        >>> rest, held = hold_out(torch.tensor([0, 0, 1, 1]), torch.zeros(4), 0.5)
        >>> len(rest), len(held)
        (2, 2)
    """
    share = fraction("hold_out", "share", share, of="the samples")
    place = torch.arange(len(labels) + 1, dtype=torch.float64)
    # A hundredth of a sample, so that shares such as 0.1 reach whole numbers in spite of rounding.
    reached = torch.floor(place * share + 0.01)
    return _parted(_ordered(labels, people, seed), reached[1:] > reached[:-1])


def fold_of(labels: Tensor, people: Tensor, fold: int, folds: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Indices of all others, and of one of several parts that are alike in their classes and people.

    Args:
        labels: class of each sample, [N].
        people: who spoke or moved, [N].
        fold: which of the parts, from 0 on.
        folds: number of parts; together they are all samples, and no two share one.
        seed: seed of the parts.

    Raises:
        ValueError: if ``fold`` is none of them, or there are fewer than two.

    Example:
        >>> [fold_of(torch.tensor([0, 1, 0, 1]), torch.zeros(4), fold, 2)[1].numel() for fold in range(2)]
        [2, 2]
    """
    whole_number("fold_of", "folds", folds, 2)
    whole_number("fold_of", "fold", fold, 0)
    if fold >= folds:
        raise ValueError(f"fold_of: expected a fold from 0 to {folds - 1}, got {fold}; change data.fold or data.folds")
    order = _ordered(labels, people, seed)
    return _parted(order, torch.arange(len(order)) % folds == fold)


def of_people(people: Tensor, chosen: list[int]) -> tuple[Tensor, Tensor]:
    """Indices of the samples of all others, and of those of some people.

    Args:
        people: who spoke or moved, [N]; negative where it is not known.
        chosen: who is held out.

    Raises:
        ValueError: if one of them is not there, or it is not known who it was.

    Example:
        >>> of_people(torch.tensor([3, 4, 3]), [3])
        (tensor([1]), tensor([0, 2]))
    """
    if (people < 0).any():
        raise ValueError(
            f"of_people: expected data that say who each sample is of, got none to hold out {list(chosen)}; use a "
            "share, or data.fold"
        )
    known = people.unique().tolist()
    if not chosen or not set(chosen) <= set(known):
        raise ValueError(f"of_people: expected some people of {known}, got {list(chosen)}; choose others, or a share")
    held = torch.isin(people, torch.tensor(chosen))
    return torch.nonzero(~held).flatten(), torch.nonzero(held).flatten()


def _ordered(labels: Tensor, people: Tensor, seed: int) -> Tensor:
    """All indices, by class and person, at random among those of the same."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    for key in (people, labels):
        order = order[torch.argsort(key[order], stable=True)]
    return order


def _parted(order: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
    return order[~held].sort().values, order[held].sort().values

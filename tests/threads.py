"""The same computation on several numbers of threads."""

from collections.abc import Callable
from typing import Any

import torch


def on_threads(run: Callable[[], Any], counts: tuple[int, ...] = (1, 2, 3)) -> list[Any]:
    """What ``run`` returns on each number of threads; the number is afterwards as it was."""
    before, results = torch.get_num_threads(), []
    try:
        for count in counts:
            torch.set_num_threads(count)
            results.append(run())
    finally:
        torch.set_num_threads(before)
    return results

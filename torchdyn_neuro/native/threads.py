"""How many threads a loop of ours takes: as many as torch, or one where other programs want the cores.

A thread of OpenMP spins while it waits for the others, and on a busy machine the one that is waited for is not running:
two threads on two busy cores took 60 ms for what one does in 1 ms. A long loop is worth it all the same.
"""

import os
import time

import torch

_OPERATIONS = 400_000_000
"""Operations on an element that take one thread about 20 ms; more are shared out on a busy machine too."""
_BUSY = 1.5
"""Programs that want to run, for each core, from which on a machine is busy; a training of ours alone makes one."""
_SECONDS = 1.0
"""How long a look at the machine holds."""

_looked = (-_SECONDS, False)


def threads_for(operations: int) -> int:
    """Threads for a loop of so many operations on an element; what it computes does not depend on their number."""
    threads = torch.get_num_threads()
    return 1 if threads > 1 and operations < _OPERATIONS and is_busy() else threads


def is_busy() -> bool:
    """Whether more programs want to run than there are cores for; false where the system does not tell."""
    global _looked
    now = time.monotonic()
    if now - _looked[0] >= _SECONDS:
        try:
            _looked = now, os.getloadavg()[0] > _BUSY * (os.cpu_count() or 1)
        except (OSError, AttributeError):
            _looked = now, False
    return _looked[1]

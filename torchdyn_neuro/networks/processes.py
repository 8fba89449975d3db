"""Processes that share the neurons of a network."""

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .projection import Projection

EXCHANGE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64, ctypes.POINTER(ctypes.c_int64))
_FIRST_ROOM = 64
"""Spikes that go along with their count at first."""
_LONGEST = 100
"""Steps between two exchanges, at most."""


class Processes:
    """The processes of a group: what they tell each other.

    Args:
        group: of ``torch.distributed``, with gloo for the CPU.

    Raises:
        TypeError: if ``group`` is none.
        ValueError: if this process is not in it, or it has no gloo.
    """

    def __init__(self, group: dist.ProcessGroup):
        if not isinstance(group, dist.ProcessGroup):
            raise TypeError(
                f"SpikingNetwork: expected a process group, got {group!r}; call torch.distributed.init_process_group("
                '"gloo") and pass group=torch.distributed.group.WORLD'
            )
        backend = dist.get_backend_config(group)
        if "cpu:gloo" not in backend:
            raise ValueError(
                f"SpikingNetwork: expected a process group with gloo, got {backend}; pass "
                'torch.distributed.new_group(backend="gloo")'
            )
        self.group, self.rank, self.count = group, dist.get_rank(group), dist.get_world_size(group)
        self.room = _FIRST_ROOM

    def gathered(self, tensor: Tensor) -> list[Tensor]:
        """A tensor of each process, all of one shape."""
        found = [torch.empty_like(tensor) for _ in range(self.count)]
        with self._meeting():
            dist.all_gather(found, tensor, group=self.group)
        return found

    def whole(self, parts: Tensor) -> Tensor:
        """A tensor of which each process has a part, and zeros elsewhere; bit for bit."""
        if parts.numel():
            with self._meeting():
                dist.all_reduce(parts.view(torch.uint8), group=self.group)
        return parts

    def alike(self, given: Mapping[str, Any]) -> None:
        """Raise unless all were given the same."""
        found: list[Any] = [None] * self.count
        with self._meeting():
            dist.all_gather_object(found, dict(given), group=self.group)
        for name in given:
            for rank, other in enumerate(found):
                if other[name] != found[0][name]:
                    raise ValueError(
                        f"SpikingNetwork: expected the same {name} in all processes, got {found[0][name]!r} in process "
                        f"0 and {other[name]!r} in process {rank}; pass the same"
                    )

    @contextmanager
    def together(self) -> Iterator[None]:
        """What fails in one process fails in all."""
        try:
            yield
        except BaseException:
            with suppress(RuntimeError):
                self.gathered(torch.ones(1, dtype=torch.uint8))
            raise
        failed = [rank for rank, told in enumerate(self.gathered(torch.zeros(1, dtype=torch.uint8))) if told]
        if failed:
            raise RuntimeError(
                f"SpikingNetwork: expected all {self.count} processes to go on, got an error in process {failed[0]}; "
                "look at its message"
            )

    def spikes(self, keys: Tensor) -> Tensor:
        """The keys of all processes in their order: first the counts, with as many keys as mostly come."""
        head = torch.zeros(1 + self.room, dtype=keys.dtype)
        head[0] = len(keys)
        head[1 : 1 + len(keys)] = keys[: self.room]
        found = self.gathered(head)
        counts = torch.stack([each[0] for each in found]).tolist()
        parts = [each[1 : 1 + count] for each, count in zip(found, counts, strict=True)]
        if max(counts) > self.room:
            rest = torch.zeros(max(counts) - self.room, dtype=keys.dtype)
            rest[: max(0, len(keys) - self.room)] = keys[self.room :]
            for each, count in zip(self.gathered(rest), counts, strict=True):
                parts.append(each[: max(0, count - self.room)])
            self.room = 2 * max(counts)
        return torch.cat(parts).sort().values

    @contextmanager
    def _meeting(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RuntimeError(
                f"SpikingNetwork: expected {self.count} processes, lost one of them ({reason}); start all of them "
                "again, from the last checkpoint"
            ) from error


def together(processes: Processes | None) -> AbstractContextManager[None]:
    """What fails within in one process fails in all, if there are others."""
    return nullcontext() if processes is None else processes.together()


def share(
    group: dist.ProcessGroup | None, projections: Sequence[Projection], given: Mapping[str, Any]
) -> Processes | None:
    """The processes of a group, if there is one; raise unless all were given the same network."""
    if group is None:
        return None
    processes = Processes(group)
    processes.alike({**given, "projections": [projection.digest(given["dt"]) for projection in projections]})
    if any(projection.changes for projection in projections):
        raise ValueError(
            "SpikingNetwork: expected synapses that stay in a network that processes share, got projections whose "
            "synapses change; leave out release= and plasticity=, or take one process"
        )
    for projection in projections:
        if projection.learned:
            raise ValueError(
                f"SpikingNetwork: expected no weights that are learned in a network that processes share, got learned= "
                f"in {projection.title}; leave it out, or take one process"
            )
    return processes


def place_of(processes: Processes | None) -> tuple[int, int]:
    """How many processes there are, and which is this one."""
    return (1, 0) if processes is None else (processes.count, processes.rank)


def largest_of(processes: Processes | None, own: Callable[[], float]) -> float:
    """The largest of the numbers that each process has."""
    with together(processes):
        largest = own()
    if processes is None:
        return largest
    return max(processes.gathered(torch.tensor(largest, dtype=torch.float64))).item()


class Exchange:
    """Spikes of all processes, at the intervals of the shortest delay, for kernels that call for them.

    Args:
        processes: those that share the network.
        local: copies the spikes of this process since the last exchange, int32 [spikes, 2].
        neurons: of the network.
        shortest: delay, steps.
    """

    def __init__(self, processes: Processes, local: Callable[[], Tensor], neurons: int, shortest: int):
        self.processes, self.local, self.neurons = processes, local, neurons
        self.interval = min(shortest, _LONGEST)
        self.dtype = torch.int32 if self.interval * neurons < 2**31 else torch.int64
        self.error: BaseException | None = None
        self.begin, self.heard = 0, [torch.zeros(0, 2, dtype=torch.int32)]
        self.function = EXCHANGE(self._meet)

    def start(self, begin: int) -> None:
        """From this step on."""
        self.begin, self.heard = begin, self.heard[:0]

    def finish(self) -> Tensor:
        """The spikes of all since the start, in order, int32 [spikes, 2]; raise what ended the exchange."""
        if self.error is not None:
            raise self.error
        return torch.cat(self.heard)

    def _meet(self, end: int, count: Any) -> int | None:
        # An error cannot pass through the kernel.
        try:
            step, neuron = self.local().unbind(1)
            keys = (step - self.begin).to(self.dtype) * self.neurons + neuron
            keys = self.processes.spikes(keys)
            step = torch.div(keys, self.neurons, rounding_mode="floor")
            pairs = torch.stack([step + self.begin, keys - step * self.neurons], 1).to(torch.int32)
        except BaseException as error:
            self.error = error
            return None
        self.heard.append(pairs)
        self.begin, count[0] = end, len(pairs)
        return pairs.data_ptr() or ctypes.addressof(count.contents)

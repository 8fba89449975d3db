"""Thousands of small launches as one: a function of tensors recorded in a CUDA graph once its shapes repeat.

A loop over time with a matrix product in every step launches a few kernels of microseconds per step, and Python cannot
keep up with the card. A graph replays all of them with one call. It reads and writes at fixed addresses, so arguments
are copied in and results out.

What one call leaves on the card is not waited for. So a recording belongs to the stream that was current: there its
replays follow each other, and on two streams at a time they would overwrite each other's arguments.
"""

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

Results = list[Tensor | None]
Function = Callable[..., Results]
Recorder = Callable[[Callable[[], Results]], tuple[Callable[[], None], Results]]
"""``call -> (replay, results)``: records ``call`` so that ``replay`` does it again and refreshes ``results``."""

_MOST_KEPT = 8
_TIMES_BEFORE = 2  # a shape that has come this often is expected again; by then all kernels are compiled
_LONG_UNUSED = 200  # calls without a use, after which a recording may be given up for another
_LARGEST = 1 << 30  # bytes of arguments, which a recording holds twice; steps that large outlast their launches


def record_on_cuda(call: Callable[[], Results]) -> tuple[Callable[[], None], Results]:
    """Record ``call`` as a CUDA graph on the current device."""
    # Torch's own stream for recordings stays on the device on which it was first used.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        # Nothing may be compiled, loaded or reserved while the graph is recorded.
        call()
    torch.cuda.current_stream().wait_stream(stream)
    try:
        return _record(call, stream)
    except Exception:
        # A recording that fails leaves the generator of random numbers as it is within one; the next one puts it back.
        _record(lambda: [torch.zeros(1, device=stream.device)], torch.cuda.Stream())
        raise


def _record(call: Callable[[], Results], stream: torch.cuda.Stream) -> tuple[Callable[[], None], Results]:
    graph, failures = torch.cuda.CUDAGraph(), []
    try:
        # One that fails leaves its stream the current one, too: the outer context puts that back. Other threads, such
        # as one that pins memory, go on with what they do.
        with (
            torch.cuda.stream(stream),
            torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
        ):
            try:
                results = call()
            except Exception as error:
                failures.append(error)
                raise
    except Exception as error:
        # The end of a recording that failed only says that it did.
        raise next(iter(failures), error) from None
    return graph.replay, results


def repeated(function: Function, record: Recorder = record_on_cuda) -> Function:
    """``function``, replayed once its arguments have had the same shapes before.

    Arguments are tensors, lists of tensors or ``None``, and plain values; results are new tensors at every call, or
    ``None``. Where a recording fails, ``function`` itself runs for these shapes from then on, with one warning; others
    are recorded as before.

    Args:
        function: reads its tensors, changes none of them, and depends on nothing else that changes.
        record: how it is recorded.
    """
    return _Repeated(function, record).call


class _Recorded:
    """One recording with its places for arguments."""

    def __init__(self, function: Function, arguments: Sequence[Any], record: Recorder):
        copies = [torch.empty_like(t, memory_format=torch.contiguous_format) for t in _tensors(arguments)]
        self.places = copies
        self.used = 0
        self._fill(arguments)
        placed = _replaced(arguments, iter(copies))
        self.replay, self.results = record(lambda: function(*placed))

    def _fill(self, arguments: Sequence[Any]) -> None:
        for place, tensor in zip(self.places, _tensors(arguments), strict=True):
            place.copy_(tensor)

    def call(self, arguments: Sequence[Any]) -> Results:
        self._fill(arguments)
        self.replay()
        return [None if result is None else result.clone() for result in self.results]


class _Repeated:
    def __init__(self, function: Function, record: Recorder):
        self.function = function
        self.record = record
        self.recorded: OrderedDict[Any, _Recorded] = OrderedDict()
        self.seen: OrderedDict[Any, int] = OrderedDict()
        self.failed: OrderedDict[Any, None] = OrderedDict()
        self.calls = 0
        self.lock = threading.Lock()

    def call(self, *arguments: Any) -> Results:
        # A graph is of one device, whatever device is current outside.
        with torch.cuda.device_of(next(_tensors(arguments))):
            if _being_recorded():
                return self.function(*arguments)
            with self.lock, torch.no_grad():
                recorded = self._find(arguments)
                # Under the lock: two threads would overwrite each other's arguments.
                return self.function(*arguments) if recorded is None else recorded.call(arguments)

    def _find(self, arguments: Sequence[Any]) -> _Recorded | None:
        kind = _kind(arguments)
        self.calls += 1
        known = self.recorded.get(kind)
        if known is None:
            if kind in self.failed or not self._is_worth_recording(kind, arguments):
                return None
            known = self._recorded_now(kind, arguments)
            if known is None:
                return None
            self.recorded[kind] = known
        self.recorded.move_to_end(kind)
        known.used = self.calls
        return known

    def _is_worth_recording(self, kind: Any, arguments: Sequence[Any]) -> bool:
        self.seen[kind] = self.seen.pop(kind, 0) + 1
        if len(self.seen) > 4 * _MOST_KEPT:
            self.seen.popitem(last=False)
        if self.seen[kind] <= _TIMES_BEFORE:
            return False
        if sum(tensor.nbytes for tensor in _tensors(arguments)) > _LARGEST:
            return False
        if len(self.recorded) < _MOST_KEPT:
            return True
        # More shapes by turns than are kept: to record each anew would cost more than it saves.
        oldest = next(iter(self.recorded))
        if self.calls - self.recorded[oldest].used <= _LONG_UNUSED:
            return False
        del self.recorded[oldest]
        return True

    def _recorded_now(self, kind: Any, arguments: Sequence[Any]) -> _Recorded | None:
        try:
            return _Recorded(self.function, arguments, self.record)
        except Exception as error:  # whatever goes wrong, the plain loop is right
            self.failed[kind] = None
            if len(self.failed) > 4 * _MOST_KEPT:
                self.failed.popitem(last=False)
            warnings.warn(
                "torchdyn_neuro: a loop with a connection in it is launched step by step, more slowly, because no CUDA "
                f"graph could be recorded for its shapes ({type(error).__name__}: {error})",
                stacklevel=2,
            )
            return None


def _being_recorded() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def _kind(arguments: Sequence[Any]) -> tuple:
    """What a recording is good for: a stream, shapes, types and plain values, and how matrices are multiplied."""
    # Not torch.get_float32_matmul_precision, which raises where the precision was set through these.
    precision = torch.backends.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    modes = torch.are_deterministic_algorithms_enabled(), torch.is_inference_mode_enabled()
    return (*precision, *modes, _current_stream(next(_tensors(arguments))), *map(_described, arguments))


def _current_stream(like: Tensor) -> int:
    return torch.cuda.current_stream(like.device).cuda_stream if like.is_cuda else 0


def _described(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return (tuple(argument.shape), argument.dtype, argument.device)
    return tuple(map(_described, argument)) if isinstance(argument, (list, tuple)) else argument


def _tensors(arguments: Sequence[Any]) -> Iterator[Tensor]:
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, (list, tuple)):
            yield from _tensors(argument)


def _replaced(arguments: Sequence[Any], places: Iterator[Tensor]) -> list[Any]:
    """The arguments with their tensors exchanged, in order."""
    new: list[Any] = []
    for argument in arguments:
        if isinstance(argument, Tensor):
            new.append(next(places))
        else:
            new.append(_replaced(argument, places) if isinstance(argument, (list, tuple)) else argument)
    return new

"""What surrounds the recording of a CUDA graph, with a recorder that needs no GPU, and with the real one."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.fused.operators import cuda_graph
from torchdyn_neuro.fused.operators.cuda_graph import record_on_cuda, repeated
from torchdyn_neuro.fused.recurrent import cut_loops, cut_runtime, network_native

from .graph_stand_in import stand_in


class Recorder:
    """Does what a CUDA graph does: works at the addresses of the recording and nowhere else."""

    def __init__(self):
        self.recordings = 0
        self.replays = 0

    def __call__(self, call):
        self.recordings += 1
        results = call()

        def replay():
            self.replays += 1
            for place, fresh in zip(results, call(), strict=True):
                if place is not None:
                    place.copy_(fresh)

        return replay, results


def combine(x, others, scale):
    return [scale * x + sum(other for other in others if other is not None), x.clone()]


def test_it_is_recorded_when_shapes_repeat_and_follows_its_arguments():
    recorder = Recorder()
    function = repeated(combine, recorder)
    kept = []
    for k in range(6):
        x, other = torch.full((2, 3), float(k)), torch.full((2, 3), 10.0 * k)
        results = function(x, [other, None], 2.0)
        kept.append(results)
        torch.testing.assert_close(results[0], torch.full((2, 3), 12.0 * k))
    assert (recorder.recordings, recorder.replays) == (1, 4)
    for k, results in enumerate(kept):  # later calls have not overwritten what earlier ones returned
        assert (results[0] == 12.0 * k).all()
        assert (results[1] == k).all()


def test_other_shapes_values_and_absent_arguments_get_recordings_of_their_own():
    recorder = Recorder()
    function = repeated(combine, recorder)
    calls = [((2,), 1.0, None), ((2,), 2.0, None), ((3,), 1.0, None), ((2,), 1.0, torch.ones(2))]
    for _ in range(4):
        for shape, scale, other in calls:
            expected = scale * torch.ones(shape) + (0 if other is None else other)
            torch.testing.assert_close(function(torch.ones(shape), [other, torch.zeros(shape)], scale)[0], expected)
    assert recorder.recordings == len(calls)


def test_the_number_of_recordings_is_bounded():
    recorder = Recorder()
    function = repeated(combine, recorder)
    for _ in range(2):
        for size in range(1, 13):
            for _ in range(3):
                function(torch.ones(size), [torch.ones(size)], 1.0)
    assert len(function.__self__.recorded) == 8


def test_a_recording_that_fails_warns_once_and_the_results_are_right():
    def refuse(call):
        raise RuntimeError("no room")

    function = repeated(combine, refuse)
    x = torch.ones(2)
    function(x, [x], 1.0)
    function(x, [x], 1.0)
    with pytest.warns(UserWarning, match="no room"):
        assert (function(x, [x], 1.0)[0] == 2).all()
    assert (function(x, [x], 1.0)[0] == 2).all()  # no second warning, which would be an error


def test_a_recording_that_fails_harms_only_its_own_shapes(monkeypatch):
    monkeypatch.setattr(cuda_graph, "_MOST_KEPT", 2)
    recorder, tried = Recorder(), []

    def refuse_odd(call):
        tried.append(len(call()[0]))
        if tried[-1] % 2:
            raise RuntimeError("no room")
        return recorder(call)

    function = repeated(combine, refuse_odd)
    for size in (1, 3):
        with pytest.warns(UserWarning, match="no room"):
            call_often(function, size, times=3)
    call_often(function, 1, 2, 3, times=5)
    assert tried == [1, 3, 2]  # what failed is not tried again
    assert (recorder.recordings, recorder.replays) == (1, 3)
    for size in range(5, 30, 2):
        with pytest.warns(UserWarning, match="no room"):
            call_often(function, size, times=3)
    assert len(function.__self__.failed) == 8  # and what has failed is not remembered for ever


def test_results_may_be_absent():
    function = repeated(lambda x: [x + 1, None], Recorder())
    for k in range(5):
        found, absent = function(torch.full((2,), float(k)))
        assert (found == k + 1).all()
        assert absent is None


def call_often(function, *sizes, times=4):
    for _ in range(times):
        for size in sizes:
            x = torch.full((size,), float(size))
            assert (function(x, [x], 1.0)[0] == 2 * size).all()


def test_more_shapes_by_turns_than_are_kept_are_not_recorded_again_and_again():
    recorder = Recorder()
    call_often(repeated(combine, recorder), *range(1, 13), times=10)
    assert recorder.recordings == 8
    assert recorder.replays == 8 * 8


def test_a_recording_that_is_no_longer_used_makes_room(monkeypatch):
    monkeypatch.setattr(cuda_graph, "_LONG_UNUSED", 10)
    recorder = Recorder()
    function = repeated(combine, recorder)
    call_often(function, *range(1, 9))
    call_often(function, 20, times=20)
    assert recorder.recordings == 9
    assert len(function.__self__.recorded) == 8


def test_within_a_recording_of_somebody_else_there_is_none_of_ours(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    recorder = Recorder()
    call_often(repeated(combine, recorder), 3)
    assert recorder.recordings == 0


def test_large_arguments_are_not_held_twice(monkeypatch):
    monkeypatch.setattr(cuda_graph, "_LARGEST", 100)
    recorder = Recorder()
    call_often(repeated(combine, recorder), 12, 13)  # 96 and 104 bytes
    assert (recorder.recordings, recorder.replays) == (1, 2)


def test_each_stream_has_its_own_recording(monkeypatch):
    recorder, stream = Recorder(), [0]
    monkeypatch.setattr(cuda_graph, "_current_stream", lambda like: stream[0])
    function = repeated(combine, recorder)
    for stream[0] in (1, 2, 1, 2):
        call_often(function, 3)
    assert recorder.recordings == 2
    first, second = function.__self__.recorded.values()
    assert {place.data_ptr() for place in first.places}.isdisjoint(place.data_ptr() for place in second.places)


def test_a_change_of_the_precision_of_products_is_another_recording():
    recorder = Recorder()
    function = repeated(combine, recorder)
    call_often(function, 3)
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    try:
        # With it torch.get_float32_matmul_precision raises.
        matmul.fp32_precision = "tf32"
        call_often(function, 3)
    finally:
        matmul.fp32_precision = before
    assert recorder.recordings == 2


def test_threads_do_not_meet_in_a_recording():
    function = repeated(combine, Recorder())
    call_often(function, 1000)

    def work(value):
        x = torch.full((1000,), float(value))
        return all((function(x, [x], 1.0)[0] == 2 * value).all() for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


@pytest.mark.parametrize("strided", [False, True])
def test_the_layout_of_an_argument_does_not_matter(strided):
    function = repeated(lambda x: [x.contiguous() + 1], Recorder())
    for k in range(5):
        x = torch.arange(6.0).reshape(2, 3) + k
        assert torch.equal(function(x.t().contiguous().t() if strided else x)[0], x + 1)


def test_the_operators_of_a_recurrent_layer_can_be_recorded(monkeypatch):
    """They read nothing but their arguments and write to nothing but their results, in both directions."""
    torch.manual_seed(0)
    calls = calls_of(monkeypatch, 5 * [tdn.Recurrent(tdn.ALIF(tau_mem=tdn.Learned(5.0)), torch.nn.Linear(6, 6))])
    for name, arguments in calls.items():
        recorder, operator = Recorder(), getattr(cut_runtime, name)
        function = repeated(operator, recorder)
        with torch.no_grad():
            results = [(function(*given), operator(*given)) for given in arguments]
        assert recorder.replays == 3
        for ours, theirs in results:
            assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_the_stand_in_follows_its_arguments_and_refuses_what_a_card_refuses(monkeypatch):
    graphs = stand_in(monkeypatch)

    def function(x, w):
        y = x.new_empty(x.shape)
        torch.mm(x, w, out=y)
        y.t()[0].add_(1.0)
        return [torch.tanh(y), y.sum(0)]

    recorded = repeated(function)
    for k in range(5):
        x, w = torch.randn(3, 4) + k, torch.randn(4, 4)
        for found, expected in zip(recorded(x, w), function(x, w), strict=True):
            assert torch.equal(found, expected)
    assert (graphs.recorded, graphs.replayed) == (1, 3)
    reads = repeated(lambda x: [x * x.sum().item()])
    for _ in range(2):
        reads(torch.ones(3))
    with pytest.warns(UserWarning, match="capturing"):
        assert (reads(torch.ones(3))[0] == 3).all()


def calls_of(monkeypatch, layers):
    """The arguments with which the operators of recurrent layers are called, in both directions."""
    calls = {}
    for name in ("cut_forward", "cut_backward"):
        operator, calls[name] = getattr(cut_runtime, name), []

        def spy(*arguments, name=name, operator=operator):
            calls[name].append(arguments)
            return operator(*arguments)

        monkeypatch.setattr(cut_runtime, name, spy)
    for layer in layers:
        x = (20 * torch.rand(11, 2, 6)).requires_grad_()
        with tdn.backend("cpp"):
            y = layer(x)
        assert 0 < y.mean() < 1
        y.sin().sum().backward()
    monkeypatch.undo()
    return calls


def test_equal_recurrent_layers_share_one_recording(monkeypatch):
    torch.manual_seed(0)
    layers = [tdn.Recurrent(tdn.LIF(tau_mem=tdn.Learned(5.0 + k)), torch.nn.Linear(6, 6)) for k in range(5)]
    calls = calls_of(monkeypatch, layers)
    # Step by step with the kernels of the cell, as on a card.
    monkeypatch.setattr(network_native, "takes", lambda *arguments: False)
    graphs = stand_in(monkeypatch)
    with torch.no_grad():
        expected = {name: [getattr(cut_runtime, name)(*call) for call in calls[name]] for name in calls}
        recorded = repeated(cut_loops.compute_forward), repeated(cut_loops.compute_backward)
        ours = {"cut_forward": lambda key, owner, *call: recorded[0](key, *call), "cut_backward": recorded[1]}
        for count, (name, function) in enumerate(ours.items(), 1):
            for call, results in zip(calls[name], expected[name], strict=True):
                for found, result in zip(function(*call), results, strict=True):
                    assert torch.equal(found, result)
            assert (graphs.recorded, graphs.replayed) == (count, 3 * count)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_cuda_a_replay_equals_a_call():
    function = repeated(lambda x, w: [torch.tanh(x @ w)], record_on_cuda)
    for k in range(5):
        x, w = torch.randn(4, 8, device="cuda") + k, torch.randn(8, 8, device="cuda")
        torch.testing.assert_close(function(x, w)[0], torch.tanh(x @ w))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_on_a_device_that_is_not_the_current_one():
    function = repeated(lambda x, w: [torch.tanh(x @ w)], record_on_cuda)
    for k in range(5):
        x, w = torch.randn(4, 8, device="cuda:1") + k, torch.randn(8, 8, device="cuda:1")
        torch.testing.assert_close(function(x, w)[0], torch.tanh(x @ w))

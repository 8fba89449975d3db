"""What surrounds the recording of a CUDA graph, with a recorder that needs no GPU, and with the real one."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.fused import cuda_graph
from torchdyn_neuro.fused.cuda_graph import record_on_cuda, repeated


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
    operators = torch.ops.torchdyn_neuro
    plain = {name: getattr(operators, name) for name in ("recurrent_forward", "recurrent_backward")}
    torch.manual_seed(0)
    layer = tdn.Recurrent(tdn.ALIF(tau_mem=tdn.Learned(5.0)), torch.nn.Linear(6, 6))

    calls = {name: [] for name in plain}
    for name, operator in plain.items():

        def spy(*arguments, name=name, operator=operator):
            calls[name].append(arguments)
            return operator(*arguments)

        monkeypatch.setattr(operators, name, spy)
    for _ in range(5):
        x = (20 * torch.rand(11, 2, 6)).requires_grad_()
        with tdn.backend("cpp"):
            y = layer(x)
        assert 0 < y.mean() < 1
        y.sin().sum().backward()
    for name, operator in plain.items():
        recorder = Recorder()
        function = repeated(operator, recorder)
        with torch.no_grad():
            results = [(function(*arguments), operator(*arguments)) for arguments in calls[name]]
        assert recorder.replays == 3
        for ours, theirs in results:
            assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


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

"""What surrounds the recording of a CUDA graph, with a recorder that needs no GPU, and with the real one."""

import pytest
import torch

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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_cuda_a_replay_equals_a_call():
    function = repeated(lambda x, w: [torch.tanh(x @ w)], record_on_cuda)
    for k in range(5):
        x, w = torch.randn(4, 8, device="cuda") + k, torch.randn(8, 8, device="cuda")
        torch.testing.assert_close(function(x, w)[0], torch.tanh(x @ w))

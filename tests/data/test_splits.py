import pytest
import torch

from torchdyn_neuro.data.splits import fold_of, hold_out, of_people

LABELS = torch.arange(10).repeat(60)
PEOPLE = torch.arange(6).repeat_interleave(100)


@pytest.mark.parametrize("share", [0.1, 0.25, 1 / 3])
def test_a_share_is_the_same_of_each_class_and_person(share):
    rest, held = hold_out(LABELS, PEOPLE, share)
    assert sorted([*rest.tolist(), *held.tolist()]) == list(range(600))
    assert len(held) == round(600 * share)
    counts = torch.zeros(10, 6).index_put((LABELS[held], PEOPLE[held]), torch.ones(len(held)), accumulate=True)
    # Of ten samples each.
    assert (counts - 10 * share).abs().max() < 1


def test_a_share_is_drawn():
    held = [hold_out(LABELS, PEOPLE, 0.1, seed=seed)[1] for seed in (0, 0, 1)]
    assert torch.equal(held[0], held[1])
    assert not torch.equal(held[0], held[2])
    assert [len(part) for part in hold_out(LABELS, PEOPLE, 0.0)] == [600, 0]


def test_folds_are_disjoint_complete_and_alike():
    tests = [fold_of(LABELS, torch.zeros_like(LABELS), fold, 5)[1] for fold in range(5)]
    assert sorted(torch.cat(tests).tolist()) == list(range(600))
    assert all(LABELS[test].bincount().tolist() == [12] * 10 for test in tests)
    train, test = fold_of(LABELS, PEOPLE, 2, 5)
    assert not set(train.tolist()) & set(test.tolist())


def test_people_are_held_out_whole():
    rest, held = of_people(PEOPLE, [0, 4])
    assert PEOPLE[held].unique().tolist() == [0, 4]
    assert PEOPLE[rest].unique().tolist() == [1, 2, 3, 5]


@pytest.mark.parametrize("chosen", [[], [7], [0, 7]])
def test_people_who_are_not_there(chosen):
    with pytest.raises(ValueError, match=r"expected some people of \[0, 1, 2, 3, 4, 5\]"):
        of_people(PEOPLE, chosen)


def test_people_who_are_not_known():
    with pytest.raises(ValueError, match="expected data that say who each sample is of"):
        of_people(torch.full((5,), -1), [0])


def test_folds_that_do_not_exist():
    with pytest.raises(ValueError, match=r"fold from 0 to 4, got 5; change data\.fold"):
        fold_of(LABELS, PEOPLE, 5, 5)
    with pytest.raises(ValueError, match="share from 0 to 1"):
        hold_out(LABELS, PEOPLE, 1.5)

import pytest
import torch

from torchdyn_neuro.data import BucketedBatches, ShardedBatches

LENGTHS = torch.randint(1, 200, (100,), generator=torch.Generator().manual_seed(0))


def spread(batches):
    """Mean difference between the longest and the shortest sequence of a batch."""
    return sum(float(LENGTHS[batch].max() - LENGTHS[batch].min()) for batch in batches) / len(batches)


def test_lengths_in_a_batch_are_alike():
    sorted_alike = list(BucketedBatches(LENGTHS, 8, shuffle=True, pool=6))
    assert spread(sorted_alike) < 0.4 * spread(list(ShardedBatches(100, 8, shuffle=True)))
    assert len(torch.cat(sorted_alike).unique()) == 96
    assert {len(batch) for batch in sorted_alike} == {8}
    # The batches themselves come in any order, not from short to long.
    assert [int(LENGTHS[batch].sum()) for batch in sorted_alike] != sorted(int(LENGTHS[b].sum()) for b in sorted_alike)


def test_evaluation_is_sorted_and_complete():
    order = torch.cat(list(BucketedBatches(LENGTHS, 8, shuffle=False)))
    assert (LENGTHS[order].diff() >= 0).all()
    assert sorted(order.tolist()) == list(range(100))


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_are_the_same_for_any_number_of_processes(shuffle):
    whole = list(BucketedBatches(LENGTHS, 8, shuffle=shuffle, pool=4, seed=3))
    shards = [
        list(BucketedBatches(LENGTHS, 8, shuffle=shuffle, pool=4, seed=3, rank=rank, processes=2)) for rank in range(2)
    ]
    assert {len(shard) for shard in shards} == {len(whole)}
    for batch, *parts in zip(whole, *shards, strict=True):
        assert sorted(torch.cat(parts).tolist()) == sorted(batch.tolist())


def test_the_order_is_a_function_of_seed_and_epoch():
    epoch = [0]
    batches = BucketedBatches(LENGTHS, 8, shuffle=True, epoch=lambda: epoch[0])
    first = torch.cat(list(batches))
    assert torch.equal(first, torch.cat(list(batches)))
    epoch[0] = 1
    assert not torch.equal(first, torch.cat(list(batches)))
    # A run that goes on begins a pass like the uninterrupted one.
    again = BucketedBatches(LENGTHS, 8, shuffle=True, epoch=lambda: 1)
    assert torch.equal(torch.cat(list(batches)), torch.cat(list(again)))


def test_what_cannot_be_dealt_out_is_refused():
    with pytest.raises(ValueError, match=r"change data\.batch_size"):
        BucketedBatches(LENGTHS, 128, shuffle=True)
    with pytest.raises(ValueError, match="pool to be at least 1"):
        BucketedBatches(LENGTHS, 8, shuffle=True, pool=0)

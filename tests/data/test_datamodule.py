import time

import lightning
import numpy as np
import pytest
import torch

from bitgate.data import SequenceDataModule, Sequences
from bitgate.data.batches import LengthBatches, TrainBatches
from bitgate.data.datamodule import PaddedBatches
from bitgate.errors import ArgumentError

from .conftest import random_sequences


def epoch_of(loader, epoch):
    loader.sampler.set_epoch(epoch)
    return list(loader)


def same(a, b):
    return len(a) == len(b) and all(
        torch.equal(p, q) for x, y in zip(a, b, strict=True) for p, q in zip(x, y, strict=True)
    )


@pytest.mark.parametrize("resident_bytes", [0, 2**30])
def test_batch_is_padded_to_its_longest(resident_bytes):
    sequences = random_sequences()
    chosen = np.array([3, 17, 0])
    x, length, y = PaddedBatches(sequences, resident_bytes)[chosen]
    want, want_length = sequences.padded(chosen)
    assert (x.dtype, length.dtype, y.dtype) == (torch.float32, torch.int64, torch.int64)
    np.testing.assert_array_equal(x.numpy(), want)
    np.testing.assert_array_equal(length.numpy(), want_length)
    np.testing.assert_array_equal(y.numpy(), sequences.labels[chosen])


def test_targets_are_those_of_the_sequences_of_the_batch():
    sequences = random_sequences()
    targets = torch.arange(2.0 * len(sequences)).reshape(-1, 2)
    chosen = np.array([5, 2, 9])
    *batch, found = PaddedBatches(sequences, targets=targets)[chosen]
    assert len(batch) == 3
    assert torch.equal(found, torch.tensor([[10.0, 11.0], [4.0, 5.0], [18.0, 19.0]]))
    with pytest.raises(ArgumentError, match=f"targets: 1 rows, expected one for each of {len(sequences)}"):
        PaddedBatches(sequences, targets=targets[:1])


@pytest.mark.parametrize("bucket", [True, False])
def test_an_epoch_holds_every_sequence_once_and_keeps_the_small_batch(dataset, bucket):
    loader = SequenceDataModule(dataset, 64, bucket=bucket).train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader) == 16
    assert sorted(len(y) for _, _, y in batches) == [1003 - 15 * 64] + [64] * 15
    steps = sum(int(length.sum()) for _, length, _ in batches)
    assert steps == dataset.train.length.sum()
    chosen = np.concatenate(list(loader.sampler))
    assert sorted(chosen.tolist()) == list(range(1003))


def test_batches_are_tuples_of_tensors(dataset):
    batch = next(iter(SequenceDataModule(dataset).train_dataloader()))
    assert type(batch) is tuple
    assert [type(part) for part in batch] == [torch.Tensor] * 3


def test_order_is_a_function_of_seed_and_epoch_alone(dataset):
    loader = SequenceDataModule(dataset, seed=5).train_dataloader()
    run = [epoch_of(loader, epoch) for epoch in range(4)]
    np.random.default_rng().random()
    resumed = epoch_of(SequenceDataModule(dataset, seed=5).train_dataloader(), 3)
    assert same(resumed, run[3])
    assert not same(run[2], run[3])
    assert not same(epoch_of(SequenceDataModule(dataset, seed=6).train_dataloader(), 3), run[3])


def test_epoch_may_be_set_after_the_iterator_is_made():
    batches = TrainBatches(np.ones(99, np.int64), 10)
    early = iter(batches)
    batches.set_epoch(7)
    late = iter(batches)
    assert [b.tolist() for b in early] == [b.tolist() for b in late]


def test_buckets_pad_little_but_stay_random():
    length = np.random.default_rng(0).integers(10, 100, 6400)

    def padding(batches):
        return sum(length[b].max() * len(b) for b in batches) / length.sum() - 1

    bucketed, plain = TrainBatches(length, 64), TrainBatches(length, 64, bucket=False)
    assert padding(bucketed) < 0.05
    assert padding(plain) > 0.5
    longest = np.array([length[b].max() for b in bucketed])
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


def test_evaluation_is_sorted_and_the_same_each_time(dataset):
    module = SequenceDataModule(dataset)
    batches = list(module.test_dataloader())
    length = torch.cat([b[1] for b in batches])
    assert [len(b[2]) for b in batches] == [512, 88]
    assert torch.equal(length, length.sort().values)
    assert same(batches, list(module.test_dataloader()))
    assert len(list(module.val_dataloader())) == 1
    assert len(LengthBatches(np.array([3, 1]), 1)) == 2


def test_processes_share_an_epoch():
    length = np.arange(1, 12)
    shares = [list(TrainBatches(length, 3, rank=r, world_size=3)) for r in range(3)]
    assert [len(s) for s in shares] == [2, 2, 2]
    assert {int(i) for s in shares for b in s for i in b} == set(range(11))
    with pytest.raises(ArgumentError, match=r"rank=3 is outside 0\.\.2"):
        TrainBatches(length, 3, rank=3, world_size=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"eval_batch_size": -1}, "batch_size=-1"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_arguments(dataset, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        SequenceDataModule(dataset, **arguments)


def test_labels_are_needed():
    with pytest.raises(ArgumentError, match="labels is None"):
        PaddedBatches(Sequences.from_list([np.zeros((2, 1))]))


class Recorder(lightning.LightningModule):
    """Remembers which batches each epoch gave; learns nothing."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = {}

    def training_step(self, batch, index):
        x, _, y = batch
        self.seen.setdefault(self.current_epoch, []).append((x.clone(), y.clone()))
        return (self.weight * x.sum()).sum() * 0

    def validation_step(self, batch, index):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*log_every_n_steps.*", "ignore:.*LeafSpec.*")
def test_resumed_training_sees_the_batches_of_an_uninterrupted_run(dataset, tmp_path):
    def fit(epochs, checkpoint=None):
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        )  # fmt: skip
        model = Recorder()
        trainer.fit(model, datamodule=SequenceDataModule(dataset, 256, seed=3), ckpt_path=checkpoint)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        return model.seen

    whole = fit(3)
    fit(1)
    resumed = fit(3, tmp_path / "last.ckpt")
    assert sorted(resumed) == [1, 2]
    for epoch in (1, 2):
        assert same(resumed[epoch], whole[epoch])
    assert not same(whole[1], whole[2])


def test_a_batch_is_cheap(dataset):
    loader = SequenceDataModule(dataset).train_dataloader()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        n = sum(1 for _ in loader)
        best = min(best, (time.perf_counter() - start) / n)
    assert best < 1e-3

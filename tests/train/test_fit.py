"""Training on a tiny file: what it writes, what it chooses, what it refuses, and that a seed decides everything."""

import csv
import json

import lightning
import numpy as np
import pytest
import torch

from bitgate.data import SequenceDataModule
from bitgate.errors import ArgumentError, DataError
from bitgate.train import Schedule, fit, load_run_dataset, load_weights
from tests.train.tiny import (
    CLASSES,
    PER_PART,
    equal_weights,
    run_of,
    saved_weights,
    tiny_config,
    untrained,
    write_digits,
)


def metrics(run) -> list[dict[str, str]]:
    with run.metrics_file.open() as file:
        return list(csv.DictReader(file))


def column(run, name: str) -> list[float]:
    return [float(row[name]) for row in metrics(run)]


@pytest.fixture(scope="module")
def trained(digits_file, tmp_path_factory):
    """One run that many tests look at: moving temperature, three epochs."""
    folder = tmp_path_factory.mktemp("trained")
    config = tiny_config(
        digits_file,
        runs_dir=str(folder),
        epochs=3,
        learning_rate=0.05,
        temperature=2.0,
        temperature_end=0.5,
        temperature_schedule="exponential",
    )
    return config, run_of(config), fit(config, progress=False)


def test_run_folder_holds_everything(trained):
    config, run, result = trained
    assert run.read_config() == config
    assert {path.name for path in run.checkpoints.iterdir()} == {"last.ckpt", "best-map.ckpt", "best-sample.ckpt"}
    assert json.loads(run.result_file.read_text()) == result == run.read_result()
    events = list(run.tensorboard.glob("events.out.tfevents.*"))
    assert len(events) == 1
    assert events[0].stat().st_size > 500, "TensorBoard got no metrics"
    assert not list(run.path.rglob("*.tmp"))


def test_metrics_tell_every_epoch(trained):
    _, run, _ = trained
    rows = metrics(run)
    assert list(rows[0]) == [
        "epoch", "train_loss", "val_sample", "val_map", "entropy_bits", "temperature", "learning_rate",
    ]  # fmt: skip
    assert column(run, "epoch") == [0, 1, 2]
    expected = [Schedule("exponential", 2.0, 0.5).at(epoch, 3) for epoch in range(3)]
    assert column(run, "temperature") == pytest.approx(expected, rel=1e-5)
    cosine = [Schedule("cosine", 0.05, 0.0005).at(epoch, 3) for epoch in range(3)]
    assert column(run, "learning_rate") == pytest.approx(cosine, rel=1e-5)
    assert all(0 < bits < np.log2(3) for bits in column(run, "entropy_bits"))
    assert all(0 <= share <= 1 for share in column(run, "val_sample") + column(run, "val_map"))


def test_result_is_that_of_the_best_validated_epoch(trained):
    _, run, result = trained
    for kind in ("map", "sample"):
        scores = column(run, f"val_{kind}")
        assert result[f"val_{kind}"] == pytest.approx(max(scores), abs=1e-5)
        assert result[f"epoch_{kind}"] == int(np.argmax(scores))
    # 6 units: 3 * 6 * (8 + 6) + 4 * 6 weights of two bits, 18 + 4 biases of 32.
    assert result["paper_bits"] == 2 * (3 * 6 * 14 + CLASSES * 6) + 32 * (18 + CLASSES)
    assert result["seed"] == 0
    assert result["split"] == "paper"


def test_loss_falls_and_beats_chance(data):
    config = tiny_config(data, weights="continuous", hidden_sizes=(12,), batch_size=16, epochs=10, learning_rate=0.05)
    result = fit(config, progress=False)
    losses = column(run_of(config), "train_loss")
    assert losses[-1] < 0.5 * losses[0]
    assert result["test_map"] > 3 / CLASSES, "a net that learns tells four digits apart"
    assert "test_sample" not in result, "continuous weights have no draws"


def test_untrained_model_standardizes_by_the_training_part(data):
    config = tiny_config(data)
    model, dataset = untrained(config), load_run_dataset(config)
    steps = dataset.train.features.astype(np.float64)
    assert len(steps) == 8 * PER_PART["train"]
    std = steps.std(axis=0)
    np.testing.assert_allclose(model.standardize.mean, steps.mean(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(model.standardize.std, np.where(std > 0, std, 1), rtol=1e-6)
    everything = np.concatenate([steps, dataset.val.features, dataset.test.features]).mean(axis=0)
    assert not np.allclose(model.standardize.mean, everything, rtol=1e-6, atol=1e-6)


def test_best_epoch_is_chosen_on_validation_and_not_on_test(tmp_path, data):
    labels = np.load(data)["y"]
    ends = np.cumsum(list(PER_PART.values()))
    rng = np.random.default_rng(0)
    runs, results = {}, {}
    for name, part in (("test", slice(ends[1], ends[2])), ("val", slice(ends[0], ends[1]))):
        shuffled = labels.copy()
        shuffled[part] = rng.permutation(shuffled[part])
        for kind, y in ((f"{name}-true", labels), (f"{name}-shuffled", shuffled)):
            config = tiny_config(write_digits(tmp_path / f"{kind}.npz", y=y), name=kind, epochs=5, learning_rate=0.05)
            results[kind], runs[kind] = fit(config, progress=False), run_of(config)

    def same_choice(a: str, b: str) -> bool:
        chosen = [(results[k]["epoch_map"], results[k]["epoch_sample"]) for k in (a, b)]
        best = [saved_weights(runs[k], "best-map") for k in (a, b)]
        return chosen[0] == chosen[1] and equal_weights(*best)

    assert results["test-true"]["test_map"] != results["test-shuffled"]["test_map"]
    assert same_choice("test-true", "test-shuffled")
    assert equal_weights(saved_weights(runs["val-true"]), saved_weights(runs["val-shuffled"])), "same training"
    assert not same_choice("val-true", "val-shuffled"), "sabotage: other validation labels must choose otherwise"


def test_seed_decides_every_bit(data):
    configs = [tiny_config(data, name=name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    results = [fit(config, progress=False) for config in configs]
    a, b, c = (saved_weights(run_of(config)) for config in configs)
    assert equal_weights(a, b)
    assert not equal_weights(a, c)
    seconds = [result.pop("seconds") for result in results]
    assert all(s > 0 for s in seconds)
    assert results[0] == results[1]
    assert run_of(configs[0]).metrics_file.read_bytes() == run_of(configs[1]).metrics_file.read_bytes()


def test_state_of_the_process_has_no_say(data):
    configs = [tiny_config(data, name=name) for name in ("a", "b")]
    fit(configs[0], progress=False)
    torch.manual_seed(12345)
    np.random.seed(1)  # noqa: NPY002 (the global state is what must not matter)
    fit(configs[1], progress=False)
    assert equal_weights(*(saved_weights(run_of(config)) for config in configs))


def test_existing_run_is_neither_resumed_nor_overwritten_by_accident(data):
    config = tiny_config(data)
    fit(config, progress=False)
    before = saved_weights(run_of(config))
    with pytest.raises(ArgumentError, match=r"name: .*tiny exists; --resume continues it, --overwrite starts again"):
        fit(config, progress=False)
    with pytest.raises(ArgumentError, match=r"resume: .*config\.yaml differs from the configuration given"):
        fit(tiny_config(data, epochs=9), resume=True, progress=False)
    assert equal_weights(before, saved_weights(run_of(config)))


def test_resume_of_an_ended_run_trains_nothing(data):
    config = tiny_config(data)
    result = fit(config, progress=False)
    changed = run_of(config).checkpoint("last").stat().st_mtime_ns
    assert fit(config, resume=True, progress=False) == result
    assert run_of(config).checkpoint("last").stat().st_mtime_ns == changed


def test_overwriting_starts_from_nothing(data):
    config = tiny_config(data)
    fit(config, progress=False)
    other = tiny_config(data, epochs=1, weights="continuous")
    fit(other, overwrite=True, progress=False)
    run = run_of(other)
    assert run.read_config() == other
    assert column(run, "epoch") == [0]
    assert {path.name for path in run.checkpoints.iterdir()} == {"last.ckpt", "best-map.ckpt"}
    assert len(list(run.tensorboard.glob("events.*"))) == 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": "missing.npz"}, DataError, r"missing\.npz"),
        ({"data": "digit"}, ArgumentError, "did you mean digits"),
        ({"gates": {"f": 2}}, ArgumentError, "a coupled cell computes f as 1 - i"),
        ({"hidden_sizes": ()}, ArgumentError, "hidden_sizes"),
        ({"dropout": 1.0}, ArgumentError, r"dropout: 1\.0"),
    ],
)
def test_refused_run_leaves_no_folder_that_blocks_the_next_try(data, changes, error, message):
    config = tiny_config(data, **changes)
    with pytest.raises(error, match=message):
        fit(config, progress=False)
    assert not run_of(config).path.exists()
    fit(tiny_config(data, epochs=1), progress=False)


def test_training_stops_when_patience_ends(data):
    # The smallest learning rate: every epoch validates alike, so none after the first is better.
    config = tiny_config(data, weights="continuous", epochs=20, patience=3, learning_rate=1e-12)
    fit(config, progress=False)
    assert column(run_of(config), "epoch") == [0, 1, 2, 3]


def test_callbacks_of_the_caller_are_called_in_every_epoch(data):
    class Count(lightning.Callback):
        epochs = 0

        def on_train_epoch_start(self, trainer, pl_module):
            self.epochs += 1

    count = Count()
    fit(tiny_config(data, weights="continuous", epochs=2), progress=False, callbacks=[count])
    assert count.epochs == 2


def test_without_patience_training_never_stops_early(data):
    config = tiny_config(data, weights="continuous", epochs=5, patience=0, learning_rate=1e-12)
    fit(config, progress=False)
    assert len(metrics(run_of(config))) == 5


def test_only_validated_epochs_have_validation_metrics(data):
    config = tiny_config(data, epochs=4, validate_every=2)
    result = fit(config, progress=False)
    assert [bool(row["val_map"]) for row in metrics(run_of(config))] == [False, True, False, True]
    assert all(row["train_loss"] for row in metrics(run_of(config)))
    assert result["epoch_map"] in (1, 3)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"cell": "gru"}, marks=pytest.mark.slow),
        pytest.param({"weights": "gaussian"}, marks=pytest.mark.slow),
        {"weights": "gaussian", "method": "lr", "kl_weight": 0.1},
        {"method": "lr", "kl_weight": 0.01, "prior": (0.1, 0.8, 0.1)},
        pytest.param({"method": "qat"}, marks=pytest.mark.slow),
        {"weights": "binary", "entropy_weight": 0.01},
        pytest.param({"weights": 4}, marks=pytest.mark.slow),
        {"weights": 4, "method": "qat", "cell": "gru", "gates": {"r": 2, "n": 2}},
        pytest.param({"gates": {"i": 2, "o": 2, "g": 3}}, marks=pytest.mark.slow),
        {"coupled": False, "gates": {"f": 2}, "hidden_sizes": (5, 4), "dropout": 0.2},
        {"straight_through": False, "learning_rate_schedule": "constant", "clip_norm": 0.0},
    ],
    ids=str,
)
def test_every_kind_of_net_trains(data, changes):
    config = tiny_config(data, epochs=1, **changes)
    start = untrained(config).state_dict()
    result = fit(config, progress=False)
    end = {k.removeprefix("model."): v for k, v in saved_weights(run_of(config)).items()}
    still = [k for k, v in start.items() if "standardize" not in k and torch.equal(v, end[k])]
    assert not still, "every parameter must have moved"
    assert all(torch.isfinite(v).all() for v in end.values())
    assert ("test_sample" in result) == config.is_random
    model = untrained(config)
    epoch, score = load_weights(model, run_of(config), "map")
    assert (epoch, score) == (result["epoch_map"], pytest.approx(result["val_map"]))


def test_weights_of_a_run_that_was_never_validated_are_refused(data):
    config = tiny_config(data)
    with pytest.raises(ArgumentError, match=r"best-map\.ckpt does not exist; let the run reach its first validation"):
        load_weights(untrained(config), run_of(config), "map")


def test_scales_move_slower_than_weights(data):
    from bitgate.train.module import ClassifierTraining

    config = tiny_config(data, scale_learning_rate=0.01, learning_rate=0.04)
    model = untrained(config)
    configured = ClassifierTraining(model, config, 100).configure_optimizers()
    groups = configured["optimizer"].param_groups
    scales = {id(p) for name, p in model.named_parameters() if "log_scale" in name}
    assert scales
    for group in groups:
        inside = {id(p) in scales for p in group["params"]}
        assert len(inside) == 1, "a group mixes scales and weights"
        assert group["initial_lr"] == pytest.approx(0.01 if inside == {True} else 0.04)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_batches_hold_every_training_sequence_once(data):
    dataset = load_run_dataset(tiny_config(data))
    loader = SequenceDataModule(dataset, batch_size=32).train_dataloader()
    labels = torch.cat([batch[2] for batch in loader])
    assert torch.equal(labels.sort().values, torch.from_numpy(np.sort(dataset.train.labels)))

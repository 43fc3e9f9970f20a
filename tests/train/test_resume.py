"""A run that dies and is resumed ends where an uninterrupted one ends, bit for bit."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bitgate.train import fit
from bitgate.train.checkpoints import AtomicCheckpoints
from bitgate.train.module import ClassifierTraining
from tests.train.tiny import equal_weights, run_of, saved_weights, tiny_config


class Killed(BaseException):
    """Stands for the end of the process: nothing in the training loop handles it."""


MOVING = {"temperature": 2.0, "temperature_end": 0.3, "temperature_schedule": "cosine", "method": "r"}


def same_end(a, b) -> bool:
    return equal_weights(saved_weights(run_of(a)), saved_weights(run_of(b))) and (
        run_of(a).metrics_file.read_bytes() == run_of(b).metrics_file.read_bytes()
    )


def interrupt(monkeypatch, config, *, epoch: int, batch: int) -> None:
    """Runs ``fit`` until it dies in the middle of an epoch."""
    original = ClassifierTraining.loss
    steps = itertools.count()
    first = [0]  # step of the epoch's first batch

    def dying(self, data):
        step = next(steps)
        if self.current_epoch < epoch:
            first[0] = step + 1
        if (self.current_epoch, step - first[0]) == (epoch, batch):
            raise Killed
        return original(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(ClassifierTraining, "loss", dying)
        with pytest.raises(Killed):
            fit(config, progress=False)
    assert not run_of(config).result_file.exists()


@pytest.mark.parametrize(
    ("changes", "epoch", "batch"),
    [
        (MOVING, 0, 2),
        (MOVING, 2, 3),
        pytest.param({"method": "lr", "dropout": 0.3, "hidden_sizes": (5, 4)}, 2, 0, marks=pytest.mark.slow),
        pytest.param({"validate_every": 2, "cell": "gru"}, 2, 3, marks=pytest.mark.slow),
    ],
    ids=["first epoch", "r-trick", "lr-trick and dropout", "validated every second epoch"],
)
def test_interrupted_run_ends_as_an_uninterrupted_one(monkeypatch, data, changes, epoch, batch):
    whole, dying = (tiny_config(data, name=name, epochs=4, **changes) for name in ("whole", "dying"))
    expected = fit(whole, progress=False)
    interrupt(monkeypatch, dying, epoch=epoch, batch=batch)
    result = fit(dying, resume=True, progress=False)
    assert same_end(whole, dying)
    assert {**result, "seconds": 0} == {**expected, "seconds": 0}


def test_comparison_of_ends_notices_a_lost_epoch(data):
    three, four = (tiny_config(data, name=str(n), epochs=n, learning_rate_schedule="constant") for n in (3, 4))
    for config in (three, four):
        fit(config, progress=False)
    assert not same_end(three, four)


def test_run_killed_between_training_and_test_is_only_tested(data):
    config = tiny_config(data)
    expected = fit(config, progress=False)
    before = saved_weights(run_of(config))
    run_of(config).result_file.unlink()
    result = fit(config, resume=True, progress=False)
    assert {**result, "seconds": 0} == {**expected, "seconds": 0}
    assert equal_weights(before, saved_weights(run_of(config)))


@pytest.mark.parametrize("validate_every", [1, 2])
def test_run_killed_after_it_stopped_early_does_not_train_on(data, validate_every):
    config = tiny_config(
        data, weights="continuous", epochs=20, patience=2, learning_rate=1e-12, validate_every=validate_every
    )
    expected = fit(config, progress=False)
    metrics = run_of(config).metrics_file.read_bytes()
    assert len(metrics.splitlines()) == 1 + 3 * validate_every
    run_of(config).result_file.unlink()
    result = fit(config, resume=True, progress=False)
    assert run_of(config).metrics_file.read_bytes() == metrics
    assert {**result, "seconds": 0} == {**expected, "seconds": 0}


def test_resuming_what_never_began_trains_it(data):
    config = tiny_config(data)
    assert fit(config, resume=True, progress=False)["epoch_map"] in (0, 1)


def test_kill_while_a_checkpoint_is_written_leaves_the_last_whole_one(monkeypatch, tmp_path):
    path = tmp_path / "checkpoints" / "last.ckpt"
    writer = AtomicCheckpoints()
    writer.save_checkpoint({"weights": torch.arange(3)}, path)

    def torn(checkpoint, target):
        Path(target).write_bytes(b"half of a file")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", torn)
        with pytest.raises(Killed):
            writer.save_checkpoint({"weights": torch.arange(5)}, path)
    assert torch.equal(writer.load_checkpoint(path)["weights"], torch.arange(3))
    writer.save_checkpoint({"weights": torch.arange(7)}, path)
    assert torch.equal(writer.load_checkpoint(path)["weights"], torch.arange(7))
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_training_writes_its_checkpoints_atomically(monkeypatch, data):
    written = []
    save = AtomicCheckpoints.save_checkpoint

    def recording(self, checkpoint, path, storage_options=None):
        written.append(str(path))
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(AtomicCheckpoints, "save_checkpoint", recording)
    config = tiny_config(data)
    fit(config, progress=False)
    assert {name.rsplit("/", 1)[-1] for name in written} == {"last.ckpt", "best-map.ckpt", "best-sample.ckpt"}


@pytest.mark.slow
def test_run_survives_kill_9(data):
    whole, dying = (tiny_config(data, name=name, epochs=60, hidden_sizes=(12,), **MOVING) for name in ("w", "d"))
    fit(whole, progress=False)
    options = {
        "data": dying.data, "runs-dir": dying.runs_dir, "name": "d", "epochs": "60", "hidden-sizes": "12",
        "batch-size": "32", "draws": "2", "temperature": "2.0", "temperature-end": "0.3",
        "temperature-schedule": "cosine",
    }  # fmt: skip
    flags = [part for key, value in options.items() for part in (f"--{key}", value)]
    command = [sys.executable, "-c", "from bitgate.cli import main; main()", "fit", *flags]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    metrics = run_of(dying).metrics_file

    def kill_after(rows: int, extra: list[str]) -> None:
        process = subprocess.Popen([*command, *extra], env=environment, stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 120
            while not (metrics.is_file() and len(metrics.read_text().splitlines()) > rows):
                assert process.poll() is None, "it ended before it could be killed"
                assert time.monotonic() < until
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == -signal.SIGKILL
        assert not run_of(dying).result_file.exists()

    kill_after(3, [])
    at_kill = len(metrics.read_text().splitlines())
    kill_after(at_kill + 5, ["--resume"])
    torch.load(run_of(dying).checkpoint("last"), weights_only=True)
    subprocess.run([*command, "--resume"], env=environment, check=True, capture_output=True, timeout=300)
    assert same_end(whole, dying)
    shutil.rmtree(run_of(dying).path)

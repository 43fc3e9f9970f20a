"""Distillation and pretraining: what is trained first, what is learned from, and that a resumed run ends the same."""

import pytest
import torch

from bitgate.errors import ArgumentError
from bitgate.nn import distributions
from bitgate.train import fit, load_run_dataset, load_weights, predict_logits
from bitgate.train.module import ClassifierTraining
from bitgate.train.teachers import teach, teacher_configs
from tests.train.test_resume import interrupt, same_end
from tests.train.tiny import equal_weights, run_of, saved_weights, tiny_config, untrained

TAUGHT = {"teachers": 2, "teacher_epochs": 1, "distill_weight": 0.5}


@pytest.fixture(scope="module")
def taught(digits_file, tmp_path_factory):
    config = tiny_config(digits_file, runs_dir=str(tmp_path_factory.mktemp("taught")), **TAUGHT)
    fit(config, progress=False)
    return config


def test_teachers_are_continuous_and_differ(taught):
    first, second = teacher_configs(taught, run_of(taught))
    assert (first.weights, first.epochs, first.teachers) == ("continuous", 1, 0)
    assert first.seed != second.seed
    assert not equal_weights(*(saved_weights(run_of(config)) for config in (first, second)))


def test_the_lesson_is_the_mean_softened_prediction(taught):
    dataset = load_run_dataset(taught)
    expected = torch.zeros(len(dataset.train), dataset.n_classes)
    for config in teacher_configs(taught, run_of(taught)):
        model = untrained(config)
        load_weights(model, run_of(config), "map")
        expected += (predict_logits(model.eval(), dataset.train) / 2).softmax(dim=-1) / 2
    found = teach(taught, run_of(taught), dataset)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(len(dataset.train)))


def test_the_teachers_are_heard(taught, digits_file, tmp_path):
    """Without weight they change nothing, so the run equals one without teachers; with it the run differs."""
    runs = {}
    for name, changes in {"none": {}, "deaf": {**TAUGHT, "distill_weight": 0.0}}.items():
        config = tiny_config(digits_file, runs_dir=str(tmp_path), name=name, **changes)
        fit(config, progress=False)
        runs[name] = saved_weights(run_of(config))
    assert equal_weights(runs["none"], runs["deaf"])
    assert not equal_weights(runs["none"], saved_weights(run_of(taught)))


def test_resumed_with_teachers(taught, digits_file, tmp_path, monkeypatch):
    config = tiny_config(digits_file, runs_dir=str(tmp_path), **TAUGHT)
    interrupt(monkeypatch, config, epoch=0, batch=1)  # the first teacher dies
    assert not run_of(teacher_configs(config, run_of(config))[0]).result_file.exists()
    fit(config, resume=True, progress=False)
    assert same_end(config, taught)


def test_started_again_the_teachers_are_trained_anew(digits_file, tmp_path):
    config = tiny_config(digits_file, runs_dir=str(tmp_path), **TAUGHT)
    fit(config, progress=False)
    last = run_of(teacher_configs(config, run_of(config))[1])
    last.result_file.write_text("{}")
    fit(config, overwrite=True, progress=False)
    assert "test_map" in last.read_result()


def test_pretraining_uses_the_other_trick(digits_file, tmp_path, monkeypatch):
    tricks = []
    original = ClassifierTraining.training_step

    def watched(self, batch, batch_idx):
        tricks.append((self.current_epoch, *{d.trick for d in distributions(self.model)}))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(ClassifierTraining, "training_step", watched)
    fit(tiny_config(digits_file, runs_dir=str(tmp_path), epochs=3, pretrain_epochs=2), progress=False)
    assert set(tricks) == {(0, "lr"), (1, "lr"), (2, "r")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pretrain_epochs": 1, "method": "qat"}, "pretrain_epochs: 1, but only method r"),
        ({"pretrain_epochs": 1, "weights": "continuous"}, "pretrain_epochs: 1, but only method r"),
        ({"distill_weight": 1.5}, "distill_weight: 1.5, expected 0 to 1"),
        ({"teachers": -1}, "teachers: -1, expected 0 or more"),
        ({"distill_temperature": 0.0}, "distill_temperature: 0.0, expected a positive number"),
    ],
)
def test_refusals(digits_file, changes, message):
    with pytest.raises(ArgumentError, match=message):
        tiny_config(digits_file, **changes)

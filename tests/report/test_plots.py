"""Plots are written, read back what they should show, and need no display."""

import math

import numpy as np
import pytest

from bitgate.report import plot_confusion, plot_training, read_metrics

METRICS = """epoch,train_loss,val_sample,val_map,entropy_bits,temperature,learning_rate
0,2.5,,,,1,0.02
1,1.25,0.5,0.625,1.5,0.5,0.01
2,0.75,,,,0.25,0.005
"""

BEGINNINGS = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture
def metrics_file(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(METRICS)
    return path


def test_metrics_are_read_where_they_are_given(metrics_file):
    metrics = read_metrics(metrics_file)
    assert metrics["train_loss"] == ([1, 2, 3], [2.5, 1.25, 0.75])
    assert metrics["val_map"] == ([2], [0.625]), "epochs are counted from one, gaps are left out"
    assert metrics["entropy_bits"] == ([2], [1.5])
    assert set(metrics) == set(METRICS.splitlines()[0].split(","))


def test_metrics_written_by_training_come_back(tmp_path):
    from types import SimpleNamespace

    from bitgate.train.callbacks import MetricsFile

    writer = MetricsFile(tmp_path / "metrics.csv")
    for epoch in range(4):
        metrics = {"train_loss": 1 / (epoch + 1), "val_map": epoch / 7, "unknown": 1.0}
        trainer = SimpleNamespace(current_epoch=epoch, check_val_every_n_epoch=2, callback_metrics=metrics)
        writer.on_train_epoch_end(trainer, None)
    read = read_metrics(tmp_path / "metrics.csv")
    assert read["train_loss"][1] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4], rel=1e-5)
    assert read["val_map"][0] == [2, 4]
    assert read["val_map"][1] == pytest.approx([1 / 7, 3 / 7], rel=1e-5)
    assert "unknown" not in read


@pytest.mark.parametrize("suffix", sorted(BEGINNINGS))
def test_training_curves_are_written_in_the_format_of_the_suffix(metrics_file, tmp_path, suffix):
    target = tmp_path / f"training.{suffix}"
    plot_training(metrics_file, target, title="a run")
    assert target.read_bytes().startswith(BEGINNINGS[suffix])
    assert target.stat().st_size > 2000


def test_curves_show_title_panels_and_both_accuracies(metrics_file, tmp_path, monkeypatch):
    figure = drawn(monkeypatch, lambda: plot_training(metrics_file, tmp_path / "x.png", title="a run"))
    assert figure.get_suptitle() == "a run"
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["training loss, nats", "validation accuracy", "mean weight entropy, bits"]
    loss, accuracy, entropy = figure.axes
    assert loss.lines[0].get_ydata().tolist() == [2.5, 1.25, 0.75]
    assert [line.get_ydata().tolist() for line in accuracy.lines] == [[0.5], [0.625]]
    assert len(accuracy.get_legend().get_texts()) == 2
    assert entropy.lines[0].get_xdata().tolist() == [2]


def drawn(monkeypatch, draw):
    """The figure that ``draw`` saves."""
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig

    def saving(self, *args, **kwargs):
        figures.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", saving)
    draw()
    (figure,) = figures
    return figure


def test_curves_without_posterior_have_no_entropy(tmp_path, monkeypatch):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,train_loss,val_map\n0,2.0,0.25\n1,1.0,0.5\n")
    figure = drawn(monkeypatch, lambda: plot_training(path, tmp_path / "x.png"))
    assert [axis.get_title() for axis in figure.axes] == ["training loss, nats", "validation accuracy"]


@pytest.mark.parametrize(("classes", "suffix"), [(1, "png"), (2, "svg"), (7, "png"), (31, "svg")])
def test_confusion_is_drawn_for_any_number_of_classes(tmp_path, classes, suffix):
    counts = np.random.default_rng(0).integers(0, 30, (classes, classes))
    target = tmp_path / f"confusion.{suffix}"
    plot_confusion(counts.tolist(), [f"class {k}" for k in range(classes)], target)
    assert target.read_bytes().startswith(BEGINNINGS[suffix])


def test_confusion_shows_counts_and_shares(tmp_path, monkeypatch):
    counts = [[8, 2], [1, 9]]
    figure = drawn(monkeypatch, lambda: plot_confusion(counts, ["no", "yes"], tmp_path / "x.png"))
    axis = figure.axes[0]
    assert axis.get_title() == "85.0% of 20 sequences right"
    assert [(text.get_position(), text.get_text()) for text in axis.texts] == [
        ((0, 0), "8"), ((1, 0), "2"), ((0, 1), "1"), ((1, 1), "9"),
    ]  # fmt: skip
    np.testing.assert_allclose(axis.images[0].get_array(), [[0.8, 0.2], [0.1, 0.9]])
    assert [label.get_text() for label in axis.get_yticklabels()] == ["no", "yes"]


def test_class_that_never_occurs_is_drawn_as_zero(tmp_path, monkeypatch):
    figure = drawn(monkeypatch, lambda: plot_confusion([[3, 1], [0, 0]], ["a", "b"], tmp_path / "x.png"))
    assert not math.isnan(figure.axes[0].images[0].get_array().sum())


def test_many_classes_have_no_labels_that_overlap(tmp_path, monkeypatch):
    counts = np.eye(96, dtype=int).tolist()
    figure = drawn(monkeypatch, lambda: plot_confusion(counts, [str(k) for k in range(96)], tmp_path / "x.png"))
    assert not figure.axes[0].texts
    assert len(figure.axes[0].get_xticks()) < 40

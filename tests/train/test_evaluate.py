"""Evaluation against a computation by hand."""

import copy

import numpy as np
import pytest
import torch

from bitgate.data import Sequences
from bitgate.errors import DataError
from bitgate.nn import SequenceClassifier, fix_weights
from bitgate.train import evaluate, has_posterior, predict_logits

CLASSES, N = 3, 40


def sequences(labelled: bool = True) -> Sequences:
    rng = np.random.default_rng(7)
    rows = [rng.normal(size=(n, 2)).astype(np.float32) for n in rng.integers(1, 9, N)]
    return Sequences.from_list(rows, rng.integers(0, CLASSES, N).tolist() if labelled else None)


def classifier(weights="ternary") -> SequenceClassifier:
    return SequenceClassifier(2, CLASSES, (6,), weights=weights, coupled=True)


def logits_one_by_one(model: SequenceClassifier, data: Sequences) -> np.ndarray:
    with torch.no_grad():
        return np.stack([model(torch.from_numpy(data[k][None]))[0].double().numpy() for k in range(len(data))])


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def test_logits_come_in_the_order_of_the_sequences():
    model, data = classifier("continuous").eval(), sequences()
    assert len(set(data.length.tolist())) > 3, "equal lengths would not be reordered"
    expected = logits_one_by_one(model, data)
    for batch_size in (1, 7, 512):
        np.testing.assert_allclose(predict_logits(model, data, batch_size=batch_size), expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(expected, expected[::-1]), "sabotage: another order must be noticed"


def test_metrics_equal_a_manual_computation():
    model, data = classifier(), sequences()
    result = evaluate(model, data, draws=4, seed=3)

    generator = torch.Generator().manual_seed(3)
    networks = [fix_weights(model, "sample", generator=generator) for _ in range(4)]
    logits = [logits_one_by_one(network, data) for network in networks]
    map_logits = logits_one_by_one(fix_weights(model), data)
    y = data.labels
    accuracies = [float((z.argmax(axis=1) == y).mean()) for z in logits]
    probs = np.mean([softmax(z) for z in logits], axis=0)

    assert result.n_sequences == N
    assert result.map_accuracy == pytest.approx((map_logits.argmax(axis=1) == y).mean())
    assert result.sample_accuracies == pytest.approx(accuracies)
    assert len(set(accuracies)) > 1, "draws that agree would not tell a mean from a draw"
    assert result.sample_accuracy == pytest.approx(np.mean(accuracies))
    assert result.sample_std == pytest.approx(np.std(accuracies, ddof=1))
    assert result.ensemble_accuracy == pytest.approx((probs.argmax(axis=1) == y).mean())
    assert result.ensemble_nll == pytest.approx(-np.log(probs[np.arange(N), y]).mean(), rel=1e-4)
    assert result.ensemble_calibration_error == pytest.approx(calibration_error(probs, y), abs=1e-5)

    confusion = np.zeros((CLASSES, CLASSES), int)
    np.add.at(confusion, (y, map_logits.argmax(axis=1)), 1)
    assert np.array_equal(result.confusion, confusion)
    assert np.array_equal(np.sum(result.confusion, axis=1), np.bincount(y, minlength=CLASSES))
    assert not np.array_equal(confusion, confusion.T), "rows and columns must not be interchangeable here"


def calibration_error(probs: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    """``sum_b n_b / n |accuracy_b - confidence_b|`` over equal bins of the largest probability."""
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == y
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [(index == b).sum() * abs(right[index == b].mean() - confidence[index == b].mean()) for b in set(index)]
    return float(np.sum(gaps) / len(y))


def test_seed_decides_the_draws():
    model, data = classifier(), sequences()
    assert evaluate(model, data, seed=1) == evaluate(model, data, seed=1)
    assert evaluate(model, data, seed=1).ensemble_nll != evaluate(model, data, seed=2).ensemble_nll


@pytest.mark.parametrize("weights", ["continuous"])
def test_model_without_posterior_is_its_own_ensemble(weights):
    model, data = classifier(weights), sequences()
    result = evaluate(model, data)
    assert not has_posterior(model)
    assert (result.sample_accuracy, result.sample_std, result.sample_accuracies) == (None, None, ())
    assert result.ensemble_accuracy == result.map_accuracy


def test_one_draw_has_no_spread():
    result = evaluate(classifier(), sequences(), draws=1)
    assert result.sample_std is None
    assert len(result.sample_accuracies) == 1


def test_model_is_left_alone():
    model = classifier().train()
    before = copy.deepcopy(model.state_dict())
    evaluate(model, sequences())
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_unlabelled_sequences_are_refused():
    with pytest.raises(DataError, match="no labels; use `bitgate run`"):
        evaluate(classifier(), sequences(labelled=False))


def test_result_is_plain_for_json():
    import json

    result = evaluate(classifier(), sequences())
    assert json.loads(json.dumps(result.as_dict()))["confusion"] == [list(row) for row in result.confusion]

"""SequenceClassifier: the readout sees each sequence's true end and nothing behind it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from bitgate.nn import SequenceClassifier, Standardize
from tests.tolerances import EXACT, FLOAT64_PARITY, assert_near

MODELS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "coupled": {"coupled": True, "gates": {"g": 2, "o": 2}, "weights": "ternary"},
    "bidirectional": {"bidirectional": True},
    "bidirectional gru": {"cell": "gru", "bidirectional": True, "weights": "binary"},
    "gru": {"cell": "gru"},
    "one layer": {"hidden_sizes": (5,)},
}
LENGTHS = torch.tensor([3, 6, 1, 4])
X = torch.linspace(-3, 3, 4 * 6 * 2, dtype=torch.float64).view(4, 6, 2).sin() * 5


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> SequenceClassifier:
    arguments = {"hidden_sizes": (6, 4)} | MODELS[request.param]
    model = SequenceClassifier(2, 3, dtype=torch.float64, **arguments).eval()
    model.standardize.set([1.0, -2.0], [2.0, 0.5])
    return model


def logits_and_gradients(model: nn.Module, x: Any, lengths: Tensor | None = None) -> dict[str, Tensor]:
    model.zero_grad()
    logits = model(x, lengths)
    (logits * torch.arange(logits.numel(), dtype=logits.dtype).view_as(logits)).sum().backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {"logits": logits.detach()} | grads


def test_padding_never_matters(model: SequenceClassifier) -> None:
    behind = (torch.arange(6) >= LENGTHS[:, None])[..., None]
    expected = logits_and_gradients(model, X.masked_fill(behind, 0.0), LENGTHS)
    for garbage in (1e4, -3.0):
        found = logits_and_gradients(model, X.masked_fill(behind, garbage), LENGTHS)
        for name, value in expected.items():
            assert_near(found[name], value, EXACT, name)
    wrong = logits_and_gradients(model, X.masked_fill(behind, 1e4), (LENGTHS + 1).clamp_max(6))
    with pytest.raises(AssertionError, match="logits differs"):
        assert_near(wrong["logits"], expected["logits"], FLOAT64_PARITY, "logits")


def test_a_batch_equals_each_sequence_alone(model: SequenceClassifier) -> None:
    together = model(X, LENGTHS)
    alone = torch.cat([model(X[row : row + 1, :length]) for row, length in enumerate(LENGTHS.tolist())])
    assert_near(together, alone, FLOAT64_PARITY, "logits")


def test_packed_input_equals_padded_input(model: SequenceClassifier) -> None:
    packed = pack_padded_sequence(X, LENGTHS, batch_first=True, enforce_sorted=False)
    expected = logits_and_gradients(model, X, LENGTHS)
    for name, value in logits_and_gradients(model, packed).items():
        assert_near(value, expected[name], FLOAT64_PARITY, name)


def test_without_lengths_all_steps_count(model: SequenceClassifier) -> None:
    assert_near(model(X), model(X, torch.full((4,), 6)), FLOAT64_PARITY, "logits")


def test_it_equals_the_same_layers_of_torch() -> None:
    torch.manual_seed(2)
    model = SequenceClassifier(2, 3, (6, 4), dtype=torch.float64)
    first, second = (nn.LSTM(a, b, batch_first=True, dtype=torch.float64) for a, b in ((2, 6), (6, 4)))
    first.load_state_dict(model.layers[0].state_dict())
    second.load_state_dict(model.layers[1].state_dict())
    _, (h, _) = second(first(X)[0])
    expected = nn.functional.linear(h[0], model.readout.weight, model.readout.bias)  # type: ignore[arg-type]
    assert_near(model(X), expected, FLOAT64_PARITY, "logits")


def test_dropout_acts_between_layers_while_training_only() -> None:
    model = SequenceClassifier(2, 3, (6, 4), dropout=0.5, dtype=torch.float64)
    assert not torch.equal(model(X), model(X))
    model.eval()
    assert_near(model(X), model(X), EXACT, "logits")
    alone = SequenceClassifier(2, 3, (6,), dropout=0.5, dtype=torch.float64)
    assert_near(alone(X), alone(X), EXACT, "logits of one layer")


def test_gradients_reach_every_parameter(model: SequenceClassifier) -> None:
    found = logits_and_gradients(model.train(), X, LENGTHS)
    for name, _ in model.named_parameters():
        assert name in found, f"{name} has no gradient"
        assert found[name].abs().max() > 0, f"{name} has the gradient 0"


def test_state_dict_holds_the_standardization(model: SequenceClassifier) -> None:
    other = SequenceClassifier(2, 3, dtype=torch.float64, **({"hidden_sizes": (6, 4)} | arguments_of(model))).eval()
    assert not torch.equal(other(X), model(X))
    other.load_state_dict(model.state_dict(), strict=True)
    assert_near(other(X), model(X), EXACT, "logits")


def arguments_of(model: SequenceClassifier) -> dict[str, Any]:
    (found,) = (a for a in MODELS.values() if repr(rebuild(a)) == repr(model))
    return found


def rebuild(arguments: dict[str, Any]) -> SequenceClassifier:
    return SequenceClassifier(2, 3, dtype=torch.float64, **({"hidden_sizes": (6, 4)} | arguments))


def test_standardize_is_the_affine_map_of_the_statistics() -> None:
    layer = Standardize(2, dtype=torch.float64)
    assert_near(layer(X), X, EXACT, "identity")
    mean, std = X.mean((0, 1)), X.std((0, 1))
    layer.set(mean, std)
    assert_near(layer(X), (X - mean) / std, EXACT, "standardized")
    assert not list(layer.parameters())


def test_the_defaults_are_the_papers_layout() -> None:
    model = SequenceClassifier(4, 10)
    assert [(layer.input_size, layer.hidden_size) for layer in model.layers] == [(4, 64), (64, 32)]
    assert (model.readout.in_features, model.readout.out_features) == (32, 10)


def test_a_ternary_model_with_step_gates_learns_the_sign_of_a_noisy_mean() -> None:
    """A sanity check of the whole chain: the sampled loss falls, and the MAP network has learned too."""
    labels = torch.arange(64) % 2
    x = (labels[:, None, None] - 0.5) + torch.randn(64, 10, 1)
    model = SequenceClassifier(1, 2, (12,), coupled=True, weights="ternary", gates={"g": 2, "o": 2})
    optimizer = torch.optim.Adam(model.parameters(), 0.1)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
    accuracy = (model.eval()(x).argmax(1) == labels).double().mean()
    assert accuracy > 0.8

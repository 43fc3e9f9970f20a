"""Variable lengths: padded input with ``lengths=`` computes what packed input computes."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.nn.cases import BACKENDS, Case, backend, cases, make_inputs
from tests.tolerances import EXACT, FLOAT64_PARITY, assert_near


def run_both(case: Case, module: Any, x: Tensor, lengths: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What ``lengths=`` gives, and what torch's packed sequence of the same data gives."""
    results = []
    for packed in (False, True):
        leaf = x.clone().requires_grad_()
        if packed:
            inputs = pack_padded_sequence(leaf, lengths, case.batch_first, enforce_sorted=False)
            output, last = module(inputs)
            steps = leaf.shape[1 if case.batch_first else 0]
            output = pad_packed_sequence(output, case.batch_first, total_length=steps)[0]
        else:
            output, last = module(leaf, lengths=lengths)
        named = {"output": output} | dict(zip(("h_n", "c_n"), last if case.kind == "LSTM" else (last,), strict=False))
        sum(value.square().sum() for value in named.values()).backward()  # type: ignore[union-attr]
        results.append({name: value.detach() for name, value in named.items()} | {"gradient of x": leaf.grad})
    return results[0], results[1]


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_padded_with_lengths_equals_packed(kind: str) -> None:
    @settings(max_examples=20)
    @given(case=cases(kind).filter(lambda case: case.form in ("padded", "unsorted")))
    def check(case: Case) -> None:
        case = Case(**(vars(case) | {"dropout": 0.0}))  # masks lie differently in padded and packed data
        module = case.ours(case.theirs())
        for name in BACKENDS:
            with backend(name):
                padded, packed = run_both(case, module, make_inputs(case)["x"].detach(), torch.tensor(case.lengths))
            for key, value in packed.items():
                assert_near(padded[key], value, FLOAT64_PARITY, key)

    check()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_wrong_length_is_noticed(name: str) -> None:
    case = Case(bidirectional=True)
    module = case.ours(case.theirs())
    x = make_inputs(case)["x"].detach()
    with backend(name):
        right, _ = run_both(case, module, x, torch.tensor([5, 3, 2]))
        wrong, _ = run_both(case, module, x, torch.tensor([5, 3, 3]))
    with pytest.raises(AssertionError, match="h_n differs"):
        assert_near(wrong["h_n"], right["h_n"], FLOAT64_PARITY, "h_n")


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_what_lies_behind_an_end_never_matters(kind: str, name: str) -> None:
    case = Case(kind=kind, num_layers=2, bidirectional=True, lengths=(2, 5, 3))
    module = case.ours(case.theirs())
    x = make_inputs(case)["x"].detach()
    behind = torch.arange(5)[:, None] >= torch.tensor(case.lengths)
    garbage = torch.where(behind[..., None], 1e6, x)
    with backend(name):
        clean, _ = run_both(case, module, x, torch.tensor(case.lengths))
        dirty, _ = run_both(case, module, garbage, torch.tensor(case.lengths))
    for key, value in clean.items():
        assert_near(dirty[key], value, EXACT, key)
    assert_near(clean["output"][behind], torch.zeros_like(clean["output"][behind]), EXACT, "output behind the ends")
    assert_near(clean["gradient of x"][behind], torch.zeros(int(behind.sum()), 3, dtype=x.dtype), EXACT, "gradient")


@pytest.mark.parametrize("name", BACKENDS)
def test_the_batch_may_have_more_steps_than_its_longest_sequence(name: str) -> None:
    case = Case(lengths=(3, 4))
    module = case.ours(case.theirs())
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    with backend(name):
        output, (h, c) = module(x, lengths=[3, 4])
        for row, length in enumerate(case.lengths):
            alone, (h_alone, c_alone) = module(x[:length, row])
            assert_near(output[:length, row], alone, FLOAT64_PARITY, "output")
            assert_near(h[:, row], h_alone, FLOAT64_PARITY, "h_n")
            assert_near(c[:, row], c_alone, FLOAT64_PARITY, "c_n")
    assert output.shape == (6, 2, 4)


def test_initial_states_stay_with_their_sequences() -> None:
    case = Case(lengths=(2, 5, 3))
    module = case.ours(case.theirs())
    x = make_inputs(case)["x"].detach()
    h, c = torch.randn(2, 1, 3, 4, dtype=torch.float64)
    _, (h_n, _) = module(x, (h, c), lengths=torch.tensor(case.lengths))
    for row, length in enumerate(case.lengths):
        _, (alone, _) = module(x[:length, row], (h[:, row], c[:, row]))
        assert_near(h_n[:, row], alone, FLOAT64_PARITY, f"h_n of sequence {row}")

"""Parameters and bits of a model that is still in torch."""

from dataclasses import dataclass

from torch import nn

from bitgate.nn.linear import Linear
from bitgate.nn.recurrent import RecurrentModule
from bitgate.weights import WeightDistribution


@dataclass(frozen=True)
class BitCount:
    """Bits of a model by the count of [DLSTM] Table 1: ``n_weights * bits_per_weight + 32 * n_biases``.

    The two biases of an uncoupled LSTM count once, because they are summed. Scales are not part of ``paper_bits``
    and stand apart in ``scale_bits``, with the factors of gates that share projections and of learned skips.
    """

    n_weights: int
    n_biases: int
    n_scales: int
    weight_bits: int
    paper_bits: int
    scale_bits: int

    @property
    def n_parameters(self) -> int:
        """Weights, biases and scales; a random weight is one."""
        return self.n_weights + self.n_biases + self.n_scales


def count_bits(model: nn.Module) -> BitCount:
    """Counts the weights, biases and scales of all bitgate layers in ``model``, and embeddings."""
    n_weights = n_biases = n_scales = weight_bits = 0
    for module in model.modules():
        if isinstance(module, RecurrentModule):
            for group in module.all_weights:
                matrices = [w for w in group if isinstance(w, WeightDistribution) or w.dim() == 2]
                biases = [w for w in group if not isinstance(w, WeightDistribution) and w.dim() == 1]
                for matrix in matrices:
                    count, bits = _matrix_bits(matrix)
                    n_weights, weight_bits = n_weights + count, weight_bits + bits
                n_biases += _distinct_biases(module, len(biases))
        elif isinstance(module, Linear):
            count, bits = _matrix_bits(module.weight)
            n_weights, weight_bits = n_weights + count, weight_bits + bits
            n_biases += 0 if module.bias is None else module.bias.numel()
        elif isinstance(module, nn.Embedding):
            count = module.weight.numel()
            n_weights, weight_bits = n_weights + count, weight_bits + 32 * count
        else:
            continue
        n_scales += sum(p.numel() for name, p in module.named_parameters(recurse=False) if _is_scale(name))
    return BitCount(n_weights, n_biases, n_scales, weight_bits, weight_bits + 32 * n_biases, 32 * n_scales)


def _is_scale(name: str) -> bool:
    return name.startswith(("log_scale", "gate_scale", "skip_logit"))


def _distinct_biases(module: RecurrentModule, given: int) -> int:
    """Biases of one layer once those that act as a sum are summed."""
    if not given:
        return 0
    rows = module.recurrence.n_gates * module.hidden_size
    # A GRU's candidate keeps two: the reset gate multiplies only the hidden one.
    return rows + (module.hidden_size if module.recurrence.cell == "gru" else 0)


def _matrix_bits(matrix: nn.Parameter | WeightDistribution) -> tuple[int, int]:
    if isinstance(matrix, WeightDistribution):
        count = matrix.mode().numel()
        bits = 32 if matrix.levels is None else max(1, (len(matrix.levels) - 1).bit_length())
        return count, count * bits
    return matrix.numel(), 32 * matrix.numel()

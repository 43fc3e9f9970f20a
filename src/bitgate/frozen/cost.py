"""What a frozen model costs: bits, bytes, memory, operations per step."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bitgate.frozen.operations import Operations, needed_operations, needed_sums

if TYPE_CHECKING:
    from bitgate.frozen.model import FrozenModel

SIGMOID_TABLE_BYTES = 2 * 180


@dataclass(frozen=True)
class Cost:
    """Size and work of a frozen model.

    ``paper_bits`` counts as [DLSTM] Table 1 does: weights times bits per weight plus 32 bits a bias, scales left out.
    ``n_scales`` are these scales: of gates, of each row of gates that share projections, and alpha of a skip.
    ``flash_bytes`` are the constants a device stores (weights, biases, multipliers, tables), without code.
    ``ram_bytes`` are the states and the largest layer's scratch in the plain C kernels. Operations are those that the
    arithmetic needs (frozen/operations.py), where a weight of 0 costs nothing: of one time step of all recurrent
    layers, and of all logits once. What the C kernels execute is more (export/c_operations.py).
    """

    n_weights: int
    n_biases: int
    n_scales: int
    paper_bits: int
    weight_bytes: int
    flash_bytes: int
    ram_bytes: int
    additions: int
    multiplications: int
    lookups: int
    readout_additions: int
    readout_multiplications: int
    zero_weights: int

    @property
    def operations(self) -> Operations:
        """Of one time step, as one value."""
        return Operations(self.additions, self.multiplications, self.lookups)

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self)


def paper_bits_per_weight(n_levels: int) -> int:
    """Bits of one weight of ``n_levels`` values by the count of [DLSTM] Table 1."""
    return max(1, (n_levels - 1).bit_length())


def count(model: "FrozenModel") -> Cost:
    """Counts ``model``."""
    layers = model.flat_layers
    matrices = [m for layer in layers for m in (layer.w_ih, layer.w_hh)]
    biases = [layer.bias.size for layer in layers]
    biases += [layer.bias_hn.size for layer in layers if layer.bias_hn is not None]
    scales = [layer.mult_ih.size for layer in layers]
    scales += [layer.skip.alpha.size for layer in layers if layer.skip is not None]
    constants = sum(layer.mult_ih.nbytes + layer.mult_hh.nbytes + layer.shift.size for layer in layers)
    constants += sum(2 * layer.skip.alpha.size for layer in layers if layer.skip is not None)
    constants += sum(len(layer.gates) for layer in layers if layer.is_shared)
    if model.readout is not None:
        matrices.append(model.readout.weight)
        biases.append(model.readout.bias.size)
        scales.append(model.readout.mult.size)
        constants += model.readout.mult.nbytes
    weights = [m.rows * m.columns for m in matrices]
    paper = sum(n * paper_bits_per_weight(len(m.levels)) for n, m in zip(weights, matrices, strict=True))
    weight_bytes = sum(m.packed.nbytes for m in matrices)
    step = sum((needed_operations(layer, model.state_bits) for layer in layers), Operations())
    readout = _readout_operations(model)
    return Cost(
        n_weights=sum(weights),
        n_biases=sum(biases),
        n_scales=sum(scales),
        paper_bits=paper + 32 * sum(biases),
        weight_bytes=weight_bytes,
        flash_bytes=weight_bytes + 4 * sum(biases) + constants + SIGMOID_TABLE_BYTES,
        ram_bytes=2 * sum(layer.state_size for layer in layers)
        + 2 * max((layer.hidden_size for layer in layers), default=0),
        additions=step.additions,
        multiplications=step.multiplications,
        lookups=step.lookups,
        readout_additions=readout.additions,
        readout_multiplications=readout.multiplications,
        zero_weights=sum(int((m.values == 0).sum()) for m in matrices),
    )


def _readout_operations(model: "FrozenModel") -> Operations:
    """All logits once: sums, and for each a multiplier and a bias."""
    if model.readout is None:
        return Operations()
    return needed_sums(model.readout.weight) + Operations(1, 1) * model.readout.weight.rows

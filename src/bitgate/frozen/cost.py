"""What a frozen model costs: bits, bytes, memory, operations per step."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bitgate.frozen.record import FrozenLayer, PackedMatrix

if TYPE_CHECKING:
    from bitgate.frozen.model import FrozenModel

SIGMOID_TABLE_BYTES = 2 * 193


@dataclass(frozen=True)
class Cost:
    """Size and work of a frozen model.

    ``paper_bits`` counts as [DLSTM] Table 1 does: weights times bits per weight plus 32 bits a bias, scales left out.
    ``flash_bytes`` are the constants a device stores (weights, biases, multipliers, tables), without code.
    ``ram_bytes`` are the states and the largest layer's scratch in the plain C kernels. Operations count one time
    step of all recurrent layers: an addition or subtraction per non-zero discrete weight, a multiplication per weight
    of more than ternary levels, and what scaling, gates and state take.
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
    constants = sum(layer.mult_ih.nbytes + layer.mult_hh.nbytes + layer.shift.size for layer in layers)
    if model.readout is not None:
        matrices.append(model.readout.weight)
        biases.append(model.readout.bias.size)
        scales.append(model.readout.mult.size)
        constants += model.readout.mult.nbytes
    weights = [m.rows * m.columns for m in matrices]
    paper = sum(n * paper_bits_per_weight(len(m.levels)) for n, m in zip(weights, matrices, strict=True))
    weight_bytes = sum(m.packed.nbytes for m in matrices)
    operations = [_layer_operations(layer) for layer in layers]
    return Cost(
        n_weights=sum(weights),
        n_biases=sum(biases),
        n_scales=sum(scales),
        paper_bits=paper + 32 * sum(biases),
        weight_bytes=weight_bytes,
        flash_bytes=weight_bytes + 4 * sum(biases) + constants + SIGMOID_TABLE_BYTES,
        ram_bytes=sum(4 * layer.hidden_size for layer in layers)
        + 2 * max((layer.hidden_size for layer in layers), default=0),
        additions=sum(a for a, _, _ in operations),
        multiplications=sum(m for _, m, _ in operations),
        lookups=sum(t for _, _, t in operations),
    )


def _matrix_operations(matrix: PackedMatrix) -> tuple[int, int]:
    """Additions and multiplications of one product with ``matrix``."""
    values = matrix.values
    nonzero = int((values != 0).sum())
    multiplied = int((abs(values.astype(int)) > 1).sum())
    return nonzero, multiplied


def _layer_operations(layer: FrozenLayer) -> tuple[int, int, int]:
    """Additions, multiplications and table look-ups of one step."""
    add_ih, mul_ih = _matrix_operations(layer.w_ih)
    add_hh, mul_hh = _matrix_operations(layer.w_hh)
    units = layer.hidden_size
    gates = len(layer.gates)
    smooth = sum(n == 0 for n in layer.gate_levels)
    tanh_of_state = 0 if layer.cell == "gru" else 1
    # Two scalings a row, one interpolation a smooth gate, and the state update's products: f c, i g, o tanh(c).
    stepped = {gate for gate, n in zip(layer.gates, layer.gate_levels, strict=True) if n == 2}
    products = {"lstm": ("f", "i", "o"), "coupled_lstm": ("i", "i", "o"), "gru": ("r", "z", "z")}[layer.cell]
    state_products = sum(gate not in stepped for gate in products)
    multiplications = mul_ih + mul_hh + units * (2 * gates + smooth + tanh_of_state + state_products)
    additions = add_ih + add_hh + units * (2 * gates + smooth + tanh_of_state + 2)
    return additions, multiplications, 2 * units * (smooth + tanh_of_state)

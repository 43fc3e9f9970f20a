"""Which of the fixed C files a model needs."""

from importlib.resources import files
from importlib.resources.abc import Traversable

from bitgate.export.c_fast import JOINT_CELLS, Kernels, has_separate_sums, separate_gates
from bitgate.frozen import FrozenLayer, FrozenModel, PackedMatrix
from bitgate.frozen.record import CELLS

STEP_FUNCTIONS = {cell: f"bg_{cell}_step" for cell in CELLS}
"""Function of each cell; its file is ``bg_<cell>.c``."""

SHARED_STEP_FUNCTIONS = {cell: f"bg_shared_{cell}_step" for cell in CELLS}
"""Function of each cell with shared projections; its file is ``bg_shared_<cell>.c``."""

SKIP_STEP = "bg_block_skip_step"
"""Function of a layer with a block skip, around that of its cell."""

SUMS_STEP_FUNCTIONS = {cell: f"bg_{cell}_sums_step" for cell in JOINT_CELLS}
"""Function of each cell with fast kernels; its file is ``bg_<cell>_sums.c``."""

COUPLED_STEPS: dict[tuple[int, ...], str] = {
    (0, 0, 0): "bg_coupled_lstm_smooth_step",
    (0, 2, 2): "bg_coupled_lstm_binary_step",
}
"""Those of a coupled LSTM by the levels of its gates, where these are usual; the file is named as the function."""

_ALWAYS = ("bg_types.h", "bg_shift.h", "bg_rows.h", "bg_copy.h", "bg_model.h", "bg_model.c", "bg_input.h", "bg_input.c")
_ACTIVATION = ("bg_activation.h", "bg_activation.c", "bg_smooth.h", "bg_options.h")
_LAYERS = (*_ACTIVATION, "bg_scale.h", "bg_units.h", "bg_cells.h")
_OWN = ("bg_layer.h", "bg_layer.c")
_SHARED = ("bg_shared.h", "bg_shared.c", "bg_sums.h")
_SUMS = (*_ACTIVATION, "bg_sums.h", "bg_sums.c", "bg_coupled_lstm_unit.h")
_BLOCKS = {
    "table": ("bg_table.c", "bg_table_block.h", "bg_table_riscv.h", "bg_table_thumb.h"),
    "lanes": ("bg_lanes.c",),
}
_SKIP = ("bg_skip.h", "bg_skip.c")
_READOUT = ("bg_readout.h", "bg_readout.c")


def source_folder() -> Traversable:
    """The folder ``csrc`` of the installed package."""
    return files("bitgate") / "csrc"


def step_function(layer: FrozenLayer, kernels: Kernels) -> str:
    """Name of the function that computes a step of the cell of ``layer``."""
    if is_shared_step(layer, kernels):
        return SHARED_STEP_FUNCTIONS[layer.cell]
    if kernels == "plain":
        return STEP_FUNCTIONS[layer.cell]
    return COUPLED_STEPS[layer.gate_levels] if knows_gates(layer, kernels) else SUMS_STEP_FUNCTIONS[layer.cell]


def is_shared_step(layer: FrozenLayer, kernels: Kernels) -> bool:
    """Whether the step is that of shared projections, which scales sums by gate and unit."""
    return layer.is_shared if kernels == "plain" else has_separate_sums(layer)


def knows_gates(layer: FrozenLayer, kernels: Kernels) -> bool:
    """Whether the step of ``layer`` is made for the levels of its gates, and has its biases unit by unit, in Q12."""
    return (
        kernels != "plain"
        and layer.cell == "coupled_lstm"
        and layer.gate_levels in COUPLED_STEPS
        and layer.has_short_biases
        and not has_separate_sums(layer)
    )


def sums_function(layer: FrozenLayer, kernels: Kernels) -> str:
    """Name of the function that makes the sums of ``layer`` with fast kernels."""
    is_joint = kernels == "lanes" and separate_gates(layer) == 0
    return f"bg_{kernels}_joint_sums" if is_joint else f"bg_{kernels}_sums"


def row_function(matrix: PackedMatrix) -> str:
    """Name of the row kernel that fits the levels of ``matrix``; its file is ``<name>.c``."""
    levels = matrix.levels.tolist()
    if matrix.is_dense:
        return "bg_row_dense"
    if matrix.bits == 1 and levels == [-1, 1]:
        return "bg_row_binary"
    if matrix.bits == 2 and levels == [-1, 0, 1]:
        return "bg_row_ternary"
    return "bg_row_levels"


def kernel_files(frozen: FrozenModel, kernels: Kernels = "plain") -> list[str]:
    """Names of the C files of ``csrc`` that the program of ``frozen`` needs, sorted."""
    names = set(_ALWAYS)
    matrices = []
    for layer in frozen.flat_layers:
        if kernels == "plain":
            shared = _SHARED if layer.is_shared else _OWN
            names |= {*_LAYERS, *shared, f"{step_function(layer, kernels).removesuffix('_step')}.c"}
            matrices += [layer.w_ih, layer.w_hh]
        else:
            steps = (*_LAYERS, *_SHARED) if is_shared_step(layer, kernels) else _SUMS
            names |= {*steps, *_BLOCKS[kernels], f"{step_function(layer, kernels).removesuffix('_step')}.c"}
    if any(layer.skip is not None for layer in frozen.flat_layers):
        names |= set(_SKIP)
    if frozen.readout is not None:
        names |= set(_READOUT)
        matrices.append(frozen.readout.weight)
    names |= {f"{row_function(matrix)}.c" for matrix in matrices}
    return sorted(names)


def all_kernel_files() -> list[str]:
    """Names of all kernel files, needed or not."""
    return sorted(entry.name for entry in source_folder().iterdir() if entry.name.startswith("bg_"))

"""All kinds of models and kernels under AddressSanitizer and UndefinedBehaviorSanitizer, with both compilers."""

from pathlib import Path

import numpy as np
import pytest

from bitgate import export
from bitgate.errors import UnsupportedError
from bitgate.export.c_fast import KERNELS, check_kernels
from bitgate.frozen.record import SKIP_CELLS
from tests.export.build import ALL_FLAGS, COMPILERS, assert_program_equals, can_sanitize
from tests.export.test_c99 import GATES, SLOW
from tests.frozen.make import CELL_GATES, SHARINGS, TERNARY, random_frozen_model

SANITIZERS = "address,undefined"
SANITIZE = ["-O1", "-g", f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all"]
pytestmark = pytest.mark.slow


@pytest.fixture(params=COMPILERS)
def compiler(request: pytest.FixtureRequest) -> str:
    if not can_sanitize(request.param, SANITIZERS):
        pytest.skip(f"{request.param} has no sanitizers (for clang: Debian's libclang-rt-dev)")
    return request.param


@pytest.mark.parametrize("seed", range(len(SLOW)))
def test_general_kernels(tmp_path: Path, seed: int, compiler: str) -> None:
    cell, bits, product_bits, gates, levels = SLOW[seed]
    rng = np.random.default_rng(seed)
    model = random_frozen_model(
        rng,
        cell=cell,
        state_bits=bits,
        product_bits=product_bits,
        gate_levels=GATES[gates][: CELL_GATES[cell]],
        levels=levels,
        per_row=seed % 2 == 0,
        hidden_sizes=[(9, 5), (1,), (4, 3, 2)][seed % 3],
        input_size=[3, 1, 8][seed % 3],
        classes=None if seed % 5 == 4 else 4,
        sharing=list(SHARINGS)[seed % 4],
        block_size=[None, 1, 3, 5][seed % 4] if cell in SKIP_CELLS else None,
    )
    export.c99(model, tmp_path)
    assert_program_equals(model, export.compile_host(tmp_path, compiler, flags=[*ALL_FLAGS, *SANITIZE]), rng)


@pytest.mark.parametrize("sharing", ["none", "psug2", "odd"])
@pytest.mark.parametrize("cell", CELL_GATES)
@pytest.mark.parametrize("kernels", [kernels for kernels in KERNELS if kernels != "plain"])
def test_fast_kernels(tmp_path: Path, kernels: str, cell: str, sharing: str, compiler: str) -> None:
    """Sizes around the blocks of rows and the passes of inputs."""
    for seed, (inputs, hidden) in enumerate([(1, (5,)), (33, (7, 4)), (65, (3, 9))]):
        rng = np.random.default_rng(seed)
        gates = GATES[list(GATES)[seed]][: CELL_GATES[cell]]
        model = random_frozen_model(
            rng, cell=cell, state_bits=8, levels=TERNARY, gate_levels=gates, input_size=inputs, hidden_sizes=hidden,
            block_size=seed + 1 if cell in SKIP_CELLS else None, sharing=sharing, per_row=seed == 1,
        )  # fmt: skip
        try:
            check_kernels(model, kernels)
        except UnsupportedError as error:
            pytest.skip(str(error))
        folder = tmp_path / str(seed)
        export.c99(model, folder, kernels=kernels)
        assert_program_equals(model, export.compile_host(folder, compiler, flags=[*ALL_FLAGS, *SANITIZE]), rng)

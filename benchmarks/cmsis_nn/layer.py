"""A random LSTM layer in the quantization of ``arm_lstm_unidirectional_s8``, and what it computes in float64.

Scales as TensorFlow Lite chooses them: 8-bit inputs and states with zero points, pre-activations in Q3.12, gates in
Q0.15, cells in Q4.11. CMSIS-NN's own code is not part of this file: only the constants of its interface are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GATES = ("input", "forget", "cell", "output")
PARAMS = "net"

INPUT_SCALE, INPUT_ZERO = 1 / 32, 3
STATE_SCALE, STATE_ZERO = 1 / 128, -2
PREACT_SCALE, GATE_SCALE, CELL_SCALE_BITS = 2.0**-12, 2.0**-15, 11
SPREAD = 1.5  # standard deviation of pre-activations: from the linear part of the gates into their saturation


@dataclass(frozen=True)
class Layer:
    """Weights and biases by gate, in the order of ``GATES``; a weight is its code times ``weight_scale``."""

    w_ih: NDArray[np.int8]  # (4, H, I)
    w_hh: NDArray[np.int8]  # (4, H, H)
    bias: NDArray[np.int32]  # (4, H), in units of INPUT_SCALE * weight_scale
    weight_scale: float

    @property
    def hidden_size(self) -> int:
        """Units."""
        return self.w_hh.shape[2]

    @property
    def input_size(self) -> int:
        """Inputs."""
        return self.w_ih.shape[2]

    def c_source(self, time_steps: int) -> str:
        """The constants as C: what an image needs besides CMSIS-NN's functions."""
        numbers = {
            "time_major": 1,
            "batch_size": 1,
            "time_steps": time_steps,
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "input_offset": -INPUT_ZERO,
            "cell_scale_power": -CELL_SCALE_BITS,
            "output_offset": STATE_ZERO,
            **_scaling("forget_to_cell", GATE_SCALE),
            **_scaling("input_to_cell", GATE_SCALE**2 * 2**CELL_SCALE_BITS),
            **_scaling("output", GATE_SCALE**2 / STATE_SCALE),
        }
        arrays, gates = zip(*(self._gate(k) for k in range(len(GATES))), strict=True)
        params = f"const cmsis_nn_lstm_params {PARAMS} = {{{_fields(numbers)}, {', '.join(gates)}}};\n"
        return "".join(('#include "arm_nnfunctions.h"\n', *arrays, params))

    def _gate(self, k: int) -> tuple[str, str]:
        """Arrays of a gate, and its part of the parameters."""
        gate = GATES[k]
        arrays = {
            "input_weights": self.w_ih[k],
            "hidden_weights": self.w_hh[k],
            "input_effective_bias": self.bias[k] - INPUT_ZERO * self.w_ih[k].sum(1, dtype=np.int32),
            "hidden_effective_bias": -STATE_ZERO * self.w_hh[k].sum(1, dtype=np.int32),
        }
        source = "".join(
            f"static const {values.dtype}_t {gate}_{name}[] = {{{', '.join(map(str, values.reshape(-1).tolist()))}}};\n"
            for name, values in arrays.items()
        )
        fields = {
            **_scaling("input", INPUT_SCALE * self.weight_scale / PREACT_SCALE),
            **_scaling("hidden", STATE_SCALE * self.weight_scale / PREACT_SCALE),
            **{name: f"{gate}_{name}" for name in arrays},
            "activation_type": "ARM_TANH" if gate == "cell" else "ARM_SIGMOID",
        }
        return source, f".{gate}_gate = {{{_fields(fields)}}}"

    def states(self, codes: NDArray[np.int8]) -> NDArray[np.float64]:
        """Hidden states of a sequence ``(T, I)`` in codes, not rounded, from zero on."""
        w_ih, w_hh = self.weight_scale * self.w_ih, self.weight_scale * self.w_hh
        bias = INPUT_SCALE * self.weight_scale * self.bias
        h = c = np.zeros(self.hidden_size)
        found = []
        for x in INPUT_SCALE * (codes.astype(np.float64) - INPUT_ZERO):
            preact = w_ih @ x + w_hh @ h + bias
            i, f, o = (1 / (1 + np.exp(-preact[k])) for k in (0, 1, 3))
            c = f * c + i * np.tanh(preact[2])
            h = o * np.tanh(c)
            found.append(h / STATE_SCALE + STATE_ZERO)
        return np.array(found)


def quantize_multiplier(scale: float) -> tuple[int, int]:
    """``scale`` as a multiplier of 31 bits and a power of two, as TensorFlow Lite makes them."""
    mantissa, exponent = math.frexp(scale)
    multiplier = round(mantissa * 2**31)
    return (multiplier // 2, exponent + 1) if multiplier == 2**31 else (multiplier, exponent)


def _scaling(name: str, scale: float) -> dict[str, int]:
    multiplier, shift = quantize_multiplier(scale)
    return {f"{name}_multiplier": multiplier, f"{name}_shift": shift}


def _fields(values: Mapping[str, object]) -> str:
    return ", ".join(f".{name} = {value}" for name, value in values.items())


def random_layer(input_size: int, hidden_size: int) -> Layer:
    """Uniform weights of all codes."""
    rng = np.random.default_rng(0)
    w_ih, w_hh = (
        rng.integers(-127, 128, (len(GATES), hidden_size, columns), dtype=np.int8)
        for columns in (input_size, hidden_size)
    )
    # Inputs have a variance of one, states of about a quarter.
    scale = SPREAD / (127 / math.sqrt(3) * math.sqrt(input_size + hidden_size / 4))
    bias = np.round(rng.uniform(-0.5, 0.5, (len(GATES), hidden_size)) / (INPUT_SCALE * scale)).astype(np.int32)
    return Layer(w_ih, w_hh, bias, scale)


def random_codes(steps: int, input_size: int) -> NDArray[np.int8]:
    """Inputs of unit variance."""
    x = np.random.default_rng(1).normal(size=(steps, input_size))
    return np.clip(np.round(x / INPUT_SCALE) + INPUT_ZERO, -128, 127).astype(np.int8)

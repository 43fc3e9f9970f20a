"""Activations, one time step of each cell and its gradient, element by element."""

import triton
import triton.language as tl

COUPLED = tl.constexpr(1)
GRU = tl.constexpr(2)
EDGES = tl.constexpr(256)
"""Room for the thresholds of one gate."""


@triton.jit
def sigmoid(a):
    """Never overflows."""
    e = tl.exp(-tl.abs(a))
    return tl.where(a >= 0, 1.0, e) / (1.0 + e)


@triton.jit
def tanh(a):
    """By its series near 0, where the quotient would cancel."""
    s = tl.minimum(a * a, 1.0)
    small = a * (1 + s * (-1 / 3 + s * (2 / 15 + s * (-17 / 315 + s * (62 / 2835)))))
    e = tl.exp(-2 * tl.abs(a))
    large = (1 - e) / (1 + e)
    return tl.where(tl.abs(a) < 0.25, small, tl.where(a < 0, -large, large))


@triton.jit
def activate(a, edges, GATE: tl.constexpr, LEVELS: tl.constexpr, IS_TANH: tl.constexpr):
    """Value of gate number ``GATE``: counts thresholds, as gates/activation.py does, or smooth for no levels."""
    if LEVELS > 0:
        count = tl.zeros_like(a)
        for k in range(LEVELS - 1):
            count += tl.where(a >= tl.load(edges + GATE * EDGES + k), 1.0, 0.0)
        unit = count / (LEVELS - 1)
        return 2 * unit - 1 if IS_TANH else unit
    else:  # noqa: RET505  # the compiler follows this form alone
        return tanh(a) if IS_TANH else sigmoid(a)


@triton.jit
def slope(a, IS_TANH: tl.constexpr):
    """Derivative of the smooth activation, which is a staircase's pseudo-gradient too."""
    if IS_TANH:
        value = tanh(a)
        return 1 - value * value
    else:  # noqa: RET505
        value = sigmoid(a)
        return value * (1 - value)


@triton.jit
def lstm_gates(a0, a1, a2, a3, edges, CELL: tl.constexpr, LEVELS: tl.constexpr):
    """Gates i, f, g, o from pre-activations in the cell's order; a3 is not read where f = 1 - i."""
    i = activate(a0, edges, 0, LEVELS[0], False)
    if CELL == COUPLED:
        return i, 1 - i, activate(a1, edges, 1, LEVELS[1], True), activate(a2, edges, 2, LEVELS[2], False)
    else:  # noqa: RET505
        f = activate(a1, edges, 1, LEVELS[1], False)
        return i, f, activate(a2, edges, 2, LEVELS[2], True), activate(a3, edges, 3, LEVELS[3], False)


@triton.jit
def lstm_grads(a0, a1, a2, a3, c_before, grad_h, grad_c, edges, CELL: tl.constexpr, LEVELS: tl.constexpr):
    """Gradients of the pre-activations in the cell's order (the last of a coupled cell is 0), and of c before."""
    i, f, g, o = lstm_gates(a0, a1, a2, a3, edges, CELL, LEVELS)
    squashed = tanh(f * c_before + i * g)
    grad_c += grad_h * o * (1 - squashed * squashed)
    grad_o, grad_g = grad_h * squashed, grad_c * i
    if CELL == COUPLED:
        d0 = grad_c * (g - c_before) * slope(a0, False)
        return d0, grad_g * slope(a1, True), grad_o * slope(a2, False), tl.zeros_like(d0), grad_c * f
    else:  # noqa: RET505
        d0, d1 = grad_c * g * slope(a0, False), grad_c * c_before * slope(a1, False)
        return d0, d1, grad_g * slope(a2, True), grad_o * slope(a3, False), grad_c * f


@triton.jit
def gru_step(r, z, input_n, hidden_n, h, edges, LEVELS: tl.constexpr):
    """New h from pre-activations."""
    r = activate(r, edges, 0, LEVELS[0], False)
    z = activate(z, edges, 1, LEVELS[1], False)
    n = activate(input_n + r * hidden_n, edges, 2, LEVELS[2], True)
    return (1 - z) * n + z * h


@triton.jit
def gru_grads(a_r, a_z, input_n, hidden_n, h_before, grad_h, edges, LEVELS: tl.constexpr):
    """Gradients of r, z, n of the input, n of the hidden state, and of h before, as far as it goes past the gates."""
    r = activate(a_r, edges, 0, LEVELS[0], False)
    z = activate(a_z, edges, 1, LEVELS[1], False)
    a_n = input_n + r * hidden_n
    n = activate(a_n, edges, 2, LEVELS[2], True)
    grad_n = grad_h * (1 - z) * slope(a_n, True)
    grad_r = grad_n * hidden_n * slope(a_r, False)
    return grad_r, grad_h * (h_before - n) * slope(a_z, False), grad_n, grad_n * r, grad_h * z


@triton.jit
def load_before(states, first, at, t, size, mask):
    """State before step t: row t - 1 of ``states`` ``(T, size)``, or ``first`` where t is 0."""
    step = tl.zeros((1, 1), tl.int32) + t  # in the interpreter t is no tensor, and a mask has to be one
    later = tl.load(states + (t - 1) * size + at, mask=mask & (step > 0), other=0.0)
    return later + tl.load(first + at, mask=mask & (step == 0), other=0.0)


@triton.jit
def load_weights(w, rows, columns, H: tl.constexpr):
    """A block of one gate's weights ``(H, H)``, zero outside; either index may be the slower one."""
    return tl.load(w + rows * H + columns, mask=(rows < H) & (columns < H), other=0.0)


@triton.jit
def multiply(a, w, sum, PRECISION: tl.constexpr):
    """``sum + a w``, a rounded to the type of w.

    The interpreter multiplies bfloat16 as if its bits were integers: there ("interpreted") both go as float32.
    """
    operand = a.to(w.dtype)
    if PRECISION == "interpreted":
        return tl.dot(operand.to(tl.float32), w.to(tl.float32), sum)
    else:  # noqa: RET505
        return tl.dot(operand, w, sum, input_precision=PRECISION)

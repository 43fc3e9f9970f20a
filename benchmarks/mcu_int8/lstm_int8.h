/**
 * @file lstm_int8.h
 * @brief The yardstick of benchmarks/mcu.py: a plain LSTM with int8 weights and states, as one would write it in C.
 */
#ifndef LSTM_INT8_H
#define LSTM_INT8_H

#include <stdint.h>

/** Constants; rows gate by gate: i f g o, or i g o with f = 1 - i. Units as in docs/arithmetic.md. */
typedef struct {
    const int8_t *w_ih;      /**< gates * units rows of inputs weights */
    const int8_t *w_hh;      /**< gates * units rows of units weights */
    const int32_t *mult_ih;  /**< one per gate */
    const int32_t *mult_hh;  /**< one per gate */
    const int32_t *bias;     /**< one per row, Q15 */
    const uint8_t *shift;    /**< one per gate */
    int32_t inputs;
    int32_t units;
    int32_t gates;           /**< 3 or 4 */
} lstm_int8;

/** One step: x holds inputs codes, h units codes and as many of scratch, c units cells (Q15, with 4 gates Q11). */
void lstm_int8_step(const lstm_int8 *net, const int8_t *x, int8_t *h, int16_t *c);

#endif

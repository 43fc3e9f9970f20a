/* The training loop over time: one layer, one direction, whole sequences; float32 or float64.
 *
 * Every array is row-major and belongs to the caller. T steps, B sequences, I inputs, H units, G gates; Hp is H rounded
 * up to whole 64-byte lines (padded_size), and "padded" arrays carry zeros or finite values in the units behind H.
 * Sequences come longest first. A NULL pointer stands for an optional array that is not there.
 *
 * With variances v of the weights (the lr-trick) w are the means, and every pre-activation is drawn:
 * w x + b + sqrt(v x^2) noise. A of them: those of the gates, of a GRU r, z, n of the input, n of the hidden state.
 *
 * The weights have P blocks of rows. P = G, or with gate_scale (lstm and coupled) gates share projections: the
 * pre-activation of gate g is gate_scale_g u_p + bias_g, u_p = w_p [x; h] that of p = sharing[g]. Then A = P, and of
 * the gates only u is kept: the way back computes them anew, for less than it costs to store them. Additive skips
 * (docs/theory.md) go with the same two cells.
 */
#ifndef BG_TRAIN_H
#define BG_TRAIN_H

#include <stdint.h>

enum { BG_TRAIN_LSTM = 0, BG_TRAIN_COUPLED_LSTM = 1, BG_TRAIN_GRU = 2 };
enum { BG_TRAIN_NO_SKIP = 0, BG_TRAIN_BLOCK_SKIP = 1, BG_TRAIN_STEP_SKIP = 2, BG_TRAIN_RAW_STEP_SKIP = 3 };
enum { BG_TRAIN_PORTABLE = 0, BG_TRAIN_AVX2 = 1, BG_TRAIN_AVX512 = 2, BG_TRAIN_PATHS = 3 };
enum { BG_TRAIN_MAX_GATES = 4, BG_TRAIN_MAX_LEVELS = 256 };

/* What both passes share; rows lie in the gate orders ifgo, igo and rzn. */
typedef struct {
    int cell;
    int64_t steps, batch, inputs, hidden, padded;
    int levels[BG_TRAIN_MAX_GATES];        /* 0 is a smooth gate */
    const void *edges[BG_TRAIN_MAX_GATES]; /* ascending thresholds, levels - 1 of each gate that has levels */
    const int64_t *lengths;                /* (B,) descending, or NULL: all T */
    int projections;                       /* P */
    int sharing[BG_TRAIN_MAX_GATES];       /* projection of each gate, if there is gate_scale */
    int skip;
    int64_t block;                         /* steps of a block, for a block skip */
    const void *gate_scale;                /* (G, Hp) padded, or NULL */
    const void *bias;                      /* (G, Hp) padded, beside gate_scale, or NULL */
    const void *alpha;                     /* (Hp) padded, factor of the skip, or NULL */
    const int64_t *position;               /* (B,) steps run in the block before, for a block skip */
    const void *anchor_0;                  /* (B, Hp) padded, h where that block began */
    const void *w_hh, *v_hh;               /* (P H, H); v_hh NULL: plain weights, here and in all that follows */
    const void *h_0, *c_0;                 /* (B, Hp) padded; c_0 NULL for a GRU */
    void *output;                          /* (T, B, Hp): written forward, read backward; zero behind the ends */
    void *gates;                           /* (T, B, G, Hp) values of the gates; NULL forward: not kept */
    void *slopes;                          /* (T, B, G, Hp) their (pseudo-)derivatives; NULL where all are smooth */
    void *cells;                           /* (T, B, Hp) c of every step; NULL for a GRU */
    void *extra;                           /* (T, B, Hp) the hidden state's part of n; NULL for an LSTM */
    void *ratios;                          /* (T, B, A, Hp) d preact / d variance, NULL for plain weights */
    void *shared;                          /* (T, B, P, Hp) u, of gates that share, likewise */
    double state_unit;                     /* outputs are whole numbers of 1 / unit below 1; 0: any (and for a GRU) */
} bg_train_layer;

typedef struct {
    bg_train_layer layer;
    const void *x;                  /* (T, B, I) */
    const void *w_ih, *v_ih;        /* (P H, I) */
    const void *noise;              /* (T, B, A, Hp) standard normal, NULL for plain weights */
    const void *bias_ih, *bias_hh;  /* (G H,) or NULL */
    void *h_n;                      /* (B, Hp) */
    void *c_n;                      /* (B, Hp), NULL for a GRU */
    void *anchor_n;                 /* (B, Hp), NULL without a block skip */
} bg_train_forward;

/* Gradients that nobody needs are NULL. */
typedef struct {
    bg_train_layer layer;
    const void *x, *w_ih, *v_ih;         /* as above */
    const void *grad_output;             /* (T, B, Hp) padded, or NULL */
    void *grad_h;                        /* (B, Hp): in the gradient of h_n, out that of h_0 */
    void *grad_c;                        /* (B, Hp), likewise; NULL for a GRU */
    void *grad_anchor;                   /* (B, Hp), likewise; NULL without a block skip */
    void *grad_x;                        /* (T, B, Ip), I rounded up like H */
    void *grad_w_ih, *grad_w_hh;         /* (P H, I), (P H, H) */
    void *grad_v_ih, *grad_v_hh;         /* likewise */
    void *grad_bias_ih, *grad_bias_hh;   /* (G H,) */
    void *grad_gate_scale, *grad_alpha;  /* (G H,), (H,) */
} bg_train_backward;

/* One pass of one instruction set and element type; params is bg_train_forward or bg_train_backward. All sizes are in
 * bytes and multiples of 64. */
typedef struct {
    int64_t (*packed_size)(const void *params);
    void (*pack)(const void *params, void *packed);              /* once, before all shards, which only read it */
    int64_t (*work_size)(const void *params, int64_t sequences); /* scratch of a shard */
    void (*run)(const void *params, const void *packed, void *work, int64_t first, int64_t last);
    void (*finish)(const void *params, void *const *works, int shards); /* once, behind all shards */
} bg_train_pass;

/* N discrete weights, in equal blocks that share a scale each (bg_train_sample.h): draws of L = K levels from their
 * logits, or, without noise, latent weights rounded to the nearest level, L = 1. */
typedef struct {
    int levels, straight_through, draws; /* draws: noise is scratch, written from the seed before it is read */
    uint64_t seed;
    int64_t count, blocks;      /* N, of which blocks is a divisor */
    double temperature;
    const void *from;           /* (L, N) logits, or (N,) latent weights */
    void *noise;                /* (L, N) exponential noise, or NULL beside latent weights */
    const void *values;         /* (K,) ascending */
    const void *scales;         /* (blocks,) or NULL: 1 */
    void *weights;              /* (N,), scales multiplied in: written forward, read backward */
    void *slopes;               /* (L, N) d weight / d from, scales left out; NULL forward: not kept */
    const void *grad;           /* (N,) gradient of the weights */
    void *grad_from;            /* (L, N), or NULL */
    void *grad_log_scale;       /* (blocks,) that of the scales' logarithms is added to it, or NULL */
} bg_train_discrete;

typedef struct {
    bg_train_pass forward, backward;
    void (*discrete_forward)(const bg_train_discrete *params);
    void (*discrete_backward)(const bg_train_discrete *params); /* levels is L */
    void (*noise)(void *to, int64_t n, uint64_t seed, int is_normal); /* n numbers, standard exponential or normal */
} bg_train_kernel;

extern const bg_train_kernel bg_train_portable_f32, bg_train_portable_f64;
#if defined(__x86_64__)
extern const bg_train_kernel bg_train_avx2_f32, bg_train_avx2_f64, bg_train_avx512_f32, bg_train_avx512_f64;
#endif

/* Whether this processor runs the path. Reentrant, as everything here. */
int bg_train_supports(int path);

/* Runs a pass on `threads` threads (1: the caller's), denormals flushed. 0, or -1 for want of memory. */
int bg_train_run(const bg_train_pass *pass, const void *params, int64_t batch, int threads);

/* The kernel of a path that this processor supports. */
const bg_train_kernel *bg_train_find(int path, int is_double);

/* Flush denormals in this thread; returns the earlier setting for bg_train_restore. */
unsigned bg_train_flush_denormals(void);
void bg_train_restore(unsigned setting);

static inline int bg_train_n_gates(int cell) { return cell == BG_TRAIN_LSTM ? 4 : 3; }

/* Sequences of [first, last) that are longer than t, given that `alive` of them (an end index) were before. */
static inline int64_t bg_train_alive(const bg_train_layer *p, int64_t first, int64_t alive, int64_t t) {
    while (p->lengths && alive > first && p->lengths[alive - 1] <= t) {
        --alive;
    }
    return alive;
}

#endif

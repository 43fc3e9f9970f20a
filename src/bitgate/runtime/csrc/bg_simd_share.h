/* What one member of a crew does of a layer: some of its units, all gates of them. Sums are its own, states everybody's. */
#ifndef BG_SIMD_SHARE_H
#define BG_SIMD_SHARE_H

#include "bg_crew.h"
#include "bg_simd.h"

typedef struct {
    const bg_simd_layer *layer;
    bg_crew *crew;       /* NULL if there is one member */
    int member;
    int32_t begin, end;  /* units, multiples of 16; those of the last reach to the end of the padding */
    int32_t units_end;   /* the same without padding */
} bg_simd_share;

static inline bg_simd_share bg_simd_share_of(const bg_simd_layer *l, bg_crew *crew, int members, int member) {
    if (members == 1) {
        return (bg_simd_share){l, NULL, 0, 0, l->padded, l->size};
    }
    /* Whole blocks of rows where there are enough. */
    int32_t grain = l->size >= members * BG_SIMD_STACK ? BG_SIMD_STACK : BG_SIMD_UNITS, grains = l->size / grain;
    int32_t begin = grains * member / members * grain, end = grains * (member + 1) / members * grain;
    end = member + 1 == members ? l->padded : end;
    return (bg_simd_share){l, crew, member, begin, end, end < l->size ? end : l->size};
}

/* Members must not write states that others still read, nor read what is not yet written. */
static inline uint32_t bg_simd_arrive(const bg_simd_share *share) {
    return share->crew == NULL ? 0 : bg_crew_arrive(share->crew, share->member);
}

static inline void bg_simd_await(const bg_simd_share *share, uint32_t arrivals) {
    if (share->crew != NULL) {
        bg_crew_await(share->crew, arrivals);
    }
}

static inline int32_t bg_simd_block_rows(const bg_simd_matrix *m) { return m->stacked ? BG_SIMD_STACK : BG_SIMD_ROWS; }

/* Blocks begin to end of m as a matrix. */
static inline bg_simd_matrix bg_simd_blocks(const bg_simd_matrix *m, int32_t begin, int32_t end) {
    bg_simd_matrix part = *m;
    int32_t lanes = m->stacked ? BG_SIMD_LANES : BG_SIMD_ROWS, row = begin * bg_simd_block_rows(m);
    part.words += (size_t)begin * (size_t)m->row_words * (size_t)lanes;
    part.constant += row;
    part.constant_many += row;
    part.rows -= row;
    part.blocks = end - begin;
    return part;
}

#endif

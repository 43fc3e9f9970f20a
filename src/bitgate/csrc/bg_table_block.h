/**
 * @file bg_table_block.h
 * @brief The inner loops of bg_table.c, in C; ARM and RISC-V take those of bg_table_thumb.h and bg_table_riscv.h.
 */
#ifndef BG_TABLE_BLOCK_H
#define BG_TABLE_BLOCK_H

#include "bg_sums.h"

/** Bytes from one table to the next. */
#define BG_TABLE_BYTES (2 * BG_TABLE_ENTRIES)
/** Makes entries positive, so that two of them can be added as one word. */
#define BG_TABLE_OFFSET 16384u

/** How sums of one matrix are scaled and joined with those of the other; modulo 2^32. */
typedef struct {
    uint32_t old;
    uint32_t added;
    uint32_t offset;
} bg_factors;

#if BG_ASSEMBLY && defined(__GNUC__) && defined(__thumb__)

#include "bg_table_thumb.h"

#elif BG_ASSEMBLY && defined(__GNUC__) && defined(__riscv_mul) && !defined(__riscv_e) && !defined(__riscv_32e)

#include "bg_table_riscv.h"

#else

#if defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
typedef uint32_t __attribute__((may_alias)) bg_two_entries;

static inline void bg_store_pair(uint16_t *to, uint32_t pair) {
    *(bg_two_entries *)(void *)to = pair;
}
#else
static inline void bg_store_pair(uint16_t *to, uint32_t pair) {
    to[0] = (uint16_t)(pair & 0xffffu);
    to[1] = (uint16_t)(pair >> 16);
}
#endif

/* Two numbers as one sum: low + 2^16 high, exact in the halves once both sums are positive. */
static inline uint32_t bg_pair(int32_t low, int32_t high) {
    return (uint32_t)low + ((uint32_t)high << 16);
}

/* Tables of one or more groups. Entry 10 a + b of a group: OFFSET + (a / 3 - 1) x[0] + (a % 3 - 1) x[1]
 * + (b / 3 - 1) x[2] + (b % 3 - 1) x[3]. */
BG_SEPARATE static void bg_fill_groups(uint16_t *table, const int16_t *x, int32_t groups) {
    for (; groups > 0; --groups) {
        int32_t x2 = x[2], x3 = x[3];
        int32_t first = (int32_t)BG_TABLE_OFFSET - x[0] - x[1];
        uint32_t step = bg_pair(x[1], x[1]);
        uint32_t turn = bg_pair(x[0] - 3 * x[1], x[0] - 3 * x[1]);
        uint32_t base = bg_pair(first, first);
        uint32_t e0 = base + bg_pair(-x2 - x3, -x2), e1 = base + bg_pair(x3 - x2, -x3), e2 = base + bg_pair(0, x3);
        uint32_t e3 = base + bg_pair(x2 - x3, x2), e4 = base + bg_pair(x2 + x3, 0);
        for (int row = 0; row < 9; ++row) {
            uint32_t next = row % 3 == 2 ? step + turn : step;
            bg_store_pair(table, e0);
            bg_store_pair(table + 2, e1);
            bg_store_pair(table + 4, e2);
            bg_store_pair(table + 6, e3);
            bg_store_pair(table + 8, e4);
            e0 += next;
            e1 += next;
            e2 += next;
            e3 += next;
            e4 += next;
            table += 10;
        }
        x += 4;
    }
}

#define BG_ADD_ENTRY(k, row)                                                                              \
    entry = *(const uint16_t *)(const void *)(table + BG_TABLE_BYTES * (k) + codes[4 * (k) + (row)]); \
    sum[row] += entry
#define BG_ADD_GROUP(k) \
    BG_ADD_ENTRY(k, 0); \
    BG_ADD_ENTRY(k, 1); \
    BG_ADD_ENTRY(k, 2); \
    BG_ADD_ENTRY(k, 3)

/* Adds the entries that four rows name in groups tables, 0 to 8; a code is the byte offset of its entry. */
static BG_INLINE void bg_add_block(const uint8_t *codes, const uint8_t *table, int32_t groups, uint32_t *sum) {
    uint32_t entry;
#if !BG_SMALL
    if (groups >= 4) {
        BG_ADD_GROUP(0);
        BG_ADD_GROUP(1);
        BG_ADD_GROUP(2);
        BG_ADD_GROUP(3);
        if (groups == 8) {
            BG_ADD_GROUP(4);
            BG_ADD_GROUP(5);
            BG_ADD_GROUP(6);
            BG_ADD_GROUP(7);
            return;
        }
        codes += 16;
        table += 4 * BG_TABLE_BYTES;
    }
    if (groups & 2) {
        BG_ADD_GROUP(0);
        BG_ADD_GROUP(1);
        codes += 8;
        table += 2 * BG_TABLE_BYTES;
    }
    groups &= 1;
#endif
    for (; groups > 0; --groups) {
        BG_ADD_GROUP(0);
        codes += 4;
        table += BG_TABLE_BYTES;
    }
}

#if !BG_SMALL
static BG_INLINE void bg_add_rows(const uint8_t *codes, const uint8_t *table, uint32_t *sums, const uint32_t *end,
                                  int32_t groups) {
    for (; sums < end; sums += 4) {
        uint32_t sum[4] = {sums[0], sums[1], sums[2], sums[3]};
        bg_add_block(codes, table, groups, sum);
        sums[0] = sum[0];
        sums[1] = sum[1];
        sums[2] = sum[2];
        sums[3] = sum[3];
        codes += 4 * groups;
    }
}
#endif

/* Whole blocks of four rows. Codes: by four rows, by group, a byte per row; 0 to 8 groups. Without factors adds to the
 * sums; with them sums = sums * factors->old + added * factors->added + factors->offset. */
BG_SEPARATE static void bg_table_rows(const uint8_t *codes, const uint8_t *table, uint32_t *sums, const uint32_t *end,
                                      int32_t groups, const bg_factors *factors) {
    uint32_t old = 1, added = 1, offset = 0;
    if (factors) {
        old = factors->old;
        added = factors->added;
        offset = factors->offset;
    }
#if !BG_SMALL
    if (!factors) {
        bg_add_rows(codes, table, sums, end, groups);
        return;
    }
#endif
    for (; sums < end; sums += 4) {
        uint32_t sum[4] = {0, 0, 0, 0};
        bg_add_block(codes, table, groups, sum);
        sums[0] = sums[0] * old + sum[0] * added + offset;
        sums[1] = sums[1] * old + sum[1] * added + offset;
        sums[2] = sums[2] * old + sum[2] * added + offset;
        sums[3] = sums[3] * old + sum[3] * added + offset;
        codes += 4 * groups;
    }
}

#endif

#endif

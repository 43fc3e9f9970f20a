/**
 * @file bg_table_block.h
 * @brief The inner loops of bg_table.c, in C, and by hand for ARM, whose compilers spill what fits in registers.
 *
 * The ARM version keeps to the instructions and registers of Cortex-M0, so that it serves every Thumb core.
 */
#ifndef BG_TABLE_BLOCK_H
#define BG_TABLE_BLOCK_H

#include "bg_sums.h"

enum { BG_TABLE_BYTES = 2 * BG_TABLE_ENTRIES };

/* GCC keeps the high registers of Thumb-1 to itself when it compiles for size. */
#if defined(__GNUC__) && defined(__thumb__) && \
    (defined(__thumb2__) || defined(__clang__) || !defined(__OPTIMIZE_SIZE__))

#define BG_FOUR_ENTRIES(at0, at1, at2, at3)                            \
    "ldrb %5, [%6, #" at0 "]\n\tldrh %5, [%4, %5]\n\tadds %0, %0, %5\n\t" \
    "ldrb %5, [%6, #" at1 "]\n\tldrh %5, [%4, %5]\n\tadds %1, %1, %5\n\t" \
    "ldrb %5, [%6, #" at2 "]\n\tldrh %5, [%4, %5]\n\tadds %2, %2, %5\n\t" \
    "ldrb %5, [%6, #" at3 "]\n\tldrh %5, [%4, %5]\n\tadds %3, %3, %5\n\t"
#define BG_NEXT_TABLE "adds %4, %4, #180\n\t"

/* Adds the entries that four rows name in one table. */
static inline void bg_add_group(const uint8_t *codes, const uint8_t *table, int32_t *sum) {
    int32_t entry;
    __asm__(".syntax unified\n\t" BG_FOUR_ENTRIES("0", "1", "2", "3")
            : "+l"(sum[0]), "+l"(sum[1]), "+l"(sum[2]), "+l"(sum[3]), "+l"(table), "=&l"(entry)
            : "l"(codes)
            : "cc", "memory");
}

/* Adds the entries that four rows name in BG_TABLE_GROUPS tables. */
static inline void bg_add_groups(const uint8_t *codes, const uint8_t *table, int32_t *sum) {
    int32_t entry;
    __asm__(".syntax unified\n\t"
            BG_FOUR_ENTRIES("0", "1", "2", "3") BG_NEXT_TABLE BG_FOUR_ENTRIES("4", "5", "6", "7") BG_NEXT_TABLE
            BG_FOUR_ENTRIES("8", "9", "10", "11") BG_NEXT_TABLE BG_FOUR_ENTRIES("12", "13", "14", "15") BG_NEXT_TABLE
            BG_FOUR_ENTRIES("16", "17", "18", "19") BG_NEXT_TABLE BG_FOUR_ENTRIES("20", "21", "22", "23") BG_NEXT_TABLE
            BG_FOUR_ENTRIES("24", "25", "26", "27") BG_NEXT_TABLE BG_FOUR_ENTRIES("28", "29", "30", "31")
            : "+l"(sum[0]), "+l"(sum[1]), "+l"(sum[2]), "+l"(sum[3]), "+l"(table), "=&l"(entry)
            : "l"(codes)
            : "cc", "memory");
}

#define BG_STORE_ROW                                                                          \
    "adds %0, %1, %3\n\tstr %0, [%2, #0]\n\tadds %0, %1, %4\n\tstr %0, [%2, #4]\n\t"           \
    "adds %0, %1, %5\n\tstr %0, [%2, #8]\n\tadds %0, %1, %6\n\tstr %0, [%2, #12]\n\t"          \
    "mov %0, %7\n\tadd %0, %0, %1\n\tstr %0, [%2, #16]\n\tadds %2, %2, #20\n\tadd %1, %1, %8\n\t"

/* Stores nine rows of base plus each of the pairs; base grows by step after each, by turn after every third. */
static inline void bg_store_rows(uint16_t *table, uint32_t base, uint32_t step, uint32_t turn, const uint32_t *pairs) {
    uint32_t entries;
    /* volatile: nothing that it returns is used, so GCC would drop it. */
    __asm__ volatile(".syntax unified\n\t"
            BG_STORE_ROW BG_STORE_ROW BG_STORE_ROW "add %1, %1, %9\n\t"
            BG_STORE_ROW BG_STORE_ROW BG_STORE_ROW "add %1, %1, %9\n\t"
            BG_STORE_ROW BG_STORE_ROW BG_STORE_ROW
            : "=&l"(entries), "+l"(base), "+l"(table)
            : "l"(pairs[0]), "l"(pairs[1]), "l"(pairs[2]), "l"(pairs[3]), "h"(pairs[4]), "h"(step), "h"(turn)
            : "cc", "memory");
}

#else

/* Adds the entries that four rows name in one table; a code is the byte offset of its entry. */
static inline void bg_add_group(const uint8_t *codes, const uint8_t *table, int32_t *sum) {
    for (int row = 0; row < 4; ++row) {
        sum[row] += *(const uint16_t *)(const void *)(table + codes[row]);
    }
}

/* Adds the entries that four rows name in BG_TABLE_GROUPS tables. */
static inline void bg_add_groups(const uint8_t *codes, const uint8_t *table, int32_t *sum) {
    for (int k = 0; k < BG_TABLE_GROUPS; ++k) {
        bg_add_group(codes + 4 * k, table + BG_TABLE_BYTES * k, sum);
    }
}

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

/* Stores nine rows of base plus each of the pairs; base grows by step after each, by turn after every third. */
static inline void bg_store_rows(uint16_t *table, uint32_t base, uint32_t step, uint32_t turn, const uint32_t *pairs) {
    for (int row = 0; row < 9; ++row) {
        for (int k = 0; k < 5; ++k) {
            bg_store_pair(table + 2 * k, base + pairs[k]);
        }
        table += 10;
        base += step;
        if (row % 3 == 2) {
            base += turn;
        }
    }
}

#endif

#endif

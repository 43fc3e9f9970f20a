/**
 * @file bg_table_riscv.h
 * @brief The loop over rows of bg_table.c by hand for RISC-V: as fast, whatever the compiler optimizes for.
 *
 * Instructions of RV32IM, in registers that its compressed ones reach where that is shorter; no stack. RV64 runs them too:
 * sums are loaded and stored as 32 bits. The same integers as in C.
 */
#ifndef BG_TABLE_RISCV_H
#define BG_TABLE_RISCV_H

#include <stdint.h>

/* Bytes from one group to the next. */
#if defined(__riscv_compressed) || defined(__riscv_zca)
#define BG_RISCV_GROUP_BYTES "48"
#else
#define BG_RISCV_GROUP_BYTES "64"
#endif

/* a0, a3, a4, a5: sums of four rows; a1: entry; a6: end of their codes; t0: end of the tables. Offsets are negative, so
 * that no extension has a shorter form of some of these loads. */
#define BG_RISCV_ROW(sum, at, table) \
    "lbu a1, -" at "(a6)\n\tadd a1, a1, t0\n\tlhu a1, -" table "(a1)\n\tadd " sum ", " sum ", a1\n\t"
#define BG_RISCV_GROUP(at0, at1, at2, at3, table) \
    BG_RISCV_ROW("a0", at0, table) BG_RISCV_ROW("a3", at1, table) \
    BG_RISCV_ROW("a4", at2, table) BG_RISCV_ROW("a5", at3, table)
/* Eight groups; entered at a later one where there are fewer. */
#define BG_RISCV_GROUPS                                                                              \
    BG_RISCV_GROUP("32", "31", "30", "29", "1440") BG_RISCV_GROUP("28", "27", "26", "25", "1260")    \
    BG_RISCV_GROUP("24", "23", "22", "21", "1080") BG_RISCV_GROUP("20", "19", "18", "17", "900")     \
    BG_RISCV_GROUP("16", "15", "14", "13", "720") BG_RISCV_GROUP("12", "11", "10", "9", "540")       \
    BG_RISCV_GROUP("8", "7", "6", "5", "360") BG_RISCV_GROUP("4", "3", "2", "1", "180")

#define BG_RISCV_RESCALE(sum, at)                                                                  \
    "lw a1, " at "(a2)\n\tmul " sum ", " sum ", t5\n\tmul a1, a1, t4\n\tadd " sum ", " sum ", t6\n\t" \
    "add " sum ", " sum ", a1\n\tsw " sum ", " at "(a2)\n\t"

/* Whole blocks of four rows. Codes: by four rows, by group, a byte per row; 0 to 8 groups. Without factors adds to the
 * sums; with them sums = sums * factors->old + added * factors->added + factors->offset.
 * a2: sums; a7: end; t1: bytes of codes for four rows; t2: where the first group is; t3: factors; t4: old; t5: added;
 * t6: offset. */
BG_NAKED static void bg_table_rows(BG_ARGUMENT const uint8_t *codes, BG_ARGUMENT const uint8_t *table,
                                   BG_ARGUMENT uint32_t *sums, BG_ARGUMENT const uint32_t *end,
                                   BG_ARGUMENT int32_t groups, BG_ARGUMENT const bg_factors *factors) {
    __asm__ volatile(
        "li t0, 180\n\tmul t0, t0, a4\n\tadd t0, t0, a1\n\tslli t1, a4, 2\n\tadd a6, a0, t1\n\tmv a7, a3\n\t"
        "li a1, " BG_RISCV_GROUP_BYTES "\n\tmul a1, a1, a4\n\tlla t2, 6f\n\tsub t2, t2, a1\n\tmv t3, a5\n\t"
        "beqz t3, 1f\n\tlw t4, 0(a5)\n\tlw t5, 4(a5)\n\tlw t6, 8(a5)\n\t"
        "2:\n\tli a0, 0\n\tli a3, 0\n\tli a4, 0\n\tli a5, 0\n\tjr t2\n\t"
        "1:\n\tlw a0, 0(a2)\n\tlw a3, 4(a2)\n\tlw a4, 8(a2)\n\tlw a5, 12(a2)\n\tjr t2\n\t"
        BG_RISCV_GROUPS
        "6:\n\tadd a6, a6, t1\n\tbnez t3, 3f\n\t"
        "sw a0, 0(a2)\n\tsw a3, 4(a2)\n\tsw a4, 8(a2)\n\tsw a5, 12(a2)\n\taddi a2, a2, 16\n\tbne a2, a7, 1b\n\tret\n\t"
        "3:\n\t" BG_RISCV_RESCALE("a0", "0") BG_RISCV_RESCALE("a3", "4")
        BG_RISCV_RESCALE("a4", "8") BG_RISCV_RESCALE("a5", "12") "addi a2, a2, 16\n\tbne a2, a7, 2b\n\tret\n\t");
}

#define BG_RISCV_STORE(at0, at1, at2, at3, at4, step)                                                             \
    "sw a1, " at0 "(a0)\n\tsw a2, " at1 "(a0)\n\tsw a3, " at2 "(a0)\n\tsw a4, " at3 "(a0)\n\tsw a5, " at4 "(a0)\n\t" \
    "add a1, a1, " step "\n\tadd a2, a2, " step "\n\tadd a3, a3, " step "\n\tadd a4, a4, " step "\n\tadd a5, a5, " step \
    "\n\t"

/* Tables of one or more groups. Entry 10 a + b of a group: OFFSET + (a / 3 - 1) x[0] + (a % 3 - 1) x[1]
 * + (b / 3 - 1) x[2] + (b % 3 - 1) x[3]. a6: inputs; a7: end of all tables; t6: end of this one. */
BG_NAKED static void bg_fill_groups(BG_ARGUMENT uint16_t *table, BG_ARGUMENT const int16_t *x,
                                    BG_ARGUMENT int32_t groups) {
    __asm__ volatile(
        "mv a6, a1\n\tli a7, 180\n\tmul a7, a7, a2\n\tadd a7, a7, a0\n\t"
        "2:\n\tlh a2, 0(a6)\n\tlh a3, 2(a6)\n\tlh a4, 4(a6)\n\tlh a5, 6(a6)\n\taddi a6, a6, 8\n\taddi t6, a0, 180\n\t"
        /* t0: step x1, t1: turn x0 - 2 x1, t2: base OFFSET - x0 - x1, each as a pair */
        "slli t0, a3, 16\n\tadd t0, t0, a3\n\t"
        "sub t1, a2, a3\n\tsub t1, t1, a3\n\tslli t3, t1, 16\n\tadd t1, t1, t3\n\t"
        "lui t2, 4\n\tsub t2, t2, a2\n\tsub t2, t2, a3\n\tslli t3, t2, 16\n\tadd t2, t2, t3\n\t"
        /* t3 and t4: x2 and x3 as high halves, t5: x2 + x3, a4: x2 - x3 */
        "slli t3, a4, 16\n\tslli t4, a5, 16\n\tadd t5, a4, a5\n\tsub a4, a4, a5\n\t"
        /* base + (-x2 - x3, -x2); (x3 - x2, -x3); (0, x3); (x2 - x3, x2); (x2 + x3, 0) */
        "sub a1, t2, t5\n\tsub a1, a1, t3\n\tsub a2, t2, a4\n\tsub a2, a2, t4\n\tadd a3, t2, t4\n\t"
        "add a4, a4, t2\n\tadd a4, a4, t3\n\tadd a5, t2, t5\n\t"
        "1:\n\t" BG_RISCV_STORE("0", "4", "8", "12", "16", "t0") BG_RISCV_STORE("20", "24", "28", "32", "36", "t0")
        BG_RISCV_STORE("40", "44", "48", "52", "56", "t1") "addi a0, a0, 60\n\tbne a0, t6, 1b\n\tbne a0, a7, 2b\n\tret\n\t");
}

#endif

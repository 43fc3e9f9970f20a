/**
 * @file bg_table_thumb.h
 * @brief The inner loops of bg_table.c by hand, because compilers spill what fits in the registers of Cortex-M0.
 *
 * Instructions and registers of ARMv6-M only, so that they serve every Thumb core. The same integers as in C.
 */
#ifndef BG_TABLE_THUMB_H
#define BG_TABLE_THUMB_H

#include <stdint.h>

/* r0 to r3: sums of four rows; r4: table; r5: entry; r6: codes. */
#define BG_THUMB_ROW(sum, at) "ldrb r5, [r6, #" at "]\n\tldrh r5, [r4, r5]\n\tadds " sum ", " sum ", r5\n\t"
#define BG_THUMB_GROUP(at0, at1, at2, at3) \
    BG_THUMB_ROW("r0", at0) BG_THUMB_ROW("r1", at1) BG_THUMB_ROW("r2", at2) BG_THUMB_ROW("r3", at3)
#define BG_THUMB_NEXT "adds r4, r4, #180\n\t"
/* Eight groups, 26 bytes from one to the next; entered at a later one where there are fewer, left to where r11 says. */
#define BG_THUMB_GROUPS \
    "mov r4, r12\n\tmov pc, r8\n\t.p2align 2\n\t1:\n\t" \
    BG_THUMB_GROUP("0", "1", "2", "3") BG_THUMB_NEXT BG_THUMB_GROUP("4", "5", "6", "7") BG_THUMB_NEXT \
    BG_THUMB_GROUP("8", "9", "10", "11") BG_THUMB_NEXT BG_THUMB_GROUP("12", "13", "14", "15") BG_THUMB_NEXT \
    BG_THUMB_GROUP("16", "17", "18", "19") BG_THUMB_NEXT BG_THUMB_GROUP("20", "21", "22", "23") BG_THUMB_NEXT \
    BG_THUMB_GROUP("24", "25", "26", "27") BG_THUMB_NEXT BG_THUMB_GROUP("28", "29", "30", "31") "add r6, r9\n\tmov pc, r11\n\t"

/* Of the arguments codes, table, sums, end, groups, factors: r6: codes, as if the missing groups came before them;
 * r12: table; r7: sums; lr: end; r8: address of the first group there is; r9: bytes of codes for four rows; r10: factors;
 * r11: where a block's end is, at 5 with factors and at 3 without. */
#define BG_THUMB_ENTER                                                                       \
    ".syntax unified\n\tpush {r4, r5, r6, r7, lr}\n\t"                                       \
    "mov r4, r8\n\tmov r5, r9\n\tmov r6, r10\n\tmov r7, r11\n\tpush {r4, r5, r6, r7}\n\t" \
    "movs r7, r2\n\tmov lr, r3\n\tmov r12, r1\n\t"                                           \
    "ldr r4, [sp, #36]\n\tlsls r5, r4, #2\n\tmov r9, r5\n\t"                                 \
    "movs r6, r0\n\tsubs r6, #32\n\tadds r6, r6, r5\n\t"                                     \
    "movs r5, #8\n\tsubs r5, r5, r4\n\tmovs r4, #26\n\tmuls r4, r5, r4\n\t"                  \
    "adr r5, 1f\n\tadds r4, r4, r5\n\tmov r8, r4\n\t"                                        \
    "ldr r4, [sp, #40]\n\tmov r10, r4\n\tadr r5, 5f\n\tmov r11, r5\n\tcmp r4, #0\n\tbne 4f\n\t" \
    "adr r5, 3f\n\tmov r11, r5\n\tb 2f\n\t"

#define BG_THUMB_LEAVE \
    "pop {r4, r5, r6, r7}\n\tmov r8, r4\n\tmov r9, r5\n\tmov r10, r6\n\tmov r11, r7\n\tpop {r4, r5, r6, r7, pc}\n\t"

#define BG_THUMB_RESCALE(sum, at) "ldr r4, [r7, #" at "]\n\tmuls r4, r5, r4\n\tadds " sum ", " sum ", r4\n\t"

/* Whole blocks of four rows. Codes: by four rows, by group, a byte per row; 0 to 8 groups. Without factors adds to the
 * sums; with them sums = sums * factors->old + added * factors->added + factors->offset. Both share the groups. */
BG_NAKED static void bg_table_rows(BG_ARGUMENT const uint8_t *codes, BG_ARGUMENT const uint8_t *table,
                                   BG_ARGUMENT uint32_t *sums, BG_ARGUMENT const uint32_t *end,
                                   BG_ARGUMENT int32_t groups, BG_ARGUMENT const bg_factors *factors) {
    __asm__ volatile(BG_THUMB_ENTER
                     "6:\n\t" BG_THUMB_LEAVE
                     ".p2align 2\n\t5:\n\t"
                     "mov r4, r10\n\tldr r5, [r4, #4]\n\t"
                     "muls r0, r5, r0\n\tmuls r1, r5, r1\n\tmuls r2, r5, r2\n\tmuls r3, r5, r3\n\t"
                     "ldr r5, [r4, #8]\n\tadds r0, r0, r5\n\tadds r1, r1, r5\n\tadds r2, r2, r5\n\t"
                     "adds r3, r3, r5\n\tldr r5, [r4, #0]\n\t"
                     BG_THUMB_RESCALE("r0", "0") BG_THUMB_RESCALE("r1", "4")
                     BG_THUMB_RESCALE("r2", "8") BG_THUMB_RESCALE("r3", "12")
                     "stmia r7!, {r0, r1, r2, r3}\n\tcmp r7, lr\n\tbeq 6b\n\t"
                     "4:\n\tmovs r0, #0\n\tmovs r1, #0\n\tmovs r2, #0\n\tmovs r3, #0\n\tb 7f\n\t"
                     ".p2align 2\n\t3:\n\tsubs r7, r7, #16\n\tstmia r7!, {r0, r1, r2, r3}\n\t"
                     "cmp r7, lr\n\tbeq 6b\n\t"
                     "2:\n\tldmia r7!, {r0, r1, r2, r3}\n\t"
                     "7:\n\t" BG_THUMB_GROUPS);
}

#define BG_THUMB_STORE "stmia r0!, {r1, r2, r3, r4, r5}\n\t"
#define BG_THUMB_ADD(step)                                                                      \
    "adds r1, r1, " step "\n\tadds r2, r2, " step "\n\tadds r3, r3, " step "\n\tadds r4, r4, " step \
    "\n\tadds r5, r5, " step "\n\t"
#define BG_THUMB_THREE \
    BG_THUMB_STORE BG_THUMB_ADD("r6") BG_THUMB_STORE BG_THUMB_ADD("r6") BG_THUMB_STORE

/* Entry 10 a + b of a group: OFFSET + (a / 3 - 1) x[0] + (a % 3 - 1) x[1] + (b / 3 - 1) x[2] + (b % 3 - 1) x[3]. */
BG_NAKED static void bg_fill_table(BG_ARGUMENT uint16_t *table, BG_ARGUMENT const int16_t *x) {
    __asm__ volatile(
        ".syntax unified\n\tpush {r4, r5, r6, r7, lr}\n\t"
        "movs r7, #0\n\tldrsh r4, [r1, r7]\n\tmovs r7, #2\n\tldrsh r5, [r1, r7]\n\t"
        "movs r7, #4\n\tldrsh r2, [r1, r7]\n\tmovs r7, #6\n\tldrsh r3, [r1, r7]\n\t"
        /* r6: step x1, r7: turn x0 - 2 x1, r1: base OFFSET - x0 - x1, each as a pair */
        "lsls r6, r5, #16\n\tadds r6, r6, r5\n\t"
        "subs r7, r4, r5\n\tsubs r7, r7, r5\n\tlsls r1, r7, #16\n\tadds r7, r7, r1\n\t"
        "movs r1, #1\n\tlsls r1, r1, #14\n\tsubs r1, r1, r4\n\tsubs r1, r1, r5\n\tlsls r4, r1, #16\n\tadds r1, r1, r4\n\t"
        /* r4: x2 + x3, r5: x2 - x3, r2 and r3: x2 and x3 as high halves, r12: base */
        "adds r4, r2, r3\n\tsubs r5, r2, r3\n\tlsls r2, r2, #16\n\tlsls r3, r3, #16\n\tmov r12, r1\n\t"
        /* base + (-x2 - x3, -x2); (x3 - x2, -x3); (0, x3); (x2 - x3, x2); (x2 + x3, 0) */
        "subs r1, r1, r2\n\tsubs r1, r1, r4\n\t"
        "add r2, r12\n\tadds r2, r2, r5\n\tmov lr, r2\n\t"
        "mov r2, r12\n\tsubs r2, r2, r3\n\tsubs r2, r2, r5\n\t"
        "add r3, r12\n\tmov r5, r4\n\tadd r5, r12\n\tmov r4, lr\n\t"
        BG_THUMB_THREE BG_THUMB_ADD("r7") BG_THUMB_THREE BG_THUMB_ADD("r7") BG_THUMB_THREE
        "pop {r4, r5, r6, r7, pc}\n\t");
}

/* Tables of one or more groups. */
static inline void bg_fill_groups(uint16_t *table, const int16_t *x, int32_t groups) {
    do {
        bg_fill_table(table, x);
        table += BG_TABLE_ENTRIES;
        x += 4;
    } while (--groups > 0);
}

#endif

/**
 * @file bg_options.h
 * @brief What a compiler's options may choose: the integers are the same under all of them.
 */
#ifndef BG_OPTIONS_H
#define BG_OPTIONS_H

/* A function in assembly alone: its arguments are in registers, and the compiler sees no use of them. */
#if defined(__GNUC__)
#define BG_NAKED __attribute__((naked, noinline))
#define BG_ARGUMENT __attribute__((unused))
#endif

/* 1 for inner loops by hand where the processor has them, 0 for C alone; the integers are the same. */
#if !defined(BG_ASSEMBLY)
#define BG_ASSEMBLY 1
#endif

/* A loop in a function of its own keeps its registers; inlined into another loop it spills them. */
#if defined(__GNUC__)
#define BG_SEPARATE __attribute__((noinline))
#define BG_INLINE inline __attribute__((always_inline))
#else
#define BG_SEPARATE
#define BG_INLINE inline
#endif

/* Where there are no inner loops by hand: 1 for less code, 0 for fewer instructions. */
#if !defined(BG_SMALL)
#if defined(__OPTIMIZE_SIZE__)
#define BG_SMALL 1
#else
#define BG_SMALL 0
#endif
#endif

#endif

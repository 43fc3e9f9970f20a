/* Start of a Cortex-M under QEMU: vector table, floating point unit, zeroed variables, semihosting. */
#include <stdlib.h>

extern unsigned stack_top, bss_start, bss_end;
void initialise_monitor_handles(void);
int main(void);

/* What exit() wants of the start-up files that are left out. */
void _fini(void);
void _fini(void) {}

void reset(void);
void reset(void) {
#if defined(__ARM_FP)
    *(volatile unsigned *)0xe000ed88u |= 0xfu << 20; /* CPACR: full access to CP10 and CP11 */
    __asm volatile("dsb\n\tisb");
#endif
    for (unsigned *word = &bss_start; word < &bss_end; ++word) {
        *word = 0;
    }
    initialise_monitor_handles();
    exit(main());
}

static void fault(void) {
    abort();
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};

/* Picks the kernel, packs the weights, cuts the batch into one shard a thread, flushes denormals. */
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "bg_train.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

enum { MAX_THREADS = 64, FLUSH_ZERO_AND_DENORMALS_ARE_ZERO = 0x8040 };

unsigned bg_train_flush_denormals(void) {
#if defined(__SSE__)
    unsigned setting = _mm_getcsr();
    _mm_setcsr(setting | FLUSH_ZERO_AND_DENORMALS_ARE_ZERO);
    return setting;
#else
    return 0;
#endif
}

void bg_train_restore(unsigned setting) {
#if defined(__SSE__)
    _mm_setcsr(setting);
#else
    (void)setting;
#endif
}

int bg_train_supports(int path) {
    if (path == BG_TRAIN_PORTABLE) {
        return 1;
    }
#if defined(__x86_64__)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (path == BG_TRAIN_AVX512) {
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    }
    return path == BG_TRAIN_AVX2 && avx2;
#else
    return 0;
#endif
}

const bg_train_kernel *bg_train_find(int path, int is_double) {
#if defined(__x86_64__)
    if (path == BG_TRAIN_AVX512) {
        return is_double ? &bg_train_avx512_f64 : &bg_train_avx512_f32;
    }
    if (path == BG_TRAIN_AVX2) {
        return is_double ? &bg_train_avx2_f64 : &bg_train_avx2_f32;
    }
#endif
    (void)path;
    return is_double ? &bg_train_portable_f64 : &bg_train_portable_f32;
}

typedef struct {
    const bg_train_pass *pass;
    const void *params, *packed;
    void *work;
    int64_t first, last;
} shard;

static void *run_shard(void *argument) {
    const shard *s = argument;
    unsigned setting = bg_train_flush_denormals();
    s->pass->run(s->params, s->packed, s->work, s->first, s->last);
    bg_train_restore(setting);
    return NULL;
}

/* The caller runs the first shard, and that of every thread that cannot be had. */
static void run_shards(shard *shards, int count) {
    pthread_t handles[MAX_THREADS];
    int started[MAX_THREADS] = {0};
    for (int k = count - 1; k >= 0; --k) {
        started[k] = k > 0 && pthread_create(&handles[k], NULL, run_shard, &shards[k]) == 0;
        if (!started[k]) {
            run_shard(&shards[k]);
        }
    }
    for (int k = 1; k < count; ++k) {
        if (started[k]) {
            pthread_join(handles[k], NULL);
        }
    }
}

int bg_train_run(const bg_train_pass *pass, const void *params, int64_t batch, int threads) {
    int count = threads < MAX_THREADS ? threads : MAX_THREADS;
    count = batch < count ? (int)batch : count;
    count = count > 1 ? count : 1;
    /* Shards hold batch / count sequences or one more, and the smaller shard may be the one that needs more room. */
    int64_t packed_size = pass->packed_size(params), work_size = pass->work_size(params, batch / count);
    int64_t other_size = pass->work_size(params, (batch + count - 1) / count);
    work_size = work_size > other_size ? work_size : other_size;
    void *memory, *works[MAX_THREADS];
    shard shards[MAX_THREADS];
    if (posix_memalign(&memory, 64, (size_t)(packed_size + count * work_size + 64)) != 0) {
        return -1;
    }
    for (int k = 0; k < count; ++k) {
        works[k] = (char *)memory + packed_size + k * work_size;
        shards[k] = (shard){pass, params, memory, works[k], batch * k / count, batch * (k + 1) / count};
    }
    unsigned setting = bg_train_flush_denormals();
    pass->pack(params, memory);
    run_shards(shards, count);
    pass->finish(params, works, count);
    bg_train_restore(setting);
    free(memory);
    return 0;
}

/* Helpers spin for a moment after each part, so that the next one finds them awake, then sleep. */
#include "bg_crew.h"

#include <stddef.h>

#if defined(__unix__) || defined(__APPLE__)

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LINE = 64,         /* bytes of a cache line: what two threads write shall not share one */
    PAUSES = 50,       /* then the core is offered to others: on a busy machine one of them may be who is waited for */
    SPIN_NS = 50000    /* of an idle helper; calls that are further apart find it asleep */
};

enum { ASLEEP, WOKEN, AWAKE };

typedef struct {
    _Alignas(LINE) atomic_uint arrivals;
    _Alignas(LINE) atomic_uint called;    /* parts it was given */
    atomic_int mood;
    _Alignas(LINE) atomic_uint finished;  /* the last of them that is done */
    bg_crew *crew;
    int number;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
} bg_member;

struct bg_crew {
    bg_member members[BG_CREW_MOST];
    int threads, is_patient;
    int32_t units;
    int started;          /* helpers that run, in the process of generation */
    unsigned generation;
    atomic_uint taken;    /* by a caller of this generation, plus 1; 0 if nobody has it */
    atomic_int is_over;
    int at_work;          /* members of the current call */
    int64_t last_ns;      /* when the last call was done */
    bg_crew_part part;
    void *argument;
};

/* Helpers do not follow into a forked child, which counts one more. */
static atomic_uint generation = 0;
static pthread_once_t watch_forks_once = PTHREAD_ONCE_INIT;

static void count_fork(void) { atomic_fetch_add(&generation, 1); }

static void watch_forks(void) { pthread_atfork(NULL, NULL, count_fork); }

static void relax(unsigned *turns) {
    if (++*turns > PAUSES) {
        sched_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int is_called(const bg_member *self, unsigned seen) { return atomic_load(&self->called) != seen; }

static void sleep_until_woken(bg_member *self, unsigned seen) {
    pthread_mutex_lock(&self->lock);
    atomic_store(&self->mood, ASLEEP);
    /* A caller counts first and then looks at the mood, so one of the two notices the other. */
    while (atomic_load(&self->mood) == ASLEEP && !is_called(self, seen)) {
        pthread_cond_wait(&self->wake, &self->lock);
    }
    pthread_mutex_unlock(&self->lock);
}

static void wait_for_call(bg_member *self, unsigned seen) {
    unsigned turns = 0;
    int64_t end = now_ns() + SPIN_NS;
    while (!is_called(self, seen)) {
        relax(&turns);
        if (turns % 32 == 0 && now_ns() > end) {
            sleep_until_woken(self, seen);
            return;
        }
    }
}

static void *serve(void *argument) {
    bg_member *self = argument;
    unsigned seen = 0;
    for (;;) {
        atomic_store(&self->mood, AWAKE);
        wait_for_call(self, seen);
        if (atomic_load(&self->crew->is_over)) {
            return NULL;
        }
        if (is_called(self, seen)) {
            ++seen;
            self->crew->part(self->crew->argument, self->number);
            atomic_store_explicit(&self->finished, seen, memory_order_release);
        }
    }
}

static void wake(bg_member *helper) {
    int asleep = ASLEEP;
    if (atomic_load(&helper->mood) == ASLEEP) {
        pthread_mutex_lock(&helper->lock);
        atomic_compare_exchange_strong(&helper->mood, &asleep, WOKEN);
        pthread_cond_signal(&helper->wake);
        pthread_mutex_unlock(&helper->lock);
    }
}

/* Signals are for the threads that the program knows. */
static int start_helper(bg_crew *crew, int number) {
    bg_member *helper = &crew->members[number];
    sigset_t all, before;
    memset(helper, 0, sizeof *helper);
    helper->crew = crew;
    helper->number = number;
    atomic_store(&helper->mood, WOKEN);
    pthread_mutex_init(&helper->lock, NULL);
    pthread_cond_init(&helper->wake, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&helper->thread, NULL, serve, helper);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0;
}

static int start_helpers(bg_crew *crew, int count) {
    while (crew->started < count && start_helper(crew, crew->started + 1)) {
        ++crew->started;
    }
    return crew->started >= count;
}

/* For one caller at a time; whoever had it before a fork has it no longer. */
static int take(bg_crew *crew) {
    unsigned now = atomic_load(&generation), found = atomic_load(&crew->taken);
    if (found == now + 1 || !atomic_compare_exchange_strong(&crew->taken, &found, now + 1)) {
        return 0;
    }
    if (crew->generation != now) {
        crew->generation = now;
        crew->started = 0;
    }
    return 1;
}

/* Whether no helper sleeps; those that do are woken. */
static int are_awake(bg_crew *crew, int members) {
    int awake = 0;
    for (int k = 1; k < members; ++k) {
        awake += atomic_load(&crew->members[k].mood) == AWAKE;
        wake(&crew->members[k]);
    }
    return awake == members - 1;
}

static void run_all(bg_crew *crew, int members, bg_crew_part part, void *argument) {
    crew->part = part;
    crew->argument = argument;
    crew->at_work = members;
    for (int k = 0; k < members; ++k) {
        atomic_store_explicit(&crew->members[k].arrivals, 0, memory_order_relaxed);
    }
    for (int k = 1; k < members; ++k) {
        atomic_fetch_add(&crew->members[k].called, 1);
        wake(&crew->members[k]);
    }
    part(argument, 0);
    for (int k = 1; k < members; ++k) {
        bg_member *helper = &crew->members[k];
        unsigned turns = 0, called = atomic_load_explicit(&helper->called, memory_order_relaxed);
        while (atomic_load_explicit(&helper->finished, memory_order_acquire) != called) {
            relax(&turns);
        }
    }
}

static void give(bg_crew *crew) {
    crew->last_ns = now_ns();
    atomic_store(&crew->taken, 0);
}

static int run_together(bg_crew *crew, int members, int is_long, bg_crew_part part, void *argument) {
    if (!take(crew)) {
        return 0;
    }
    int waits = is_long || crew->is_patient, is_close = waits || now_ns() - crew->last_ns < SPIN_NS;
    int ready = is_close && start_helpers(crew, members - 1) && (are_awake(crew, members) || waits);
    if (ready) {
        run_all(crew, members, part, argument);
    }
    give(crew);
    return ready;
}

void bg_crew_run(bg_crew *crew, int *members, int is_long, bg_crew_part part, void *argument) {
    if (*members > 1 && run_together(crew, *members, is_long, part, argument)) {
        return;
    }
    int is_noted = *members > 1;
    *members = 1;
    part(argument, 0);
    if (is_noted && take(crew)) {
        give(crew);
    }
}

uint32_t bg_crew_arrive(bg_crew *crew, int member) {
    atomic_uint *arrivals = &crew->members[member].arrivals;
    unsigned count = atomic_load_explicit(arrivals, memory_order_relaxed) + 1;
    atomic_store_explicit(arrivals, count, memory_order_release);
    return count;
}

void bg_crew_await(bg_crew *crew, uint32_t arrivals) {
    for (int k = 0; k < crew->at_work; ++k) {
        unsigned turns = 0;
        while (atomic_load_explicit(&crew->members[k].arrivals, memory_order_acquire) < arrivals) {
            relax(&turns);
        }
    }
}

bg_crew *bg_crew_new(int threads, int32_t units, int is_patient) {
    void *memory;
    if (pthread_once(&watch_forks_once, watch_forks) != 0 || posix_memalign(&memory, LINE, sizeof(bg_crew)) != 0) {
        return NULL;
    }
    bg_crew *crew = memset(memory, 0, sizeof(bg_crew));
    crew->threads = threads;
    crew->units = units;
    crew->is_patient = is_patient;
    crew->generation = atomic_load(&generation);
    return crew;
}

void bg_crew_free(bg_crew *crew) {
    /* In a forked child there is nobody to wait for, and locks may be as somebody left them. */
    int helpers = crew == NULL || crew->generation != atomic_load(&generation) ? 0 : crew->started;
    if (helpers > 0) {
        atomic_store(&crew->is_over, 1);
    }
    for (int k = 1; k <= helpers; ++k) {
        atomic_fetch_add(&crew->members[k].called, 1);
        wake(&crew->members[k]);
        pthread_join(crew->members[k].thread, NULL);
        pthread_cond_destroy(&crew->members[k].wake);
        pthread_mutex_destroy(&crew->members[k].lock);
    }
    free(crew);
}

int bg_crew_members(const bg_crew *crew, int32_t units) {
    int32_t members = crew == NULL ? 1 : units / crew->units;
    return crew == NULL || members < 1 ? 1 : members < crew->threads ? (int)members : crew->threads;
}

#else

bg_crew *bg_crew_new(int threads, int32_t units, int is_patient) {
    (void)threads;
    (void)units;
    (void)is_patient;
    return NULL;
}

void bg_crew_free(bg_crew *crew) { (void)crew; }

int bg_crew_members(const bg_crew *crew, int32_t units) {
    (void)crew;
    (void)units;
    return 1;
}

void bg_crew_run(bg_crew *crew, int *members, int is_long, bg_crew_part part, void *argument) {
    (void)crew;
    (void)is_long;
    *members = 1;
    part(argument, 0);
}

uint32_t bg_crew_arrive(bg_crew *crew, int member) {
    (void)crew;
    (void)member;
    return 0;
}

void bg_crew_await(bg_crew *crew, uint32_t arrivals) {
    (void)crew;
    (void)arrivals;
}

#endif

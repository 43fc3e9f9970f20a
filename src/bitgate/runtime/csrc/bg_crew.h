/* Threads that wait to take a part of a layer each: the caller is member 0, the others are its helpers. */
#ifndef BG_CREW_H
#define BG_CREW_H

#include <stdint.h>

enum {
    BG_CREW_MOST = 16,   /* members */
    BG_CREW_UNITS = 256  /* units that are worth a thread: with fewer the waiting costs more than it saves */
};

typedef struct bg_crew bg_crew;

typedef void (*bg_crew_part)(void *argument, int member);

/* Up to threads members, 1 to BG_CREW_MOST; the helpers start when they are first needed. Each is to have at least
 * units units. One that is patient waits for a helper that sleeps even where the caller would be done sooner alone.
 * NULL without memory, or where the system has no threads. The caller frees it. */
bg_crew *bg_crew_new(int threads, int32_t units, int is_patient);
/* Ends the helpers. Nobody may be at work. */
void bg_crew_free(bg_crew *crew);

/* How many members a layer of so many units is worth; 1 where crew is NULL. */
int bg_crew_members(const bg_crew *crew, int32_t units);

/* part(argument, k) of every k < *members at the same time; returns when all are done. If the helpers cannot be had,
 * *members is made 1 and the caller does it alone: where another thread has them, where they cannot be started, and,
 * unless the work is long, where they sleep. Those are woken for the next time if calls follow each other closely.
 * crew may be NULL for one member. Reentrant: any threads may call it with one crew. */
void bg_crew_run(bg_crew *crew, int *members, int is_long, bg_crew_part part, void *argument);

/* Inside of a part: says that this member has come so far; returns how often it has said so. */
uint32_t bg_crew_arrive(bg_crew *crew, int member);
/* Waits until all members have said so as often. What they wrote before is visible then. */
void bg_crew_await(bg_crew *crew, uint32_t arrivals);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers the crash states of one point: choice 0 keeps nothing that is not safe, 1 everything,
 * then follow all subsets of whole writes with every prefix of changes where there are few enough,
 * then states drawn at random with a leaning towards what storage formats get wrong. A number, the
 * seed of the trace and the point always give the same state.
 */
#ifndef CROSSDOCK_TESTS_CRASH_CRASH_CHOICE_H
#define CROSSDOCK_TESTS_CRASH_CRASH_CHOICE_H

#include "tests/crash/crash_disk.h"

#include <stdint.h>

/* Subsets times prefixes that are enumerated; with more, only random ones. */
#define CRASH_WHOLE_MAX 256u

/* What a state is like, for the totals. */
enum crash_class {
    CRASH_CLASS_NOTHING,  /* all at stake is lost */
    CRASH_CLASS_ALL,      /* all is there */
    CRASH_CLASS_PREFIX,   /* writes up to one, which may be torn */
    CRASH_CLASS_SUBSET,   /* whole writes, with gaps */
    CRASH_CLASS_TORN_512, /* parts of writes by 512 B */
    CRASH_CLASS_TORN_4K,  /* parts of writes by 4 KiB */
    CRASH_CLASS_GARBAGE,  /* random bytes in a torn sector */
    CRASH_CLASS_CHANGES,  /* names or sizes lost */
    CRASH_CLASS_COUNT
};

/* Choices that are enumerated at this point: 2 and the subsets, if few enough. */
uint32_t crash_choice_whole(const struct crash_disk *disk);
/* The state with this number. Returns its classes, bit n for class n. */
uint32_t crash_choice_make(const struct crash_disk *disk, uint64_t seed, uint32_t choice,
                           struct crash_plan *ret_plan);
/* "torn by 512 B" */
const char *crash_class_name(enum crash_class class);

#endif

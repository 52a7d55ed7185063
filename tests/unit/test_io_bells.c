/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/io/bells.h: a ring is heard once, by its own bell, and wakes whoever waits.
 */
#include "broker/io/bells.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>

/* Rings add up to one; each bell has its own. */
Test(io_bells, a_ring_is_heard_once_by_its_bell)
{
    struct bells bells;
    cr_assert_eq(bells_open(&bells, 3), 0);
    bells_ring(&bells, 1);
    bells_ring(&bells, 1);
    struct pollfd fd = {.fd = bells_fd(&bells, 1), .events = POLLIN};
    cr_assert_eq(poll(&fd, 1, 0), 1);
    cr_assert_not(bells_take(&bells, 0));
    cr_assert(bells_take(&bells, 1));
    cr_assert_not(bells_take(&bells, 1));
    cr_assert_eq(poll(&fd, 1, 0), 0);
    bells_ring(&bells, 1);
    bells_wait(&bells, 1); /* does not wait */
    cr_assert_not(bells_take(&bells, 1));
    bells_close(&bells);
    bells_close(&bells);
}

static void *ring(void *argument)
{
    bells_ring(argument, 0);
    return NULL;
}

/* A thread that waits is woken by another one. */
Test(io_bells, wakes_who_waits, .timeout = 60)
{
    struct bells bells;
    pthread_t thread;
    cr_assert_eq(bells_open(&bells, 1), 0);
    cr_assert_eq(pthread_create(&thread, NULL, ring, &bells), 0);
    bells_wait(&bells, 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_not(bells_take(&bells, 0));
    bells_close(&bells);
}

/* Without descriptors nothing is left open. */
Test(io_bells, takes_back_what_it_opened_when_there_are_no_more)
{
    struct rlimit limit = {.rlim_cur = 20, .rlim_max = 20};
    struct bells bells;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(bells_open(&bells, BELLS_MAX), -EMFILE);
    cr_assert_eq(bells.count, 0);
    cr_assert_eq(bells_open(&bells, 1), 0);
    bells_close(&bells);
}

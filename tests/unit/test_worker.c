/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/worker.c: what a supervisor asks of several workers, and what it is told.
 */
#include "broker/worker.h"

#include "tests/support/worker_kit.h"

/* Large; one test of this program runs at a time. */
static struct kit kit;

/* A wish to nobody is nothing. */
Test(worker, takes_no_wish_while_it_is_idle)
{
    kit_init(&kit);
    kit_make(&kit, 1);
    kit_wish(&kit, WORKER_WISH_DROP);
    worker_join(&kit.workers[0]);
    kit_serve(&kit);
    kit_wish(&kit, WORKER_WISH_STOP);
    kit_await(&kit, 0, WORKER_ENDED);
    kit_join(&kit);
    kit_end(&kit);
}

/* Several: all come to one catalog, serve on one port, and each keeps its memory until all are
 * over: only WISH_FREE ends a thread. */
Test(worker, several_serve_and_free_together)
{
    char bound[3][SETUP_ADDRESSES_MAX][ENV_ADDRESS_BYTES_MAX];
    struct pages_shard page;
    kit_init(&kit);
    kit_make(&kit, 3);
    kit_serve(&kit);
    for (uint32_t i = 0; i < 3; i++) {
        worker_addresses(&kit.workers[i], bound[i]);
        cr_assert_str_eq(bound[i][0], bound[0][0]);
        cr_assert_eq(worker_percent(&kit.workers[i]), 100);
    }
    kit_wish(&kit, WORKER_WISH_STOP);
    kit_await_all(&kit, WORKER_ENDED);
    sleep_ms(50);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(worker_stage(&kit.workers[i]), WORKER_ENDED);
        cr_assert(worker_is_over(&kit.workers[i]));
        cr_assert_eq(pthread_tryjoin_np(kit.workers[i].thread, NULL), EBUSY);
        worker_page(&kit.workers[i], &page);
        cr_assert_not(page.alive);
        cr_assert_str_eq(page.stage, "ended");
    }
    kit_join(&kit);
    kit_end(&kit);
}

/* One of several that fails leaves the others at work until they are told. */
Test(worker, a_failure_is_of_one_alone_until_the_others_are_told)
{
    kit_init(&kit);
    kit_make(&kit, 2);
    char path[128];
    setup_folder(&kit.setup, 1, path);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fclose(file);
    kit_start(&kit);
    kit_await(&kit, 1, WORKER_FAILED);
    kit_await(&kit, 0, WORKER_JOINING);
    sleep_ms(20);
    cr_assert_eq(worker_stage(&kit.workers[0]), WORKER_JOINING);
    kit_wish(&kit, WORKER_WISH_DROP);
    kit_await(&kit, 0, WORKER_ENDED);
    cr_assert_eq(worker_stage(&kit.workers[0]), WORKER_ENDED);
    cr_assert_eq(worker_stage(&kit.workers[1]), WORKER_FAILED);
    kit_join(&kit);
    kit_end(&kit);
}

/* Silence is counted while turns are due, and only then. */
Test(worker, is_silent_only_while_turns_are_due)
{
    kit_init(&kit);
    kit_make(&kit, 1);
    uint64_t later = kit_now_ns() + 100 * KIT_WAIT_NS;
    cr_assert_eq(worker_silent_ns(&kit.workers[0], later), 0);
    kit_serve(&kit);
    cr_assert_gt(worker_silent_ns(&kit.workers[0], later), KIT_WAIT_NS);
    cr_assert_lt(worker_silent_ns(&kit.workers[0], kit_now_ns()), 5000000000ull);
    kit_wish(&kit, WORKER_WISH_STOP);
    kit_await(&kit, 0, WORKER_ENDED);
    cr_assert_eq(worker_silent_ns(&kit.workers[0], later), 0);
    kit_join(&kit);
    kit_end(&kit);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/life.c: stages in their sequence, and a failure of each step with its reason.
 */
#include "broker/life.h"

#include "tests/support/worker_kit.h"

/* Large; one test of this program runs at a time. */
static struct kit kit;
static char step[WORKER_STEP_BYTES];
static char why[CONFIG_WHY_BYTES];

/* Starts one worker that must fail before it is ready; its status. */
static int fails(void)
{
    kit_start(&kit);
    kit_await(&kit, 0, WORKER_READY);
    cr_assert_eq(worker_stage(&kit.workers[0]), WORKER_FAILED, "%s", kit_text(&kit));
    int status = worker_failure(&kit.workers[0], step, why);
    kit_join(&kit);
    return status;
}

/* Every stage is passed, the port is told, and a second life of the same worker has it again. */
Test(life, serves_and_stops_twice)
{
    char first[SETUP_ADDRESSES_MAX][ENV_ADDRESS_BYTES_MAX];
    char second[SETUP_ADDRESSES_MAX][ENV_ADDRESS_BYTES_MAX];
    kit_init(&kit);
    kit_make(&kit, 1);
    cr_assert_eq(worker_stage(&kit.workers[0]), WORKER_IDLE);
    cr_assert_str_eq(worker_engine(&kit.workers[0]), "");
    kit_serve(&kit);
    worker_addresses(&kit.workers[0], first);
    int port = (int)strtol(strchr(first[0], ':') + 1, NULL, 10);
    cr_assert(connects(port));
    cr_assert_str_neq(worker_engine(&kit.workers[0]), "");
    kit_wish(&kit, WORKER_WISH_STOP);
    kit_await(&kit, 0, WORKER_ENDED);
    cr_assert_eq(worker_stage(&kit.workers[0]), WORKER_ENDED);
    cr_assert_not(connects(port));
    kit_join(&kit);
    cr_assert_eq(worker_stage(&kit.workers[0]), WORKER_IDLE);

    memcpy(kit.setup.addresses, first, sizeof first);
    kit_serve(&kit);
    worker_addresses(&kit.workers[0], second);
    cr_assert_str_eq(second[0], first[0]);
    cr_assert_null(strstr(kit_text(&kit), "log_tail_cut"));
    kit_wish(&kit, WORKER_WISH_STOP);
    kit_await(&kit, 0, WORKER_ENDED);
    kit_join(&kit);
    kit_end(&kit);
}

/* What an end before READY leaves is a folder that opens again. */
Test(life, drops_in_every_stage)
{
    static const enum worker_stage stages[] = {WORKER_OPENING, WORKER_RECOVERING, WORKER_READY,
                                               WORKER_SERVING};
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        kit_init(&kit);
        kit_make(&kit, 1);
        if (stages[i] == WORKER_SERVING)
            kit_serve(&kit);
        else
            kit_start(&kit);
        kit_await(&kit, 0, stages[i]);
        kit_wish(&kit, WORKER_WISH_DROP);
        kit_await(&kit, 0, WORKER_ENDED);
        cr_assert_eq(worker_stage(&kit.workers[0]), WORKER_ENDED);
        kit_join(&kit);
        kit_serve(&kit);
        kit_wish(&kit, WORKER_WISH_STOP);
        kit_await(&kit, 0, WORKER_ENDED);
        kit_join(&kit);
        kit_end(&kit);
    }
}

/* A stop that is asked for early is kept until the worker serves. */
Test(life, stops_when_it_serves)
{
    kit_init(&kit);
    kit_make(&kit, 1);
    kit_start(&kit);
    worker_wish(&kit.workers[0], WORKER_WISH_STOP);
    kit_await(&kit, 0, WORKER_READY);
    worker_listen(&kit.workers[0], kit.setup.addresses);
    kit_await(&kit, 0, WORKER_ENDED);
    cr_assert_eq(worker_stage(&kit.workers[0]), WORKER_ENDED);
    kit_join(&kit);
    kit_end(&kit);
}

/* The CPU is asked for before anything is made. */
Test(life, fails_at_a_cpu_that_is_not_there)
{
    kit_init(&kit);
    kit_set(&kit, "process.cpu", "1023");
    kit_make(&kit, 1);
    cr_assert_eq(fails(), -EINVAL);
    cr_assert_str_eq(step, "cpu");
    cr_assert_not_null(strstr(why, "shard 0 may not run on CPU 1023"), "%s", why);
    kit_end(&kit);
}

/* The second shard runs on the second CPU from there. */
Test(life, runs_each_shard_on_a_cpu_of_its_own)
{
    cpu_set_t mine;
    size_t last = 0;
    cr_assert_eq(sched_getaffinity(0, sizeof mine, &mine), 0);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        last = CPU_ISSET(cpu, &mine) ? cpu : last;
    char number[16];
    snprintf(number, sizeof number, "%zu", last);
    kit_init(&kit);
    kit_set(&kit, "process.cpu", number);
    kit_make(&kit, 2);
    kit_start(&kit);
    kit_await(&kit, 1, WORKER_FAILED);
    cr_assert_eq(worker_failure(&kit.workers[1], step, why), -EINVAL);
    snprintf(number, sizeof number, "CPU %zu", last + 1);
    cr_assert_not_null(strstr(why, number), "%s", why);
    cr_assert_not_null(strstr(why, "shard 1"), "%s", why);
    kit_wish(&kit, WORKER_WISH_DROP);
    kit_await_all(&kit, WORKER_ENDED);
    kit_join(&kit);
    kit_end(&kit);
}

/* A folder that cannot be one is the engine's failure. */
Test(life, fails_at_a_folder_that_is_a_file)
{
    char path[128];
    kit_init(&kit);
    kit_make(&kit, 1);
    snprintf(path, sizeof path, "%s/data", kit.folder);
    cr_assert_eq(rmdir(path), 0);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fclose(file);
    cr_assert_eq(fails(), -ENOTDIR);
    cr_assert_str_eq(step, "engine");
    cr_assert_not_null(strstr(why, path), "%s", why);
    kit_end(&kit);
}

/* Options that contradict the folder are found when the log opens. */
Test(life, fails_at_a_folder_of_another_segment_size)
{
    kit_init(&kit);
    kit_make(&kit, 1);
    kit_serve(&kit);
    kit_wish(&kit, WORKER_WISH_STOP);
    kit_await(&kit, 0, WORKER_ENDED);
    kit_join(&kit);
    kit.setup.shard.log.segment_bytes *= 2;
    cr_assert_eq(fails(), XD_OPTION_INVALID);
    cr_assert_str_eq(step, "open");
    kit_end(&kit);
}

/* More memory than there can be is named with the options to lower. */
Test(life, fails_at_memory_that_is_not_there)
{
    kit_init(&kit);
    kit_make(&kit, 1);
    kit.setup.engine.env.memory_bytes_max = 8 << 20;
    cr_assert_eq(fails(), -ENOMEM);
    cr_assert_str_eq(step, "memory");
    cr_assert_not_null(strstr(why, "lower log.tail_bytes"), "%s", why);
    kit_end(&kit);
}

/* A port in use: the shard is ready and fails when it is told to listen. */
Test(life, fails_at_a_port_in_use)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    for (uint32_t count = 1; count <= 2; count++) {
        /* It would let others in: two brokers on one port would share their clients. */
        int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
        at.sin_port = 0;
        cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
        cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
        cr_assert_eq(listen(fd, 1), 0);
        cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
        kit_init(&kit);
        kit_make(&kit, count);
        kit_start(&kit);
        kit_await_all(&kit, WORKER_READY);
        snprintf(kit.setup.addresses[0], sizeof kit.setup.addresses[0], "127.0.0.1:%d",
                 ntohs(at.sin_port));
        worker_listen(&kit.workers[0], kit.setup.addresses);
        kit_await(&kit, 0, WORKER_SERVING);
        cr_assert_eq(worker_stage(&kit.workers[0]), WORKER_FAILED);
        cr_assert_eq(worker_failure(&kit.workers[0], step, why), -EADDRINUSE);
        cr_assert_str_eq(step, "listen");
        cr_assert_not_null(strstr(why, kit.setup.addresses[0]), "%s", why);
        kit_wish(&kit, WORKER_WISH_DROP);
        kit_await_all(&kit, WORKER_ENDED);
        kit_join(&kit);
        kit_end(&kit);
        close(fd);
    }
}

/* Lines of one of several say whose they are; those of a single one do not. */
Test(life, lines_say_which_shard)
{
    for (uint32_t count = 1; count <= 2; count++) {
        kit_init(&kit);
        kit_make(&kit, count);
        kit_serve(&kit);
        kit_wish(&kit, WORKER_WISH_STATUS);
        cr_assert_eq(strstr(kit_text(&kit), " engine shard=0 name=") != NULL, count > 1);
        cr_assert_eq(strstr(kit_text(&kit), " recovered shard=1 ms=") != NULL, count > 1);
        kit_wish(&kit, WORKER_WISH_STOP);
        kit_await_all(&kit, WORKER_ENDED);
        kit_join(&kit);
        kit_end(&kit);
    }
}

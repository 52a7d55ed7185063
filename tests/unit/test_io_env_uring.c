/* SPDX-License-Identifier: Apache-2.0
 *
 * The io_uring env: the conformance suite on the real kernel, file system and loopback, and what is
 * particular to this env: options, the folder's lock, modes of the ring, unix sockets.
 *
 * Without io_uring every test is skipped with the operator's hint as the notice.
 */
#include "broker/io/env_uring.h"

#include "broker/io/uring_ring.h"
#include "tests/support/conformance_sockets.h"
#include "tests/support/env_conformance.h"
#include "wire/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <criterion/criterion.h>

/* Each test has its own process, so one folder per process is one per test. It lies below the
 * working folder, which is on a real file system where a build is. */
static char folder[64];

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *ftw)
{
    (void)about;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void folder_remove(void)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* May not exist. */
}

static void folder_setup(void)
{
    (void)snprintf(folder, sizeof(folder), "crossdock-data-%d", (int)getpid());
    folder_remove();
}

/* --- the kit ---------------------------------------------------------------------------------- */

static struct env *open_or_skip(const struct env_uring_options *options)
{
    struct env *env = NULL;
    char why[ENV_URING_WHY_BYTES] = "";
    int status = env_uring_open(options, &env, why);
    if (status == -EPERM || status == -ENOSYS || status == -EACCES)
        cr_skip_test("io_uring is not available: %s", why);
    cr_assert_eq(status, 0, "%d: %s", status, why);
    return env;
}

static struct env_uring_options options_make(void)
{
    struct env_uring_options options;
    env_uring_options_init(&options);
    options.folder = folder;
    return options;
}

/* The context is the mode of the ring. Few entries, so that the queue is full now and then. */
static struct env *env_open(void *context, const struct conformance_need *need)
{
    struct env_uring_options options = options_make();
    options.entries = 64;
    options.buffer_count = need->buffer_count;
    options.buffer_bytes = need->buffer_bytes;
    options.connections_max = need->connections_max;
    options.mode_best = *(const uint32_t *)context;
    options.signals = 1ull << (SIGHUP - 1);
    return open_or_skip(&options);
}

static void env_shut(void *context, struct env *env)
{
    (void)context;
    env_uring_close(env);
    folder_remove();
}

static const struct conformance_kit *kit_of(uint32_t mode)
{
    static uint32_t context;
    static const struct conformance_kit kit = {
        .context = &context,
        .address = "127.0.0.1:0",
        .signals = true,
        .env_open = env_open,
        .env_close = env_shut,
        .peer_connect = tcp_connect,
        .peer_send = peer_send,
        .peer_recv = peer_recv,
        .peer_finish = peer_finish,
        .peer_reset = peer_reset,
        .peer_free = peer_free,
        .signal_raise = signal_raise,
    };
    context = mode;
    folder_setup();
    return &kit;
}

#define DEFER_CASE(name)                                                                           \
    Test(io_env_uring, name)                                                                       \
    {                                                                                              \
        conformance_##name(kit_of(URING_MODE_DEFER));                                              \
    }
#define COOP_CASE(name)                                                                            \
    Test(io_env_uring_coop, name)                                                                  \
    {                                                                                              \
        conformance_##name(kit_of(URING_MODE_COOP));                                               \
    }
#define PLAIN_CASE(name)                                                                           \
    Test(io_env_uring_plain, name)                                                                 \
    {                                                                                              \
        conformance_##name(kit_of(URING_MODE_PLAIN));                                              \
    }

ENV_CONFORMANCE_CASES(DEFER_CASE)
ENV_CONFORMANCE_CASES(COOP_CASE)
ENV_CONFORMANCE_CASES(PLAIN_CASE)

/* --- options and folder ----------------------------------------------------------------------- */

/* Every option outside its range is refused by name, before anything is touched. */
Test(io_env_uring, refuses_options_outside_their_ranges, .init = folder_setup)
{
    struct env_uring_options good = options_make();
    struct {
        const char *name;
        struct env_uring_options options;
    } cases[11];
    for (size_t i = 0; i < 11; i++)
        cases[i].options = good;
    cases[0].name = "folder", cases[0].options.folder = "";
    cases[1].name = "entries", cases[1].options.entries = 100;
    cases[2].name = "entries", cases[2].options.entries = 65536;
    cases[3].name = "buffer_count", cases[3].options.buffer_count = 3;
    cases[4].name = "buffer_bytes", cases[4].options.buffer_bytes = 5000;
    cases[5].name = "connections_max", cases[5].options.connections_max = 0;
    cases[6].name = "files_max", cases[6].options.files_max = 5000;
    cases[7].name = "file_ops_max", cases[7].options.file_ops_max = 0;
    cases[8].name = "mode_best", cases[8].options.mode_best = 3;
    cases[9].name = "signals", cases[9].options.signals = 1ull << 40;
    cases[10].name = "buffer_bytes", cases[10].options.buffer_bytes = 2 << 20;
    for (size_t i = 0; i < 11; i++) {
        struct env *env = NULL;
        char why[ENV_URING_WHY_BYTES] = "";
        cr_assert_eq(env_uring_open(&cases[i].options, &env, why), XD_OPTION_INVALID);
        cr_assert_eq(strncmp(why, cases[i].name, strlen(cases[i].name)), 0, "%s", why);
        cr_assert_null(env);
    }
    cr_assert_neq(access(folder, F_OK), 0, "the folder was made all the same");
}

/* The folder is made for its owner only, and one env at a time uses it. */
Test(io_env_uring, locks_its_folder, .init = folder_setup, .fini = folder_remove)
{
    struct env_uring_options options = options_make();
    struct env *first = open_or_skip(&options);
    struct stat about;
    cr_assert_eq(stat(folder, &about), 0);
    cr_assert_eq(about.st_mode & 0777, 0700);

    struct env *second = NULL;
    char why[ENV_URING_WHY_BYTES] = "";
    cr_assert_eq(env_uring_open(&options, &second, why), XD_DATA_LOCKED);
    char expected[32];
    (void)snprintf(expected, sizeof(expected), "process %d ", (int)getpid());
    cr_assert_not_null(strstr(why, expected), "%s", why);

    env_file file;
    char name[ENV_NAME_BYTES_MAX];
    cr_assert_eq(env_file_open(first, "lock", 0, &file), -EINVAL, "the lock can be opened");
    cr_assert_eq(env_file_unlink(first, "lock"), -EINVAL, "the lock can be removed");
    cr_assert_eq(env_dir_entry(first, "", 0, name), -ENOENT, "the lock is listed");
    env_uring_close(first);
    env_uring_close(open_or_skip(&options));
}

/* A folder that cannot be made is reported with its path. */
Test(io_env_uring, reports_a_folder_that_cannot_be_made)
{
    struct env_uring_options options = options_make();
    options.folder = "/proc/crossdock-data";
    struct env *env = NULL;
    char why[ENV_URING_WHY_BYTES] = "";
    cr_assert_lt(env_uring_open(&options, &env, why), 0);
    cr_assert_not_null(strstr(why, "/proc/crossdock-data"), "%s", why);
}

/* A write that is in flight when the env closes is complete afterwards. */
Test(io_env_uring, close_waits_for_writes, .init = folder_setup, .fini = folder_remove)
{
    enum { BYTES = 8 << 20 };
    struct env_uring_options options = options_make();
    struct env *env = open_or_skip(&options);
    env_file file;
    cr_assert_eq(env_file_open(env, "data", ENV_OPEN_CREATE, &file), 0);
    uint8_t *data = env_mem_alloc(env, BYTES);
    memset(data, 0x5a, BYTES);
    env_file_write(env, file, data, BYTES, 0, ENV_WRITE_DSYNC, env_token(ENV_OWNER_TEST, 1, 1));
    env_uring_close(env);

    char path[128];
    (void)snprintf(path, sizeof(path), "%s/data", folder);
    struct stat about;
    cr_assert_eq(stat(path, &about), 0);
    cr_assert_eq(about.st_size, BYTES);
}

/* memory_bytes_max bounds tables, buffers and allocations together. */
Test(io_env_uring, memory_stays_within_its_budget, .init = folder_setup, .fini = folder_remove)
{
    struct env_uring_options options = options_make();
    options.memory_bytes_max = 32ull << 20;
    struct env *env = open_or_skip(&options);
    cr_assert_null(env_mem_alloc(env, 31u << 20), "buffers take 8 MiB of the budget");
    cr_assert_not_null(env_mem_alloc(env, 16u << 20));
    cr_assert_null(env_mem_alloc(env, 16u << 20));
    env_uring_close(env);

    options.memory_bytes_max = 1 << 20;
    char why[ENV_URING_WHY_BYTES] = "";
    cr_assert_eq(env_uring_open(&options, &env, why), -ENOMEM);
}

/* Allocation after the seal is a mistake that ends the process. */
Test(io_env_uring, allocation_after_the_seal_aborts, .init = folder_setup, .signal = SIGABRT)
{
    struct env_uring_options options = options_make();
    struct env *env = open_or_skip(&options);
    cr_assert_not_null(env_mem_alloc(env, 64));
    env_mem_seal(env);
    folder_remove();
    (void)env_mem_alloc(env, 64);
}

/* A buffer that is released twice ends the process. */
Test(io_env_uring, double_release_aborts, .init = folder_setup, .signal = SIGABRT)
{
    struct env_uring_options options = options_make();
    struct env *env = open_or_skip(&options);
    folder_remove();
    env_buffer_release(env, 0);
}

static void alarm_ignore(int number)
{
    (void)number;
}

/* Signals that are not the env's own interrupt the wait and do not end it. */
Test(io_env_uring, foreign_signals_do_not_shorten_the_wait, .init = folder_setup,
     .fini = folder_remove)
{
    struct env_uring_options options = options_make();
    struct env *env = open_or_skip(&options);
    struct sigaction action = {.sa_handler = alarm_ignore};
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    struct itimerval every_5_ms = {.it_interval.tv_usec = 5000, .it_value.tv_usec = 5000};
    cr_assert_eq(setitimer(ITIMER_REAL, &every_5_ms, NULL), 0);
    struct env_event event;
    uint64_t deadline = env_now_mono_ns(env) + 50ull * 1000 * 1000;
    cr_assert_eq(env_wait(env, &event, 1, deadline), 0);
    cr_assert_geq(env_now_mono_ns(env), deadline);
    env_uring_close(env);
}

/* --- unix sockets ----------------------------------------------------------------------------- */

static int unix_connect(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    if (connect(fd, (const void *)&to, sizeof(to)) == 0)
        return fd;
    int status = -errno;
    close(fd);
    return status;
}

/* Waits for one event. */
static struct env_event next_event(struct env *env)
{
    struct env_event event;
    cr_assert_eq(env_wait(env, &event, 1, env_now_mono_ns(env) + 10ull * 1000 * 1000 * 1000), 1);
    return event;
}

/* A unix socket accepts, names its peer by process, replaces a leftover file, refuses a file that
 * is in use or no socket, and goes away at close. */
Test(io_env_uring, listens_on_unix_sockets, .init = folder_setup, .fini = folder_remove)
{
    struct env_uring_options options = options_make();
    struct env *env = open_or_skip(&options);
    char path[80];
    char address[ENV_ADDRESS_BYTES_MAX];
    char bound[ENV_ADDRESS_BYTES_MAX];
    (void)snprintf(path, sizeof(path), "/tmp/crossdock-test-%d.sock", (int)getpid());
    (void)snprintf(address, sizeof(address), "unix:%s", path);

    /* A leftover: bound, never listening. */
    struct sockaddr_un left = {.sun_family = AF_UNIX};
    (void)snprintf(left.sun_path, sizeof(left.sun_path), "%s", path);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(stale, (const void *)&left, sizeof(left)), 0);
    close(stale);

    env_listener listener;
    cr_assert_eq(env_net_listen(env, address, &listener, bound), 0);
    cr_assert_str_eq(bound, address);
    env_net_accept(env, listener, env_token(ENV_OWNER_TEST, 1, 0));
    env_listener other;
    cr_assert_eq(env_net_listen(env, address, &other, bound), -EADDRINUSE);
    /* The question whether somebody listens was a connection too. */
    struct env_event event = next_event(env);
    cr_assert_geq(event.result, 0);
    int peer = unix_connect(path);
    cr_assert_geq(peer, 0);
    event = next_event(env);
    cr_assert_geq(event.result, 0);
    char expected[64];
    (void)snprintf(expected, sizeof(expected), "unix:pid=%d,uid=%u", (int)getpid(), getuid());
    env_net_peer(env, event.result, bound);
    cr_assert_str_eq(bound, expected);
    close(peer);
    env_uring_close(env);
    cr_assert_neq(access(path, F_OK), 0, "the socket file is left behind");

    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    env = open_or_skip(&options);
    cr_assert_eq(env_net_listen(env, address, &listener, bound), -EADDRINUSE);
    env_uring_close(env);
    cr_assert_eq(unlink(path), 0, "a file of somebody else was removed");
}

/* IPv6 loopback, where the machine has it. */
Test(io_env_uring, listens_on_ipv6, .init = folder_setup, .fini = folder_remove)
{
    struct env_uring_options options = options_make();
    struct env *env = open_or_skip(&options);
    env_listener listener;
    char bound[ENV_ADDRESS_BYTES_MAX];
    int status = env_net_listen(env, "[::1]:0", &listener, bound);
    if (status == -EAFNOSUPPORT || status == -EADDRNOTAVAIL)
        cr_skip_test("no IPv6 here");
    cr_assert_eq(status, 0);
    cr_assert_eq(strncmp(bound, "[::1]:", 6), 0);
    cr_assert_str_neq(bound, "[::1]:0");
    env_uring_close(env);
}

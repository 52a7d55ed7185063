/* SPDX-License-Identifier: Apache-2.0
 *
 * The production engines: what both have in common (folder, lock, memory, closing, unix sockets),
 * and which of them it is when io_uring is refused.
 *
 * Where there is no io_uring its cases are skipped with the operator's hint as the notice.
 */
#include "broker/io/engine.h"

#include "tests/support/data_folder.h"
#include "tests/support/forbid.h"
#include "wire/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <criterion/criterion.h>

static struct engine_options options_make(enum engine_choice choice)
{
    struct engine_options options;
    engine_options_init(&options);
    options.choice = choice;
    options.env.folder = folder;
    return options;
}

static struct engine open_or_skip(const struct engine_options *options)
{
    struct engine engine = {0};
    char why[ENGINE_WHY_BYTES] = "";
    int status = engine_open(options, &engine, why);
    if (options->choice == ENGINE_IO_URING &&
        (status == -EPERM || status == -ENOSYS || status == -EACCES))
        cr_skip_test("io_uring is not available: %s", why);
    cr_assert_eq(status, 0, "%d: %s", status, why);
    return engine;
}

/* --- folder, memory, closing ------------------------------------------------------------------ */

/* The folder is made for its owner only, and one env at a time uses it. */
static void locks_its_folder(enum engine_choice choice)
{
    struct engine_options options = options_make(choice);
    struct engine first = open_or_skip(&options);
    struct stat about;
    cr_assert_eq(stat(folder, &about), 0);
    cr_assert_eq(about.st_mode & 0777, 0700);

    struct engine second = {0};
    char why[ENGINE_WHY_BYTES] = "";
    cr_assert_eq(engine_open(&options, &second, why), XD_DATA_LOCKED);
    cr_assert_null(second.env);
    char expected[32];
    (void)snprintf(expected, sizeof(expected), "process %d ", (int)getpid());
    cr_assert_not_null(strstr(why, expected), "%s", why);

    env_file file;
    char name[ENV_NAME_BYTES_MAX];
    cr_assert_eq(env_file_open(first.env, "lock", 0, &file), -EINVAL, "the lock can be opened");
    cr_assert_eq(env_file_unlink(first.env, "lock"), -EINVAL, "the lock can be removed");
    cr_assert_eq(env_dir_entry(first.env, "", 0, name), -ENOENT, "the lock is listed");
    engine_close(&first);
    first = open_or_skip(&options);
    engine_close(&first);
}

/* A folder that cannot be made is reported with its path. */
static void reports_a_folder_that_cannot_be_made(enum engine_choice choice)
{
    struct engine_options options = options_make(choice);
    options.env.folder = "/proc/crossdock-data";
    struct engine engine = {0};
    char why[ENGINE_WHY_BYTES] = "";
    cr_assert_lt(engine_open(&options, &engine, why), 0);
    cr_assert_not_null(strstr(why, "/proc/crossdock-data"), "%s", why);
}

/* Writes that were started when the env closes are complete afterwards, handed over or not. */
static void close_waits_for_writes(enum engine_choice choice)
{
    enum { BYTES = 8 << 20, PIECE = 256 << 10 };
    struct engine_options options = options_make(choice);
    struct engine engine = open_or_skip(&options);
    env_file file;
    cr_assert_eq(env_file_open(engine.env, "data", ENV_OPEN_CREATE, &file), 0);
    uint8_t *data = env_mem_alloc(engine.env, BYTES);
    memset(data, 0x5a, BYTES);
    for (uint32_t at = 0; at < BYTES; at += PIECE)
        env_file_write(engine.env, file, data + at, PIECE, at, ENV_WRITE_DSYNC,
                       env_token(ENV_OWNER_TEST, 1, at));
    engine_close(&engine);

    char path[128];
    (void)snprintf(path, sizeof(path), "%s/data", folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    static uint8_t found[BYTES + 1];
    cr_assert_eq(read(fd, found, sizeof(found)), BYTES);
    for (uint32_t at = 0; at < BYTES; at += PIECE)
        cr_assert_eq(found[at], 0x5a, "the piece at %u is missing", at);
    close(fd);
}

/* memory_bytes_max bounds tables, buffers and allocations together. */
static void memory_stays_within_its_budget(enum engine_choice choice)
{
    struct engine_options options = options_make(choice);
    options.env.memory_bytes_max = 32ull << 20;
    struct engine engine = open_or_skip(&options);
    cr_assert_null(env_mem_alloc(engine.env, 31u << 20), "buffers take 8 MiB of the budget");
    cr_assert_not_null(env_mem_alloc(engine.env, 16u << 20));
    cr_assert_null(env_mem_alloc(engine.env, 16u << 20));
    engine_close(&engine);

    options.env.memory_bytes_max = 1 << 20;
    char why[ENGINE_WHY_BYTES] = "";
    cr_assert_eq(engine_open(&options, &engine, why), -ENOMEM);
}

static void alarm_ignore(int number)
{
    (void)number;
}

/* Signals that are not the env's own interrupt the wait and do not end it. */
static void foreign_signals_do_not_shorten_the_wait(enum engine_choice choice)
{
    struct engine_options options = options_make(choice);
    struct engine engine = open_or_skip(&options);
    struct sigaction action = {.sa_handler = alarm_ignore};
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    struct itimerval every_5_ms = {.it_interval.tv_usec = 5000, .it_value.tv_usec = 5000};
    cr_assert_eq(setitimer(ITIMER_REAL, &every_5_ms, NULL), 0);
    struct env_event event;
    uint64_t deadline = env_now_mono_ns(engine.env) + 50ull * 1000 * 1000;
    cr_assert_eq(env_wait(engine.env, &event, 1, deadline), 0);
    cr_assert_geq(env_now_mono_ns(engine.env), deadline);
    engine_close(&engine);
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
static void listens_on_unix_sockets(enum engine_choice choice)
{
    struct engine_options options = options_make(choice);
    struct engine engine = open_or_skip(&options);
    struct env *env = engine.env;
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
    engine_close(&engine);
    cr_assert_neq(access(path, F_OK), 0, "the socket file is left behind");

    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    engine = open_or_skip(&options);
    env = engine.env;
    cr_assert_eq(env_net_listen(env, address, &listener, bound), -EADDRINUSE);
    engine_close(&engine);
    cr_assert_eq(unlink(path), 0, "a file of somebody else was removed");
}

/* IPv6 loopback, where the machine has it. */
static void listens_on_ipv6(enum engine_choice choice)
{
    struct engine_options options = options_make(choice);
    struct engine engine = open_or_skip(&options);
    struct env *env = engine.env;
    env_listener listener;
    char bound[ENV_ADDRESS_BYTES_MAX];
    int status = env_net_listen(env, "[::1]:0", &listener, bound);
    if (status == -EAFNOSUPPORT || status == -EADDRNOTAVAIL)
        cr_skip_test("no IPv6 here");
    cr_assert_eq(status, 0);
    cr_assert_eq(strncmp(bound, "[::1]:", 6), 0);
    cr_assert_str_neq(bound, "[::1]:0");
    engine_close(&engine);
}

#define ENGINE_CASES(CASE)                                                                         \
    CASE(locks_its_folder)                                                                         \
    CASE(reports_a_folder_that_cannot_be_made)                                                     \
    CASE(close_waits_for_writes)                                                                   \
    CASE(memory_stays_within_its_budget)                                                           \
    CASE(foreign_signals_do_not_shorten_the_wait)                                                  \
    CASE(listens_on_unix_sockets)                                                                  \
    CASE(listens_on_ipv6)
#define URING_CASE(name)                                                                           \
    Test(io_engine_uring, name, .init = folder_setup, .fini = folder_remove)                       \
    {                                                                                              \
        name(ENGINE_IO_URING);                                                                     \
    }
#define EPOLL_CASE(name)                                                                           \
    Test(io_engine_epoll, name, .init = folder_setup, .fini = folder_remove)                       \
    {                                                                                              \
        name(ENGINE_EPOLL);                                                                        \
    }

ENGINE_CASES(URING_CASE)
ENGINE_CASES(EPOLL_CASE)

/* --- mistakes of the caller ------------------------------------------------------------------- */

static void allocate_after_the_seal(enum engine_choice choice)
{
    struct engine_options options = options_make(choice);
    struct engine engine = open_or_skip(&options);
    cr_assert_not_null(env_mem_alloc(engine.env, 64));
    env_mem_seal(engine.env);
    folder_remove();
    (void)env_mem_alloc(engine.env, 64);
}

static void release_what_is_not_lent(enum engine_choice choice)
{
    struct engine_options options = options_make(choice);
    struct engine engine = open_or_skip(&options);
    folder_remove();
    env_buffer_release(engine.env, 0);
}

/* Allocation after the seal is a mistake that ends the process. */
Test(io_engine_uring, allocation_after_the_seal_aborts, .init = folder_setup, .signal = SIGABRT)
{
    allocate_after_the_seal(ENGINE_IO_URING);
}
Test(io_engine_epoll, allocation_after_the_seal_aborts, .init = folder_setup, .signal = SIGABRT)
{
    allocate_after_the_seal(ENGINE_EPOLL);
}

/* A buffer that is released and was not lent ends the process. */
Test(io_engine_uring, release_of_what_is_not_lent_aborts, .init = folder_setup, .signal = SIGABRT)
{
    release_what_is_not_lent(ENGINE_IO_URING);
}
Test(io_engine_epoll, release_of_what_is_not_lent_aborts, .init = folder_setup, .signal = SIGABRT)
{
    release_what_is_not_lent(ENGINE_EPOLL);
}

/* --- the choice ------------------------------------------------------------------------------- */

/* From here on this process's calls of that number end with the error. */
static void forbid_call_of(long number, int error)
{
    const struct forbid_call call = {number, error};
    if (forbid_calls(&call, 1) != 0)
        cr_skip_test("seccomp: %s", strerror(errno));
}

/* From here on this process gets no ring. */
static void forbid_uring(int error)
{
    forbid_call_of(SYS_io_uring_setup, error);
}

/* Each error that means "no ring here" leads to epoll, and the reason names the step, the error and
 * the remedy. Without io_uring nothing comes to the steps behind the set-up. */
static void refused_at(long number, int error, const char *step, const char *remedy)
{
    struct engine_options options = options_make(ENGINE_IO_URING);
    if (number != SYS_io_uring_setup) {
        struct engine uring = open_or_skip(&options);
        engine_close(&uring);
    }
    options.choice = ENGINE_AUTO;
    forbid_call_of(number, error);
    struct engine engine = open_or_skip(&options);
    cr_assert_eq(engine.which, ENGINE_EPOLL);
    cr_assert_str_eq(engine.env->engine, "epoll");
    cr_assert_not_null(strstr(engine.env->engine_reason, step), "%s", engine.env->engine_reason);
    cr_assert_not_null(strstr(engine.env->engine_reason, remedy), "%s", engine.env->engine_reason);
    engine_close(&engine);
    cr_assert_null(engine.env);
}

static void refused_with(int error, const char *name, const char *remedy)
{
    char step[64];
    (void)snprintf(step, sizeof(step), "no io_uring: ring set-up: %s; ", name);
    refused_at(SYS_io_uring_setup, error, step, remedy);
}

Test(io_engine, epoll_serves_when_a_profile_refuses, .init = folder_setup, .fini = folder_remove)
{
    refused_with(EPERM, "EPERM", "seccomp");
}
Test(io_engine, epoll_serves_when_a_policy_refuses, .init = folder_setup, .fini = folder_remove)
{
    refused_with(EACCES, "EACCES", "seccomp");
}
Test(io_engine, epoll_serves_when_there_is_no_io_uring, .init = folder_setup, .fini = folder_remove)
{
    refused_with(ENOSYS, "ENOSYS", "Linux 6.0 or newer");
}
Test(io_engine, epoll_serves_when_the_kernel_is_too_old, .init = folder_setup,
     .fini = folder_remove)
{
    refused_with(EINVAL, "EINVAL", "too old");
}
Test(io_engine, epoll_serves_without_locked_memory, .init = folder_setup, .fini = folder_remove)
{
    refused_with(ENOMEM, "ENOMEM", "LimitMEMLOCK");
}
Test(io_engine, epoll_serves_when_rings_take_too_much, .init = folder_setup, .fini = folder_remove)
{
    refused_with(EMFILE, "EMFILE", "LimitNOFILE");
}

Test(io_engine, epoll_serves_when_the_machine_has_no_descriptors, .init = folder_setup,
     .fini = folder_remove)
{
    refused_with(ENFILE, "ENFILE", "fs.file-max");
}

/* A profile that knows only some of the three calls is a refusal too, and none that shows itself
 * when connections are served already. */
Test(io_engine, epoll_serves_when_a_profile_forgets_register, .init = folder_setup,
     .fini = folder_remove)
{
    refused_at(SYS_io_uring_register, EPERM, "no io_uring: ring opcodes: EPERM; ",
               "io_uring_register");
}
Test(io_engine, epoll_serves_when_a_profile_forgets_enter, .init = folder_setup,
     .fini = folder_remove)
{
    refused_at(SYS_io_uring_enter, ENOSYS, "no io_uring: ring entry: ENOSYS; ", "io_uring_enter");
}

/* Any other error is no refusal: it ends the start. */
Test(io_engine, other_errors_end_the_start, .init = folder_setup, .fini = folder_remove)
{
    struct engine_options options = options_make(ENGINE_AUTO);
    struct engine engine = {0};
    char why[ENGINE_WHY_BYTES] = "";
    forbid_uring(EIO);
    cr_assert_eq(engine_open(&options, &engine, why), -EIO);
    cr_assert_null(engine.env);
}

/* io_uring that was asked for by name is not replaced. */
Test(io_engine, io_uring_by_name_is_not_replaced, .init = folder_setup, .fini = folder_remove)
{
    struct engine_options options = options_make(ENGINE_IO_URING);
    struct engine engine = {0};
    char why[ENGINE_WHY_BYTES] = "";
    forbid_uring(EPERM);
    cr_assert_eq(engine_open(&options, &engine, why), -EPERM);
    cr_assert_not_null(strstr(why, "seccomp"), "%s", why);
    cr_assert_null(engine.env);
    options.choice = ENGINE_AUTO; /* What failed holds no lock. */
    engine = open_or_skip(&options);
    engine_close(&engine);
}

/* A folder that cannot be used is no refusal: it is told as it is, and no other engine is tried. */
Test(io_engine, a_folder_that_cannot_be_used_is_no_refusal, .init = folder_setup)
{
    struct engine_options options = options_make(ENGINE_AUTO);
    struct engine engine = {0};
    char why[ENGINE_WHY_BYTES] = "";
    options.env.folder = "/proc/crossdock-data";
    cr_assert_lt(engine_open(&options, &engine, why), 0);
    cr_assert_not_null(strstr(why, "/proc/crossdock-data"), "%s", why);
}

/* Too little memory for buffers is no refusal either, although it is the same error. */
Test(io_engine, memory_that_is_missing_is_no_refusal, .init = folder_setup, .fini = folder_remove)
{
    struct engine_options options = options_make(ENGINE_AUTO);
    struct engine engine = {0};
    char why[ENGINE_WHY_BYTES] = "";
    options.env.memory_bytes_max = 1 << 20;
    cr_assert_eq(engine_open(&options, &engine, why), -ENOMEM);
    cr_assert_not_null(strstr(why, "net.connections_max"), "%s", why);
}

/* The io_uring env says whether it was the ring that could not be had, or something before it. */
Test(io_engine, a_refusal_is_told_from_other_errors, .init = folder_setup, .fini = folder_remove)
{
    struct engine_options options = options_make(ENGINE_IO_URING);
    struct env *env = NULL;
    char why[ENGINE_WHY_BYTES] = "";
    bool refused = false;
    options.env.ret_refused = &refused;
    forbid_uring(ENOMEM);
    cr_assert_eq(env_uring_open(&options.env, &env, why), -ENOMEM);
    cr_assert(refused);
    refused = false;
    options.env.memory_bytes_max = 1 << 20;
    cr_assert_eq(env_uring_open(&options.env, &env, why), -ENOMEM);
    cr_assert_not(refused, "%s", why);
}

/* Where io_uring can be had, auto takes it; epoll by name is taken all the same. */
Test(io_engine, io_uring_is_preferred, .init = folder_setup, .fini = folder_remove)
{
    struct engine_options options = options_make(ENGINE_IO_URING);
    struct engine engine = open_or_skip(&options);
    engine_close(&engine);
    options.choice = ENGINE_AUTO;
    engine = open_or_skip(&options);
    cr_assert_eq(engine.which, ENGINE_IO_URING);
    cr_assert_str_eq(engine.env->engine, "io_uring");
    engine_close(&engine);
    options.choice = ENGINE_EPOLL;
    engine = open_or_skip(&options);
    cr_assert_str_eq(engine.env->engine, "epoll");
    cr_assert_str_eq(engine.env->engine_reason, "asked for; file threads: 2");
    engine_close(&engine);
    engine_close(&engine); /* Accepts a closed one. */
}

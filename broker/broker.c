/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of the process; see broker.h.
 *
 * Signals are blocked and taken between turns and between steps of recovery. They do not go through
 * the env: whatever waits for the disk during recovery drops events that are not its own, and a
 * signal to stop must not be lost there.
 */
#include "broker/broker.h"

#include "broker/io/engine.h"
#include "broker/lines.h"
#include "broker/notify.h"
#include "broker/setup.h"
#include "broker/shard/shard.h"
#include "broker/version.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <inttypes.h>
#include <sanitizer/asan_interface.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MS_NS UINT64_C(1000000)
/* Signals are looked for this often under load, and at least this often when idle. */
#define SIGNALS_LOOK_NS (20 * MS_NS)
#define TURN_WAIT_NS (100 * MS_NS)
/* Progress of recovery is told this often. */
#define PROGRESS_NS (1000 * MS_NS)
/* Between two lives. */
#define REOPEN_PAUSE_NS (1000 * MS_NS)
#define REOPEN_LOOK_NS (20 * 1000000l)
#define SIGNALS_PER_LOOK 16u
#define LINE_BYTES 1200u

struct broker {
    const struct config *config;          /* as started */
    const struct config_sources *sources; /* for HUP */
    struct lines lines;
    struct notify notify;
    sigset_t signals;                         /* blocked and ours */
    uint64_t watchdog_ns;                     /* interval, 0 = none */
    uint64_t watchdog_due_ns;                 /* next one */
    uint64_t look_due_ns;                     /* next look for signals */
    bool stop;                                /* asked for */
    uint64_t reopened_ns[BROKER_REOPENS_MAX]; /* newest reopenings, a ring */
    uint32_t reopen_count;                    /* in all */

    struct engine engine; /* of this life, zeroed = not open */
    struct env *env;      /* the engine's, NULL = not open */
    struct shard *shard;  /* NULL = not open */
    void *memory;         /* of the shard, the env's */
    uint64_t memory_bytes;
    bool recovered;       /* the shard may have writes on their way */
    struct setup setup;   /* of `config` */
    struct setup checked; /* of HUP */
    struct config reread; /* of HUP */
    char why[CONFIG_WHY_BYTES];
    char json[XD_ADMIN_REPLY_BYTES_MAX];
};

static uint64_t now_ns(void)
{
    struct timespec time;
    int status = clock_gettime(CLOCK_MONOTONIC, &time);
    XD_ASSERT(status == 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- reports --------------------------------------------------------------------------------- */

static void say(struct broker *broker, enum lines_level level, const char *event, const char *text)
{
    lines_write(&broker->lines, level, event, text);
}

/* An event with one quoted value. */
static void say_value(struct broker *broker, enum lines_level level, const char *event,
                      const char *key, const char *value)
{
    char quoted[LINE_BYTES], text[LINE_BYTES + 64];
    snprintf(text, sizeof text, "%.32s=%s", key, lines_quote(value, quoted, sizeof quoted));
    say(broker, level, event, text);
}

/* A start that failed: step, status and broker->why. */
static int say_failed(struct broker *broker, const char *step, int status)
{
    char quoted[LINE_BYTES], text[LINE_BYTES + 128];
    snprintf(text, sizeof text, "step=%.32s error=%s why=%s", step, xd_status_name(status),
             lines_quote(broker->why, quoted, sizeof quoted));
    say(broker, LINES_ERROR, "start_failed", text);
    return status;
}

static void say_shard_lines(struct broker *broker)
{
    struct shard_line line;
    while (shard_line_next(broker->shard, &line))
        say(broker, line.warning ? LINES_WARNING : LINES_INFO, line.event, line.text);
}

static void pet_watchdog(struct broker *broker, uint64_t now)
{
    if (broker->watchdog_ns == 0 || now < broker->watchdog_due_ns)
        return;
    notify_send(&broker->notify, "WATCHDOG=1");
    broker->watchdog_due_ns = now + broker->watchdog_ns;
}

static const char *data_default(void)
{
    return setup_data_default(getenv("STATE_DIRECTORY"), geteuid() == 0);
}

/* ---- signals --------------------------------------------------------------------------------- */

/* Names of the options that the new configuration changes, by commas. */
static uint32_t changed_options(const struct broker *broker, char *text, uint32_t bytes)
{
    uint32_t count = 0, used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (config_same(broker->config, &broker->reread, (enum config_option)i))
            continue;
        int written =
            snprintf(text + used, bytes - used, "%s%s", count > 0 ? "," : "", config_row(i)->name);
        XD_ASSERT(written > 0 && (uint32_t)written < bytes - used);
        used += (uint32_t)written;
        count++;
    }
    return count;
}

static void check_again(struct broker *broker)
{
    char names[OPTION_COUNT * 48], text[sizeof names + 64];
    int status = config_load(&broker->reread, broker->sources, broker->why);
    if (status == 0)
        status = setup_make(&broker->reread, data_default(), &broker->checked, broker->why);
    if (status < 0) {
        say_value(broker, LINES_WARNING, "configuration_refused", "why", broker->why);
        return;
    }
    uint32_t count = changed_options(broker, names, sizeof names);
    if (count == 0)
        snprintf(text, sizeof text, "changed=0");
    else
        snprintf(text, sizeof text, "changed=%u options=%s next=restart", count, names);
    say(broker, LINES_INFO, "configuration_checked", text);
}

/* A dump for a person at the terminal; a stream that cannot be written to is no failure. */
static void print_status(struct broker *broker)
{
    uint32_t bytes = shard_status_json(broker->shard, broker->json, sizeof broker->json);
    (void)fprintf(broker->lines.out, "%.*s\n", (int)bytes, broker->json);
    (void)fflush(broker->lines.out);
}

static void take_signal(struct broker *broker, int number)
{
    switch (number) {
    case SIGTERM:
    case SIGINT:
        if (!broker->stop)
            say(broker, LINES_INFO, "stopping", number == SIGTERM ? "signal=TERM" : "signal=INT");
        broker->stop = true;
        break;
    case SIGHUP:
        check_again(broker);
        break;
    default:
        XD_ASSERT(number == SIGUSR1);
        print_status(broker);
    }
}

/* While recovery runs only signals to stop are taken: the others need a shard that is ready. */
static void look_for_signals(struct broker *broker, const sigset_t *wanted)
{
    const struct timespec at_once = {0};
    for (uint32_t i = 0; i < SIGNALS_PER_LOOK; i++) {
        int number = sigtimedwait(wanted, NULL, &at_once);
        if (number < 0)
            return; /* EAGAIN: none; EINTR: a debugger */
        take_signal(broker, number);
    }
}

static void block_signals(struct broker *broker)
{
    sigemptyset(&broker->signals);
    sigaddset(&broker->signals, SIGTERM);
    sigaddset(&broker->signals, SIGINT);
    sigaddset(&broker->signals, SIGHUP);
    sigaddset(&broker->signals, SIGUSR1);
    int status = sigprocmask(SIG_BLOCK, &broker->signals, NULL);
    XD_ASSERT(status == 0);
}

/* ---- open ------------------------------------------------------------------------------------ */

static int bind_cpu(struct broker *broker)
{
    cpu_set_t cpus;
    if (broker->setup.cpu < 0)
        return 0;
    CPU_ZERO(&cpus);
    CPU_SET((size_t)broker->setup.cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) == 0)
        return 0;
    int error = errno;
    snprintf(broker->why, sizeof broker->why,
             "process.cpu = %d: %s; the process may not run there, see AllowedCPUs and taskset",
             broker->setup.cpu, xd_status_text(-error));
    return -error;
}

static int lock_memory(struct broker *broker)
{
    if (!broker->setup.memory_lock || mlockall(MCL_CURRENT) == 0)
        return 0;
    int error = errno;
    snprintf(broker->why, sizeof broker->why, "process.mlock = yes: %s; raise LimitMEMLOCK",
             xd_status_text(-error));
    return -error;
}

static int open_env(struct broker *broker)
{
    char quoted[LINE_BYTES], text[LINE_BYTES + 64];
    static_assert(ENGINE_WHY_BYTES <= CONFIG_WHY_BYTES, "its explanation fits");
    int status = engine_open(&broker->setup.engine, &broker->engine, broker->why);
    if (status < 0)
        return say_failed(broker, "engine", status);
    broker->env = broker->engine.env;
    snprintf(text, sizeof text, "name=%s why=%s", broker->env->engine,
             lines_quote(broker->env->engine_reason, quoted, sizeof quoted));
    say(broker, LINES_INFO, "engine", text);
    return 0;
}

static int open_shard(struct broker *broker)
{
    char text[64];
    uint64_t bytes = shard_bytes_needed(&broker->setup.shard);
    void *memory = env_mem_alloc(broker->env, bytes);
    if (memory == NULL) {
        snprintf(broker->why, sizeof broker->why,
                 "%" PRIu64 " bytes cannot be had; lower log.tail_bytes, log.index_bytes or "
                 "net.out_chunk_count, or raise the memory limit",
                 bytes);
        return say_failed(broker, "memory", -ENOMEM);
    }
    broker->memory = memory;
    broker->memory_bytes = bytes;
    env_mem_seal(broker->env);
    snprintf(text, sizeof text, "bytes=%" PRIu64, bytes);
    say(broker, LINES_INFO, "memory", text);
    int status = lock_memory(broker);
    if (status < 0)
        return say_failed(broker, "memory", status);
    static_assert(XD_DETAIL_BYTES_MAX <= CONFIG_WHY_BYTES, "its explanation fits");
    status =
        shard_open(broker->env, memory, bytes, &broker->setup.shard, &broker->shard, broker->why);
    return status < 0 ? say_failed(broker, "open", status) : 0;
}

static void say_progress(struct broker *broker)
{
    char text[96];
    uint32_t percent = shard_recover_percent(broker->shard);
    snprintf(text, sizeof text, "percent=%u", percent);
    say(broker, LINES_INFO, "recovering", text);
    snprintf(text, sizeof text, "STATUS=recovering %u %%\nEXTEND_TIMEOUT_USEC=30000000", percent);
    notify_send(&broker->notify, text);
}

static int recover(struct broker *broker)
{
    char text[64];
    sigset_t stops = broker->signals;
    uint64_t begun = now_ns(), told = begun;
    int status;
    sigdelset(&stops, SIGHUP);
    sigdelset(&stops, SIGUSR1);
    while ((status = shard_recover_step(broker->shard, broker->why)) > 0) {
        uint64_t now = now_ns();
        look_for_signals(broker, &stops);
        if (broker->stop)
            return 0;
        pet_watchdog(broker, now);
        if (now - told >= PROGRESS_NS) {
            say_progress(broker);
            told = now;
        }
    }
    if (status < 0)
        return say_failed(broker, "recover", status);
    broker->recovered = true;
    say_shard_lines(broker);
    snprintf(text, sizeof text, "ms=%" PRIu64, (now_ns() - begun) / MS_NS);
    say(broker, LINES_INFO, "recovered", text);
    return 0;
}

static int serve(struct broker *broker)
{
    char bound[SETUP_ADDRESSES_MAX][ENV_ADDRESS_BYTES_MAX];
    char quoted[LINE_BYTES], list[SETUP_ADDRESSES_MAX * ENV_ADDRESS_BYTES_MAX];
    char text[2 * LINE_BYTES + 64];
    uint32_t used = 0;
    int status = shard_listen(broker->shard, bound, broker->why);
    if (status < 0)
        return say_failed(broker, "listen", status);
    setup_pin_addresses(&broker->setup, bound);
    for (uint32_t i = 0; i < broker->setup.shard.address_count; i++)
        used +=
            (uint32_t)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? "," : "", bound[i]);
    snprintf(text, sizeof text, "addresses=%s data=%s", list,
             lines_quote(broker->setup.data, quoted, sizeof quoted));
    say(broker, LINES_INFO, "ready", text);
    snprintf(text, sizeof text, "READY=1\nSTATUS=serving %s", list);
    notify_send(&broker->notify, text);
    return 0;
}

/* One life: 0 when it serves, or when it was told to stop before. */
static int life_open(struct broker *broker)
{
    int status = open_env(broker);
    if (status == 0)
        status = open_shard(broker);
    if (status == 0)
        status = recover(broker);
    if (status == 0 && !broker->stop)
        status = serve(broker);
    return status;
}

/* A shard that failed while it served has operations on their way and cannot be closed in peace;
 * the env waits for them and takes back files, connections and memory by itself. */
static void life_close(struct broker *broker)
{
    if (broker->shard != NULL && (!broker->recovered || shard_stopped(broker->shard)))
        shard_close(broker->shard);
    /* Pools that are not taken down leave their marks of AddressSanitizer on pages that the next
     * life may be given. Without it this does nothing. */
    if (broker->memory != NULL)
        ASAN_UNPOISON_MEMORY_REGION(broker->memory, broker->memory_bytes);
    broker->memory = NULL;
    broker->shard = NULL;
    broker->recovered = false;
    engine_close(&broker->engine);
    broker->env = NULL;
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* 0 when stopped as asked, else the status that ended this life. */
static int life_turns(struct broker *broker)
{
    struct env_event foreign;
    uint32_t foreign_count;
    bool stopping = false;
    while (!shard_stopped(broker->shard)) {
        uint64_t now = now_ns();
        if (now >= broker->look_due_ns) {
            look_for_signals(broker, &broker->signals);
            broker->look_due_ns = now + SIGNALS_LOOK_NS;
        }
        if (broker->stop && !stopping) {
            notify_send(&broker->notify, "STOPPING=1\nSTATUS=draining");
            shard_stop(broker->shard);
            stopping = true;
        }
        pet_watchdog(broker, now);
        int status = shard_turn(broker->shard, now + TURN_WAIT_NS, &foreign, 1, &foreign_count);
        say_shard_lines(broker);
        if (status < 0)
            return status;
    }
    return 0;
}

/* A device that went away for a moment gets time to come back. */
static void pause_before_reopening(struct broker *broker)
{
    sigset_t stops = broker->signals;
    const struct timespec pause = {.tv_nsec = REOPEN_LOOK_NS};
    sigdelset(&stops, SIGHUP);
    sigdelset(&stops, SIGUSR1);
    for (uint64_t until = now_ns() + REOPEN_PAUSE_NS; now_ns() < until && !broker->stop;) {
        look_for_signals(broker, &stops);
        pet_watchdog(broker, now_ns());
        (void)nanosleep(&pause, NULL);
    }
}

/* Whether this life, which ended with `status`, is followed by another one. */
static bool may_reopen(struct broker *broker, int status)
{
    char text[160];
    uint64_t now = now_ns();
    uint64_t *oldest = &broker->reopened_ns[broker->reopen_count % BROKER_REOPENS_MAX];
    bool often = broker->reopen_count >= BROKER_REOPENS_MAX && now - *oldest < BROKER_REOPENS_NS;
    snprintf(text, sizeof text, "error=%s reopened=%u", xd_status_name(status),
             broker->reopen_count);
    say(broker, LINES_ERROR, "storage_failed", text);
    notify_send(&broker->notify, "STATUS=storage failed");
    if (broker->stop)
        return false;
    if (often) {
        snprintf(text, sizeof text, "times=%u within_s=%" PRIu64, BROKER_REOPENS_MAX,
                 (uint64_t)BROKER_REOPENS_NS / (1000 * MS_NS));
        say(broker, LINES_ERROR, "gave_up", text);
        return false;
    }
    *oldest = now;
    broker->reopen_count++;
    return true;
}

static enum broker_exit lives(struct broker *broker)
{
    for (;;) {
        int status = life_open(broker);
        bool opened = status == 0;
        if (opened && !broker->stop)
            status = life_turns(broker);
        life_close(broker);
        if (status == 0)
            return BROKER_EXIT_STOPPED;
        if (!opened)
            return status == XD_OPTION_INVALID ? BROKER_EXIT_USAGE : BROKER_EXIT_FAILED;
        if (!may_reopen(broker, status))
            return BROKER_EXIT_FAILED;
        pause_before_reopening(broker);
        if (broker->stop)
            return BROKER_EXIT_FAILED;
    }
}

/* ---- run ------------------------------------------------------------------------------------- */

static void begin(struct broker *broker)
{
    char text[160];
    snprintf(text, sizeof text, "version=%s commit=%s pid=%ld", version_release(), version_commit(),
             (long)getpid());
    say(broker, LINES_INFO, "starting", text);
    int status = notify_open(&broker->notify, getenv("NOTIFY_SOCKET"));
    if (status < 0)
        say_value(broker, LINES_WARNING, "notify_failed", "error", xd_status_name(status));
    broker->watchdog_ns =
        notify_watchdog_ns(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), (uint64_t)getpid());
}

enum broker_exit broker_run(const struct config *config, const struct config_sources *sources,
                            FILE *out)
{
    enum broker_exit result = BROKER_EXIT_FAILED;
    char text[32];
    struct broker *broker = calloc(1, sizeof *broker);
    if (broker == NULL) {
        (void)fputs(BROKER_NO_MEMORY, out);
        return BROKER_EXIT_FAILED;
    }
    broker->config = config;
    broker->sources = sources;
    lines_init(&broker->lines, out);
    block_signals(broker);
    begin(broker);
    int status = setup_make(config, data_default(), &broker->setup, broker->why);
    if (status == 0) {
        status = bind_cpu(broker);
        if (status < 0)
            (void)say_failed(broker, "cpu", status);
        else
            result = lives(broker);
    } else {
        (void)say_failed(broker, "configuration", status);
        result = BROKER_EXIT_USAGE;
    }
    lines_finish(&broker->lines);
    snprintf(text, sizeof text, "exit=%d", (int)result);
    say(broker, LINES_INFO, "stopped", text);
    notify_close(&broker->notify);
    free(broker);
    return result;
}

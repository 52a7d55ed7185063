/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of the process; see broker.h.
 *
 * The supervisor waits in one poll() for signals, for its bell, and for the listener of metrics,
 * and looks at all workers each time: what comes next follows from their stages alone.
 */
#include "broker/broker.h"

#include "broker/clock.h"
#include "broker/folders.h"
#include "broker/http.h"
#include "broker/io/bells.h"
#include "broker/io/probe.h"
#include "broker/lines.h"
#include "broker/notify.h"
#include "broker/setup.h"
#include "broker/version.h"
#include "broker/watch.h"
#include "broker/worker.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define MS_NS UINT64_C(1000000)
/* The supervisor looks at everything this often even when nothing happens. */
#define LOOK_MS 1000
/* Progress of recovery is told this often. */
#define PROGRESS_NS (1000 * MS_NS)
/* Between two lives. */
#define REOPEN_PAUSE_NS (1000 * MS_NS)
#define REOPEN_LOOK_MS 20
/* A worker that has given no sign of life for this long gets no watchdog's blessing. */
#define STUCK_NS (20000 * MS_NS)
#define LINE_BYTES 1200u

#define NO_MEMORY "raise the memory limit of the service (MemoryMax, ulimit -v)"
#define NO_THREADS "raise TasksMax of the service, RLIMIT_NPROC or the memory limit"

struct broker {
    const struct config *config;          /* as started */
    const struct config_sources *sources; /* for HUP */
    struct lines lines;
    struct notify notify;
    int signal_fd;                            /* -1 = none */
    uint64_t watchdog_ns;                     /* interval, 0 = none */
    uint64_t watchdog_due_ns;                 /* next one */
    uint64_t progress_due_ns;                 /* next line about recovery */
    bool stop;                                /* asked for */
    uint64_t reopened_ns[BROKER_REOPENS_MAX]; /* newest reopenings, a ring */
    uint32_t reopen_count;                    /* in all */

    struct bells bells;          /* of the shards, and the supervisor's behind them */
    struct worker_common common; /* of this life */
    struct worker *workers;      /* shard_count of them */
    struct watch *watch;         /* what pages know of them */
    void *links_memory;          /* NULL with one shard */
    struct http *http;           /* NULL = no listener for metrics */
    char http_address[ENV_ADDRESS_BYTES_MAX];
    bool listening;             /* shard 0 has been told to listen */
    bool told[LINK_SHARDS_MAX]; /* another one has */
    bool ready;                 /* all serve */
    struct setup setup;         /* of `config` */
    struct setup checked;       /* of HUP */
    struct config reread;       /* of HUP */
    char why[CONFIG_WHY_BYTES];
};

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

/* A start that failed: step, status and why. */
static int say_failed(struct broker *broker, const char *step, int status, const char *why)
{
    char quoted[LINE_BYTES], text[LINE_BYTES + 128];
    snprintf(text, sizeof text, "step=%.32s error=%s why=%s", step, xd_status_name(status),
             lines_quote(why, quoted, sizeof quoted));
    say(broker, LINES_ERROR, "start_failed", text);
    return status;
}

static const char *data_default(void)
{
    return setup_data_default(getenv("STATE_DIRECTORY"), geteuid() == 0);
}

/* ---- workers --------------------------------------------------------------------------------- */

static uint32_t count_of(const struct broker *broker)
{
    return broker->setup.shard_count;
}

static void wish_all(struct broker *broker, enum worker_wish wish)
{
    for (uint32_t i = 0; i < count_of(broker); i++)
        worker_wish(&broker->workers[i], wish);
}

/* Whether every worker is in this stage or one behind it. */
static bool all_reached(struct broker *broker, enum worker_stage stage)
{
    for (uint32_t i = 0; i < count_of(broker); i++)
        if (worker_stage(&broker->workers[i]) < stage)
            return false;
    return true;
}

static bool all_serve(struct broker *broker)
{
    for (uint32_t i = 0; i < count_of(broker); i++)
        if (worker_stage(&broker->workers[i]) != WORKER_SERVING)
            return false;
    return true;
}

/* Whether no worker takes turns any more. */
static bool all_over(struct broker *broker)
{
    for (uint32_t i = 0; i < count_of(broker); i++)
        if (!worker_is_over(&broker->workers[i]))
            return false;
    return true;
}

/* The first worker that failed, or NULL. */
static struct worker *failed(struct broker *broker)
{
    for (uint32_t i = 0; i < count_of(broker); i++)
        if (worker_stage(&broker->workers[i]) == WORKER_FAILED)
            return &broker->workers[i];
    return NULL;
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
        if (broker->ready)
            wish_all(broker, WORKER_WISH_STATUS);
    }
}

static void take_signals(struct broker *broker)
{
    struct signalfd_siginfo info;
    while (read(broker->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        take_signal(broker, (int)info.ssi_signo);
}

/* Blocked before any thread is made, so that all threads have them blocked. */
static int open_signals(struct broker *broker)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    int status = sigprocmask(SIG_BLOCK, &signals, NULL);
    XD_ASSERT(status == 0);
    broker->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return broker->signal_fd < 0 ? -errno : 0;
}

/* ---- one look -------------------------------------------------------------------------------- */

/* How long it may wait: not beyond the next sign of life for the service manager. */
static int wait_ms_of(const struct broker *broker, int wait_ms)
{
    uint64_t now = clock_mono_ns();
    if (broker->watchdog_ns == 0)
        return wait_ms;
    uint64_t left_ms =
        broker->watchdog_due_ns > now ? (broker->watchdog_due_ns - now + MS_NS - 1) / MS_NS : 0;
    return left_ms < (uint64_t)wait_ms ? (int)left_ms : wait_ms;
}

/* Waits until something happens, and takes signals and requests for metrics. */
static void look(struct broker *broker, int wait_ms)
{
    struct pollfd fds[3] = {{.fd = broker->signal_fd, .events = POLLIN},
                            {.fd = bells_fd(&broker->bells, count_of(broker)), .events = POLLIN},
                            {.fd = http_fd(broker->http), .events = POLLIN}};
    int timeout_ms = http_timeout_ms(broker->http, wait_ms_of(broker, wait_ms));
    (void)poll(fds, 3, timeout_ms); /* whatever it says, all is looked at */
    (void)bells_take(&broker->bells, count_of(broker));
    take_signals(broker);
    http_run(broker->http);
}

/* A process with a worker that hangs is not kept alive. */
static void pet_watchdog(struct broker *broker)
{
    uint64_t now = clock_mono_ns();
    if (broker->watchdog_ns == 0 || now < broker->watchdog_due_ns)
        return;
    broker->watchdog_due_ns = now + broker->watchdog_ns;
    for (uint32_t i = 0; i < count_of(broker) && broker->workers != NULL; i++)
        if (worker_silent_ns(&broker->workers[i], now) > STUCK_NS)
            return;
    notify_send(&broker->notify, "WATCHDOG=1");
}

static void say_progress(struct broker *broker)
{
    char text[96];
    uint64_t now = clock_mono_ns();
    uint32_t percent = 100;
    if (now < broker->progress_due_ns || all_reached(broker, WORKER_JOINING))
        return;
    for (uint32_t i = 0; i < count_of(broker); i++) {
        uint32_t of_one = worker_percent(&broker->workers[i]);
        percent = of_one < percent ? of_one : percent;
    }
    broker->progress_due_ns = now + PROGRESS_NS;
    snprintf(text, sizeof text, "percent=%u", percent);
    say(broker, LINES_INFO, "recovering", text);
    snprintf(text, sizeof text, "STATUS=recovering %u %%\nEXTEND_TIMEOUT_USEC=30000000", percent);
    notify_send(&broker->notify, text);
}

/* ---- a life ---------------------------------------------------------------------------------- */

static int begin_life(struct broker *broker)
{
    uint32_t count = count_of(broker);
    broker->listening = broker->ready = false;
    memset(broker->told, 0, sizeof broker->told);
    broker->progress_due_ns = clock_mono_ns() + PROGRESS_NS;
    broker->common = (struct worker_common){.setup = &broker->setup,
                                            .bells = &broker->bells,
                                            .lines = &broker->lines,
                                            .shard_count = count};
    if (count > 1) {
        uint32_t messages = shard_messages_max(&broker->setup.shard);
        uint64_t bytes = (links_bytes_needed(count, messages) + 63) / 64 * 64;
        broker->links_memory = aligned_alloc(64, bytes);
        if (broker->links_memory == NULL)
            return -ENOMEM;
        broker->common.links = links_init(broker->links_memory, bytes, count, messages);
    }
    for (uint32_t i = 0; i < count; i++) {
        int status = worker_start(&broker->workers[i], &broker->common, i);
        if (status < 0)
            return status;
    }
    return 0;
}

/* All workers have ended their turns: their memory is nobody's any more. */
static void end_life(struct broker *broker)
{
    wish_all(broker, WORKER_WISH_FREE);
    for (uint32_t i = 0; i < count_of(broker); i++)
        worker_join(&broker->workers[i]);
    free(broker->links_memory);
    broker->links_memory = NULL;
}

/* Shard 0 takes the ports, the others listen on the same; a socket file is shard 0's alone. */
static void listen_further(struct broker *broker)
{
    char addresses[SETUP_ADDRESSES_MAX][ENV_ADDRESS_BYTES_MAX];
    if (!broker->listening && all_reached(broker, WORKER_READY)) {
        worker_listen(&broker->workers[0], broker->setup.addresses);
        broker->listening = true;
        return;
    }
    if (!broker->listening || worker_stage(&broker->workers[0]) != WORKER_SERVING)
        return;
    worker_addresses(&broker->workers[0], addresses);
    for (uint32_t i = 0; i < SETUP_ADDRESSES_MAX; i++)
        if (strncmp(addresses[i], "unix:", 5) == 0)
            addresses[i][0] = '\0';
    for (uint32_t i = 1; i < count_of(broker); i++)
        if (worker_stage(&broker->workers[i]) == WORKER_READY && !broker->told[i]) {
            worker_listen(&broker->workers[i], addresses);
            broker->told[i] = true;
        }
}

static void say_ready(struct broker *broker)
{
    char quoted[LINE_BYTES], list[SETUP_ADDRESSES_MAX * ENV_ADDRESS_BYTES_MAX];
    char text[2 * LINE_BYTES + 64];
    worker_addresses(&broker->workers[0], broker->setup.addresses);
    uint32_t used = 0;
    for (uint32_t i = 0; i < broker->setup.shard.address_count; i++)
        used += (uint32_t)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? "," : "",
                                   broker->setup.addresses[i]);
    snprintf(text, sizeof text, "addresses=%s metrics=%s data=%s", list, broker->http_address,
             lines_quote(broker->setup.data, quoted, sizeof quoted));
    say(broker, LINES_INFO, "ready", text);
    snprintf(text, sizeof text, "READY=1\nSTATUS=serving %s", list);
    notify_send(&broker->notify, text);
    broker->ready = true;
}

/* A start that fails is told with its step; what fails later is told by may_reopen(). */
static int report_failure(struct broker *broker, struct worker *worker)
{
    char step[WORKER_STEP_BYTES];
    int status = worker_failure(worker, step, broker->why);
    return step[0] != '\0' ? say_failed(broker, step, status, broker->why) : status;
}

/* Before anybody listens there is nothing to answer. While the workers come to listen, which takes
 * no time, a stop waits: one that serves may have lent frames to one that does not yet. */
static bool stop_all(struct broker *broker)
{
    if (broker->listening && !all_reached(broker, WORKER_SERVING))
        return false;
    notify_send(&broker->notify, "STOPPING=1\nSTATUS=draining");
    wish_all(broker, broker->listening ? WORKER_WISH_STOP : WORKER_WISH_DROP);
    return true;
}

static void go_on(struct broker *broker)
{
    say_progress(broker);
    listen_further(broker);
    if (!broker->ready && all_serve(broker))
        say_ready(broker);
}

/* Looks until no worker takes turns any more. `status` is that of their beginning; the first
 * failure, theirs or a later one, has all dropped. 0 when they ended as asked. */
static int supervise(struct broker *broker, int status)
{
    bool stopping = false, dropped = false;
    while (!all_over(broker)) {
        struct worker *worker = failed(broker);
        if (worker != NULL && status == 0)
            status = report_failure(broker, worker);
        if (status < 0 && !dropped)
            wish_all(broker, WORKER_WISH_DROP);
        dropped = status < 0;
        if (status == 0 && !stopping)
            stopping = broker->stop && stop_all(broker);
        if (status == 0 && !stopping)
            go_on(broker);
        look(broker, LOOK_MS);
        pet_watchdog(broker);
    }
    struct worker *last = failed(broker);
    return last != NULL && status == 0 ? report_failure(broker, last) : status;
}

/* ---- lives ----------------------------------------------------------------------------------- */

/* A device that went away for a moment gets time to come back. */
static void pause_before_reopening(struct broker *broker)
{
    for (uint64_t until = clock_mono_ns() + REOPEN_PAUSE_NS;
         clock_mono_ns() < until && !broker->stop;) {
        look(broker, REOPEN_LOOK_MS);
        pet_watchdog(broker);
    }
}

/* Whether this life, which ended with `status`, is followed by another one. */
static bool may_reopen(struct broker *broker, int status)
{
    char text[160];
    uint64_t now = clock_mono_ns();
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
        int status = begin_life(broker);
        if (status < 0)
            (void)say_failed(broker, "threads", status, NO_THREADS);
        status = supervise(broker, status);
        bool started = broker->ready;
        end_life(broker);
        if (status == 0)
            return BROKER_EXIT_STOPPED;
        if (!started)
            return status == XD_OPTION_INVALID ? BROKER_EXIT_USAGE : BROKER_EXIT_FAILED;
        if (!may_reopen(broker, status))
            return BROKER_EXIT_FAILED;
        pause_before_reopening(broker);
        if (broker->stop)
            return BROKER_EXIT_FAILED;
    }
}

/* ---- run ------------------------------------------------------------------------------------- */

/* The listener for metrics stays over all lives. */
static int open_http(struct broker *broker)
{
    char address[ENV_ADDRESS_BYTES_MAX];
    setup_metrics_address(&broker->setup, address);
    snprintf(broker->http_address, sizeof broker->http_address, "none");
    if (address[0] == '\0')
        return 0;
    int status = http_open(address, broker->watch, &broker->http, broker->http_address);
    if (status < 0)
        snprintf(broker->why, sizeof broker->why, "metrics.listen: cannot listen on %s: %s; %s",
                 address, xd_status_text(status),
                 status == -ENOMEM                        ? NO_MEMORY
                 : status == -EMFILE || status == -ENFILE ? probe_remedy(status)
                                                          : "give another address, or none");
    return status;
}

/* Engines raise the limit for themselves, but not for each other. */
static int raise_descriptors(struct broker *broker)
{
    static_assert(PROBE_WHY_BYTES <= CONFIG_WHY_BYTES, "its explanation fits");
    return count_of(broker) > 1 ? probe_descriptors(setup_descriptors(&broker->setup), broker->why)
                                : 0;
}

/* Where few descriptors are allowed the default of connections is lower, and said. */
static void fit_descriptors(struct broker *broker)
{
    struct probe_facts facts;
    char text[LINE_BYTES];
    probe_facts(&facts);
    if (!setup_fit(broker->config, &broker->setup, facts.descriptors_hard))
        return;
    const struct net_options *net = &broker->setup.shard.net;
    snprintf(text, sizeof text,
             "connections=%" PRIu32 " descriptors=%" PRIu64 " why=\"raise LimitNOFILE of the "
             "service (RLIMIT_NOFILE), or set net.connections_max\"",
             net->connections_max - net->unix_reserve, facts.descriptors_hard);
    say(broker, LINES_WARNING, "connections_reduced", text);
}

static int open_all(struct broker *broker)
{
    int status = setup_make(broker->config, data_default(), &broker->setup, broker->why);
    if (status < 0)
        return say_failed(broker, "configuration", status, broker->why);
    status = folders_prepare(broker->setup.data, count_of(broker), broker->why);
    if (status < 0)
        return say_failed(broker, "folder", status, broker->why);
    uint32_t count = count_of(broker);
    fit_descriptors(broker);
    status = raise_descriptors(broker);
    if (status < 0)
        return say_failed(broker, "descriptors", status, broker->why);
    broker->workers = workers_make(count);
    broker->watch = broker->workers != NULL ? watch_open(broker->workers, count) : NULL;
    if (broker->watch == NULL)
        return say_failed(broker, "memory", -ENOMEM, NO_MEMORY);
    status = bells_open(&broker->bells, count + 1);
    if (status < 0)
        return say_failed(broker, "descriptors", status, probe_remedy(status));
    status = open_http(broker);
    if (status < 0)
        return say_failed(broker, "metrics", status, broker->why);
    return 0;
}

static void close_all(struct broker *broker)
{
    http_close(broker->http);
    watch_close(broker->watch);
    bells_close(&broker->bells);
    workers_free(broker->workers, count_of(broker));
    if (broker->signal_fd >= 0)
        (void)close(broker->signal_fd);
}

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
    int status = open_signals(broker);
    begin(broker);
    if (status < 0)
        (void)say_failed(broker, "descriptors", status, probe_remedy(status));
    else
        status = open_all(broker);
    if (status == 0)
        result = lives(broker);
    else if (status == XD_OPTION_INVALID)
        result = BROKER_EXIT_USAGE;
    close_all(broker);
    lines_finish(&broker->lines);
    snprintf(text, sizeof text, "exit=%d", (int)result);
    say(broker, LINES_INFO, "stopped", text);
    notify_close(&broker->notify);
    free(broker);
    return result;
}

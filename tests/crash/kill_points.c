/* SPDX-License-Identifier: Apache-2.0
 *
 * crossdock-pointtest: the real daemon under load, killed at every named crash point of
 * broker/io/faults.def in turn, and at random moments in between.
 *
 * Normal path: the daemon is crossdockd with kill_env.c linked in; KILL_AT tells it where to die.
 * First it dies at each point of a start on an empty folder. Then come rounds: in each one every
 * point once, in a sequence and at a hit from the seed, and a few kills by the clock; the daemon
 * starts again on what is left, and the clients go on by themselves. After some deaths in front of
 * a flush the newest block is torn, so that recovery has something to cut, and the next recovery
 * dies too. Every few kills everything kept is read back and the history is judged: nothing
 * acknowledged is missing, doubled, invented, moved or out of sequence.
 *
 * Failure path: a violation, a refused start, a point that is not reached in time, or a daemon that
 * ends in another way ends the run with the kill's number, point and hit; --point NAME:HIT runs
 * that one alone. Contents and choices come from the seed, times from the machine, so a seed gives
 * a similar run. A run without a duplicate or a tail cut fails as too tame. Without --dir it works
 * in a folder of its own below the working folder, of which nothing stays. Exit: 0 nothing found,
 * 1 found something, 2 wrong usage.
 */
#include "tests/crash/kill_daemon.h"
#include "tests/crash/kill_tail.h"
#include "tests/crash/power_load.h"
#include "tests/support/arguments.h"
#include "tests/support/history_check.h"
#include "wire/xassert.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KILLS_MAX 1000000u
#define START_MS 20000u
#define SETTLE_MS 20000u
#define POINT_MS 20000u        /* a point is reached by then */
#define TURN_RECORDS 24u       /* posted between two looks at the daemon */
#define RANDOM_US 40000u       /* a kill by the clock comes by then */
#define RANDOM_PER_ROUND 4u    /* kills by the clock */
#define JUDGE_EVERY 24u        /* kills */
#define JUDGE_BYTES (8u << 20) /* or payload; far below what is kept */
#define TAME_KILLS 100u        /* fewer kills may show nothing */

/* How a point is reached. */
struct point_row {
    uint32_t hit_max; /* of one life; the hit is drawn up to it */
    bool in_start;    /* every start comes to it before it serves */
};

static const struct point_row rows[ENV_CRASH_COUNT] = {
    [ENV_CRASH_BLOCK_SUBMITTED] = {64, false},    [ENV_CRASH_BLOCK_WRITTEN] = {64, false},
    [ENV_CRASH_BLOCK_DURABLE] = {64, false},      [ENV_CRASH_SEGMENT_ROLL] = {1, false},
    [ENV_CRASH_SEGMENT_PREPARED] = {1, false},    [ENV_CRASH_META_FIRST_SLOT] = {1, true},
    [ENV_CRASH_META_BOTH_SLOTS] = {1, true},      [ENV_CRASH_CHECKPOINT_WRITTEN] = {2, false},
    [ENV_CRASH_CHECKPOINT_CURRENT] = {2, false},  [ENV_CRASH_RECOVERY_SCANNED] = {1, true},
    [ENV_CRASH_RECOVERY_QUARANTINED] = {1, true}, [ENV_CRASH_RECOVERY_EPOCH_RAISED] = {1, true},
};

struct settings {
    const char *broker;         /* path of the daemon that kills itself */
    const char *folder;         /* new; NULL = one of its own, which does not stay */
    uint64_t kill_count;        /* at least */
    uint64_t seed;              /* of all choices */
    enum env_crash_point point; /* the only one, ENV_CRASH_COUNT = all */
    uint32_t hit;               /* of it */
};

struct run {
    struct settings settings;           /* */
    struct kill_daemon daemon;          /* */
    struct load load;                   /* on the broker */
    struct history history;             /* what the load has seen */
    struct prng prng;                   /* where and when to kill */
    uint32_t kills;                     /* so far */
    uint32_t at_point[ENV_CRASH_COUNT]; /* of these, by point */
    uint32_t at_random;                 /* of these, by the clock */
    uint32_t in_start;                  /* of these, before the daemon served */
    uint32_t under_way;                 /* of these, with records without an outcome */
    uint32_t torn;                      /* blocks torn */
    uint32_t judged_kills;              /* kills when the history was judged last */
    uint64_t judged_bytes;              /* payload then */
    uint32_t judgements;                /* */
    bool open;                          /* load is */
};

static int complain(const struct run *run, int status, const char *what)
{
    fprintf(stderr, "crossdock-pointtest: kill %u at %s, seed %" PRIu64 ": %s\n", run->kills,
            run->daemon.place, run->settings.seed, what);
    return status;
}

static int broker_failed(const struct run *run, int status)
{
    return complain(run, status, run->daemon.broker.process.why);
}

static int load_failed(const struct run *run, int status)
{
    return status < 0 ? complain(run, status, run->load.why) : status;
}

/* ---- the daemon ------------------------------------------------------------------------------ */

/* 1 when the daemon serves, 0 when it killed itself before, as it was told to. */
static int start(struct run *run)
{
    const char *sync = prng_below32(&run->prng, 2) == 0 ? "dsync" : "fdatasync";
    int status = kill_daemon_start(&run->daemon, sync, START_MS);
    if (status < 0)
        return broker_failed(run, status);
    if (status == 0 || !run->open)
        return status;
    uint64_t now_ns = load_now_ns();
    (void)history_mark(&run->history, HISTORY_RESTART, now_ns); /* It keeps a failure. */
    status = history_mark(&run->history, HISTORY_HEALED, now_ns);
    return status < 0 ? complain(run, status, "history") : 1;
}

/* Tells the next start where to die. */
static int plan(struct run *run, enum env_crash_point point)
{
    uint32_t hit = 1 + prng_below32(&run->prng, rows[point].hit_max);
    if (point == run->settings.point)
        hit = run->settings.hit;
    int status = kill_daemon_plan(&run->daemon, point, hit);
    return status < 0 ? broker_failed(run, status) : 0;
}

static int plan_nothing(struct run *run)
{
    int status = kill_daemon_plan_nothing(&run->daemon);
    return status < 0 ? broker_failed(run, status) : 0;
}

/* ---- deaths ---------------------------------------------------------------------------------- */

/* The daemon is dead, or killed here; the clients take what it had sent, or lose it. */
static int bury(struct run *run)
{
    int status = process_kill(&run->daemon.broker.process);
    if (status < 0)
        return broker_failed(run, status);
    run->kills++;
    if (!run->open)
        return 0;
    run->under_way += load_pending(&run->load) > 0;
    status = load_failed(run, load_drain(&run->load, prng_below32(&run->prng, 2) == 0));
    (void)history_mark(&run->history, HISTORY_CRASH, load_now_ns()); /* It keeps a failure. */
    return status;
}

/* Load until the daemon has died at its point. */
static int load_until_dead(struct run *run)
{
    uint64_t give_up_ns = load_now_ns() + POINT_MS * 1000000ull;
    while (!kill_daemon_is_dead(&run->daemon)) {
        int status = load_failed(run, load_turn(&run->load, TURN_RECORDS, 1));
        if (status < 0)
            return status;
        if (load_now_ns() > give_up_ns)
            return complain(run, -ETIMEDOUT, "the point was not reached");
    }
    return 0;
}

/* One start that ends at a point. */
static int die_at(struct run *run, enum env_crash_point point)
{
    int status = plan(run, point);
    if (status < 0)
        return status;
    long from = kill_daemon_log_bytes(&run->daemon);
    status = start(run);
    if (status == 0) {
        run->in_start++;
    } else if (status > 0) {
        if (rows[point].in_start)
            return complain(run, -EINVAL, "the start did not come to the point");
        status = load_until_dead(run);
    }
    if (status >= 0)
        status = bury(run);
    if (status < 0)
        return status;
    if (!kill_daemon_said_last_words(&run->daemon, from))
        return complain(run, -EINVAL, "the daemon did not die at the point");
    run->at_point[point]++;
    return 0;
}

/* Nothing in the newest block was durable for the daemon that died at BLOCK_WRITTEN. */
static int tear(struct run *run)
{
    int status = kill_tail_tear(run->daemon.broker.process.data, &run->prng);
    if (status < 0)
        return complain(run, status, "the newest block cannot be torn");
    run->torn++;
    return die_at(run, prng_below32(&run->prng, 2) == 0 ? ENV_CRASH_RECOVERY_SCANNED
                                                        : ENV_CRASH_RECOVERY_QUARANTINED);
}

/* One start that ends by the clock. */
static int die_at_random(struct run *run)
{
    int status = plan_nothing(run);
    if (status >= 0)
        status = start(run);
    uint64_t until_ns = load_now_ns() + prng_below32(&run->prng, RANDOM_US) * 1000ull;
    while (status >= 0 && load_now_ns() < until_ns)
        status = load_failed(run, load_turn(&run->load, TURN_RECORDS, 1));
    if (status >= 0)
        status = bury(run);
    run->at_random += status >= 0;
    return status;
}

/* ---- judging --------------------------------------------------------------------------------- */

/* Everything gets its outcome, the daemon is killed, and what is read back went through a recovery.
 * It then stops in order, so that some starts find a log that was closed. */
static int judge(struct run *run)
{
    struct history_options options;
    struct history_report report;
    int status = plan_nothing(run);
    if (status >= 0)
        status = start(run);
    if (status >= 0)
        status = load_failed(run, load_settle(&run->load, SETTLE_MS));
    if (status >= 0)
        status = bury(run);
    if (status >= 0)
        status = start(run);
    if (status >= 0)
        status = load_failed(run, load_read(&run->load, SETTLE_MS));
    if (status < 0)
        return status;
    if ((status = process_stop(&run->daemon.broker.process, START_MS)) < 0)
        return broker_failed(run, status);
    (void)history_mark(&run->history, HISTORY_STOP, load_now_ns()); /* It keeps a failure. */
    if (power_broker_said(&run->daemon.broker, POWER_FALLBACK) > 0)
        return complain(run, -EBADMSG, "a checkpoint was lost that meta named");
    history_options_init(&options);
    options.retention = run->load.bytes > POWER_RETENTION_BYTES / 2;
    status = history_check(&run->history, &options, &report);
    if (status < 0)
        return complain(run, status, report.malformed);
    if (status > 0) {
        history_report_print(&report, stderr);
        return complain(run, -EBADMSG, "the history breaks what was promised");
    }
    run->at_random++;
    run->judgements++;
    run->judged_bytes = run->load.bytes;
    run->judged_kills = run->kills;
    return 0;
}

static int judge_when_due(struct run *run)
{
    bool due = run->kills - run->judged_kills >= JUDGE_EVERY ||
               run->load.bytes - run->judged_bytes >= JUDGE_BYTES;
    return due ? judge(run) : 0;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool is_wanted(const struct run *run, uint32_t point)
{
    return run->settings.point == ENV_CRASH_COUNT || (uint32_t)run->settings.point == point;
}

/* The log is made, and the daemon dies on the way: nobody was promised anything, but the next start
 * must come about. */
static int first_deaths(struct run *run)
{
    for (uint32_t point = 0; point < ENV_CRASH_COUNT; point++) {
        if (!rows[point].in_start || !is_wanted(run, point))
            continue;
        int status = process_remove_data(&run->daemon.broker.process);
        if (status < 0)
            return broker_failed(run, status);
        status = die_at(run, (enum env_crash_point)point);
        if (status >= 0)
            status = plan_nothing(run);
        if (status >= 0)
            status = start(run);
        if (status >= 0)
            status = bury(run);
        if (status < 0)
            return status;
        run->at_random++;
    }
    return 0;
}

/* Every point once, then kills by the clock. */
static int round_of_deaths(struct run *run)
{
    uint32_t points[ENV_CRASH_COUNT];
    int status = 0;
    for (uint32_t i = 0; i < ENV_CRASH_COUNT; i++) {
        uint32_t other = prng_below32(&run->prng, i + 1);
        points[i] = points[other];
        points[other] = i;
    }
    for (uint32_t i = 0; i < ENV_CRASH_COUNT && status >= 0; i++) {
        if (!is_wanted(run, points[i]))
            continue;
        status = die_at(run, (enum env_crash_point)points[i]);
        if (status >= 0 && points[i] == ENV_CRASH_BLOCK_WRITTEN)
            status = tear(run);
        if (status >= 0)
            status = judge_when_due(run);
    }
    for (uint32_t i = 0; i < RANDOM_PER_ROUND && status >= 0; i++) {
        status = die_at_random(run);
        if (status >= 0)
            status = judge_when_due(run);
    }
    return status;
}

static int kill_all(struct run *run)
{
    int status = first_deaths(run);
    if (status >= 0)
        status = plan_nothing(run);
    if (status >= 0)
        status = start(run);
    if (status >= 0)
        status = load_failed(run, load_open(&run->load, run->daemon.broker.process.address,
                                            run->settings.seed, &run->history));
    if (status < 0)
        return status;
    run->open = true;
    status = bury(run);
    run->at_random++;
    while (status >= 0 && run->kills < run->settings.kill_count)
        status = round_of_deaths(run);
    return status >= 0 ? judge(run) : status;
}

/* What never came up in this run, NULL = all did. */
static const char *lacking(struct run *run)
{
    for (uint32_t point = 0; point < ENV_CRASH_COUNT; point++) {
        if (run->at_point[point] == 0 && is_wanted(run, point))
            return "too tame: a point was never reached";
    }
    if (run->settings.point != ENV_CRASH_COUNT || run->settings.kill_count < TAME_KILLS)
        return NULL;
    if (run->under_way == 0)
        return "too tame: nothing was under way at any kill";
    if (run->load.duplicates == 0)
        return "too tame: no duplicate was recognised";
    if (power_broker_said(&run->daemon.broker, POWER_TAIL_CUT) == 0)
        return "too tame: no recovery cut a tail";
    return NULL;
}

static void report(struct run *run, uint64_t took_ns)
{
    const struct load *load = &run->load;
    printf("seed           %" PRIu64 "\n", run->settings.seed);
    printf("kills          %u in %.1f s: %u by the clock, %u before the daemon served, %u with "
           "records under way; %u blocks torn, judged %u times\n",
           run->kills, (double)took_ns / 1e9, run->at_random, run->in_start, run->under_way,
           run->torn, run->judgements);
    for (uint32_t point = 0; point < ENV_CRASH_COUNT; point++)
        printf("  %-22s %u\n", kill_point_name((enum env_crash_point)point), run->at_point[point]);
    printf("records        %" PRIu64 " posted (%.1f MB), %" PRIu64 " outcomes, %" PRIu64
           " duplicates, %" PRIu64 " read\n",
           load->posted, (double)load->bytes / 1e6, load->acked, load->duplicates,
           load->read_count);
    for (unsigned event = 0; event < POWER_EVENT_COUNT; event++)
        printf("%-24s %" PRIu64 "\n", power_event_name((enum power_event)event),
               power_broker_said(&run->daemon.broker, (enum power_event)event));
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *ftw)
{
    (void)about;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int run_all(struct run *run)
{
    const struct settings *settings = &run->settings;
    uint64_t begin_ns = load_now_ns();
    char own[] = "kills-XXXXXX";
    run->prng = prng_seeded(settings->seed);
    history_init(&run->history);
    snprintf(run->daemon.place, sizeof run->daemon.place, "start");
    if (settings->folder == NULL ? mkdtemp(own) == NULL : mkdir(settings->folder, 0700) < 0)
        return complain(run, -errno, "the folder cannot be made; it must be new");
    const char *folder = settings->folder == NULL ? own : settings->folder;
    int status = power_broker_init(&run->daemon.broker, settings->broker, folder, folder);
    status = status < 0 ? broker_failed(run, status) : kill_all(run);
    if (run->kills > 0)
        report(run, load_now_ns() - begin_ns);
    if (status >= 0 && lacking(run) != NULL)
        status = complain(run, -ENODATA, lacking(run));
    load_close(&run->load);
    (void)process_kill(&run->daemon.broker.process); /* It runs only behind a failure. */
    history_deinit(&run->history);
    if (settings->folder == NULL)
        (void)nftw(own, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* Nobody looks for it. */
    return status < 0 ? status : 0;
}

static bool parse(int argc, char **argv, struct settings *ret_settings)
{
    static const struct option options[] = {
        {"broker", required_argument, NULL, 'b'}, {"dir", required_argument, NULL, 'd'},
        {"kills", required_argument, NULL, 'k'},  {"seed", required_argument, NULL, 's'},
        {"point", required_argument, NULL, 'p'},  {NULL, 0, NULL, 0},
    };
    struct settings settings = {.kill_count = 300, .seed = 1, .point = ENV_CRASH_COUNT};
    bool ok = true;
    int choice;
    while (ok && (choice = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (choice == 'b')
            settings.broker = optarg;
        else if (choice == 'd')
            settings.folder = optarg;
        else if (choice == 'k')
            ok = argument_number(optarg, KILLS_MAX, &settings.kill_count);
        else if (choice == 's')
            ok = argument_number(optarg, UINT64_MAX, &settings.seed);
        else
            ok = choice == 'p' && kill_point_parse(optarg, &settings.point, &settings.hit);
    }
    if (!ok || settings.broker == NULL || optind != argc)
        return false;
    *ret_settings = settings;
    return true;
}

int main(int argc, char **argv)
{
    struct run run = {0};
    if (!parse(argc, argv, &run.settings)) {
        fputs("crossdock-pointtest --broker PATH [--dir NEW-FOLDER] [--kills N] [--seed N] "
              "[--point NAME:HIT]\n",
              stderr);
        return 2;
    }
    int status = run_all(&run);
    printf("%s\n", status < 0 ? "FAILED" : "nothing lost, nothing doubled, every sequence kept");
    return status < 0 ? 1 : 0;
}

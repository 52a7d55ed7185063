/* SPDX-License-Identifier: Apache-2.0
 *
 * crossdock-cuttest: the real daemon under load on a file system of the real kernel, the power cut
 * again and again. With one node every cut is also "all nodes lose power".
 *
 * Normal path: the seed decides contents, how blocks are made durable, and when the power goes: at
 * the n-th write or flush that the drive sees under load or during recovery, or after a time; what
 * these are depends on the machine, so a seed gives a similar run, not the same. The drive loses
 * what it had not flushed (power_cache.h); the daemon must fence itself, is killed, and must start
 * again on what is left; the clients go on by themselves. After every few cuts, one more comes
 * right behind the last acknowledgement, everything kept is read back, and the history is judged:
 * nothing acknowledged is missing, doubled, invented, moved or out of sequence. Failure path: a
 * violation, a refused start or any other failure ends the run with the cut's number. A run in
 * which nothing was at stake (no cut under way, no tail cut, no duplicate, no roll) fails as too
 * tame. Exit: 0 nothing found, 1 found something, 2 wrong usage, 77 the machine cannot do this.
 */
#include "tests/crash/power_broker.h"
#include "tests/crash/power_disk.h"
#include "tests/crash/power_load.h"
#include "tests/support/arguments.h"
#include "tests/support/history_check.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CUTS_MAX 1000000u
#define START_MS 20000u
#define SETTLE_MS 20000u
#define FENCE_MS 5000u         /* a write is always under way when the power goes */
#define FIRST_CUTS 4u          /* while the log is made */
#define JUDGE_EVERY 10u        /* cuts */
#define JUDGE_BYTES (8u << 20) /* or payload; far below what is kept */
#define CUT_BYTES (2u << 20)   /* payload between two cuts, at most */
#define CUT_MS 40u             /* an armed cut comes by then, or now */
#define TAME_CUTS 20u          /* fewer cuts may show nothing */
#define SKIPPED 77

struct settings {
    const char *broker;           /* path of crossdockd */
    char folder[DISK_PATH_BYTES]; /* new, absolute */
    enum disk_kind kind;          /* file system */
    uint32_t cut_count;           /* at least; a tame run goes on */
    uint64_t seed;                /* of all choices */
};

struct run {
    struct settings settings;   /* */
    struct disk disk;           /* what the power is cut of */
    struct power_broker broker; /* on it */
    struct load load;           /* on the broker */
    struct history history;     /* what the load has seen */
    struct prng prng;           /* when and how the power goes */
    uint64_t fenced_before;     /* times that the daemon had been fenced by this start */
    uint32_t cuts;              /* so far */
    uint32_t under_way;         /* cuts that fell into unacknowledged records */
    uint32_t in_recovery;       /* cuts before the daemon was ready */
    uint32_t fences;            /* cuts at which the daemon was given time to fence itself */
    uint64_t judged_bytes;      /* payload posted when the history was judged last */
    uint32_t judged_cuts;       /* cuts then */
    uint32_t starts[2];         /* by method: dsync, fdatasync */
    uint64_t pages_lost;        /* that the drive had taken and not flushed */
    uint64_t pages_kept;        /* of these, by chance */
    uint64_t start_ns_max;      /* longest start */
    uint64_t spent_ns[4];       /* starting, loading, dying, mounting */
    bool open;                  /* load is */
};

enum { SPENT_START, SPENT_LOAD, SPENT_DEATH, SPENT_MOUNT };

static int complain(const struct run *run, int status, const char *what)
{
    fprintf(stderr, "crossdock-cuttest: cut %u: %s\n", run->cuts, what);
    return status;
}

static int broker_failed(const struct run *run, int status)
{
    return complain(run, status, run->broker.process.why);
}

static int load_failed(const struct run *run, int status)
{
    return status < 0 ? complain(run, status, run->load.why) : status;
}

static int disk_failed(const struct run *run, int status)
{
    return status < 0 ? complain(run, status, run->disk.why) : status;
}

static bool is_powered(const struct run *run)
{
    return drive_is_powered(&run->disk.drive);
}

static int arm(struct run *run, uint32_t count_max)
{
    enum drive_event event = prng_below32(&run->prng, 2) ? DRIVE_FLUSH : DRIVE_WRITE;
    uint32_t count = 1 + prng_below32(&run->prng, count_max);
    int status = drive_arm(&run->disk.drive, event, count, prng_next(&run->prng));
    return status < 0 ? complain(run, status, "the drive has died") : 0;
}

/* ---- starting -------------------------------------------------------------------------------- */

/* Starts the daemon; with an armed drive the power may go meanwhile. 1 when it serves, 0 when the
 * power went before. */
static int start(struct run *run)
{
    unsigned method = prng_below32(&run->prng, 2);
    uint64_t begin_ns = load_now_ns();
    run->fenced_before = power_broker_said(&run->broker, POWER_FENCED);
    run->starts[method]++;
    int status = power_broker_start(&run->broker, method == 0 ? "dsync" : "fdatasync", START_MS);
    run->spent_ns[SPENT_START] += load_now_ns() - begin_ns;
    if (status < 0)
        return is_powered(run) ? broker_failed(run, status) : 0;
    if (run->broker.process.ready_ns > run->start_ns_max)
        run->start_ns_max = run->broker.process.ready_ns;
    if (!run->open)
        return 1;
    uint64_t now_ns = load_now_ns();
    (void)history_mark(&run->history, HISTORY_RESTART, now_ns);
    status = history_mark(&run->history, HISTORY_HEALED, now_ns);
    return status < 0 ? complain(run, status, "history") : 1;
}

/* ---- the power goes -------------------------------------------------------------------------- */

/* The daemon meets a dead disk: it must say that it is fenced and acknowledge nothing more. */
static int await_fence(struct run *run)
{
    uint64_t give_up_ns = load_now_ns() + (uint64_t)FENCE_MS * 1000000u;
    run->fences++;
    while (power_broker_said(&run->broker, POWER_FENCED) == run->fenced_before) {
        int status = load_failed(run, load_turn(&run->load, 16, 1));
        if (status < 0)
            return status;
        if (load_now_ns() > give_up_ns)
            return complain(run, -ETIMEDOUT, "the daemon does not fence itself");
    }
    return 0;
}

/* Daemon and file system die; then the disk is as the next start finds it. */
static int die(struct run *run, bool give_time)
{
    uint64_t begin_ns = load_now_ns();
    const struct cache_loss *loss = &run->disk.drive.shared->loss;
    run->cuts++;
    run->pages_lost += loss->pages - loss->kept;
    run->pages_kept += loss->kept;
    int status = 0;
    if (give_time) {
        status = disk_failed(run, disk_shut(&run->disk));
        if (status >= 0)
            status = await_fence(run);
    }
    if (status >= 0 && (status = power_broker_kill(&run->broker)) < 0)
        return broker_failed(run, status);
    if (status >= 0 && !give_time)
        status = disk_failed(run, disk_shut(&run->disk));
    if (status >= 0 && run->open) {
        status = load_failed(run, load_drain(&run->load, prng_below32(&run->prng, 2) == 0));
        (void)history_mark(&run->history, HISTORY_CRASH, load_now_ns()); /* It keeps a failure. */
    }
    uint64_t dead_ns = load_now_ns();
    run->spent_ns[SPENT_DEATH] += dead_ns - begin_ns;
    if (status >= 0)
        status = disk_failed(run, disk_mount_again(&run->disk));
    run->spent_ns[SPENT_MOUNT] += load_now_ns() - dead_ns;
    return status < 0 ? status : 0;
}

static int cut_now(struct run *run)
{
    return disk_failed(run, disk_cut(&run->disk, prng_next(&run->prng)));
}

/* Load until the power goes: at the event that the drive is armed for; from `cut_ns` or enough load
 * on at one of the next events, when something is on its way to the disk. */
static int load_until_cut(struct run *run, uint64_t cut_ns)
{
    uint64_t begin_ns = load_now_ns(), bytes = run->load.bytes;
    bool last = false;
    int status = 0;
    while (status >= 0 && is_powered(run)) {
        status = load_failed(run, load_turn(&run->load, 64, 1));
        bool due = load_now_ns() > cut_ns || (!last && run->load.bytes - bytes > CUT_BYTES);
        if (status < 0 || !due)
            continue;
        status = last ? cut_now(run) : arm(run, 4);
        cut_ns = load_now_ns() + (uint64_t)CUT_MS * 1000000u;
        last = true;
    }
    run->under_way += load_pending(&run->load) > 0;
    run->spent_ns[SPENT_LOAD] += load_now_ns() - begin_ns;
    return status < 0 ? status : 0;
}

/* One start and one cut of its time: one in eight during recovery, if it reaches that far. */
static int cycle(struct run *run)
{
    bool early = prng_below32(&run->prng, 8) == 0;
    int status = early ? arm(run, 16) : 0;
    if (status >= 0)
        status = start(run);
    if (status < 0)
        return status;
    if (status == 0) {
        run->in_recovery++;
        return die(run, false);
    }
    uint64_t cut_ns = load_now_ns() + (uint64_t)CUT_MS * 1000000u;
    if (!early && prng_below32(&run->prng, 4) == 0)
        cut_ns = load_now_ns() + prng_below32(&run->prng, CUT_MS * 1000) * 1000u;
    else if (!early && (status = arm(run, 96)) < 0)
        return status;
    status = load_until_cut(run, cut_ns);
    return status < 0 ? status : die(run, prng_below32(&run->prng, 2) == 0);
}

/* The power goes while the log is made: nobody was promised anything, but the next start must come
 * about. */
static int first_cuts(struct run *run)
{
    for (uint32_t i = 0; i < FIRST_CUTS && run->cuts < run->settings.cut_count; i++) {
        int status = arm(run, 1u << (i + 2));
        if (status >= 0)
            status = start(run);
        if (status > 0)
            status = cut_now(run); /* Unless it has gone. */
        else if (status == 0)
            run->in_recovery++;
        if (status >= 0)
            status = die(run, false);
        if (status < 0)
            return status;
    }
    return 0;
}

/* ---- judging --------------------------------------------------------------------------------- */

/* Everything gets its outcome, the power goes, and what is read back went through a recovery. The
 * daemon then stops in order, so that some starts find a log that was closed. */
static int judge(struct run *run)
{
    struct history_options options;
    struct history_report report;
    int status = start(run);
    if (status > 0)
        status = load_failed(run, load_settle(&run->load, SETTLE_MS));
    if (status >= 0)
        status = cut_now(run);
    if (status >= 0)
        status = die(run, false);
    if (status >= 0)
        status = start(run);
    if (status >= 0)
        status = load_failed(run, load_read(&run->load, SETTLE_MS));
    if (status >= 0 && (status = process_stop(&run->broker.process, START_MS)) < 0)
        return broker_failed(run, status);
    if (status < 0)
        return status;
    (void)history_mark(&run->history, HISTORY_STOP, load_now_ns()); /* It keeps a failure. */
    /* Meta names a checkpoint when it is durable, not before. */
    if (power_broker_said(&run->broker, POWER_FALLBACK) > 0)
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
    run->judged_bytes = run->load.bytes;
    run->judged_cuts = run->cuts;
    return 0;
}

/* What never came up in this run, NULL = all did. A run that put nothing at stake proves nothing.
 */
static const char *lacking(struct run *run)
{
    if (run->under_way == 0)
        return "too tame: nothing was under way at any cut";
    if (run->pages_lost == 0)
        return "too tame: the drive lost nothing";
    if (run->fences == 0)
        return "too tame: the daemon was never seen to fence itself";
    if (run->in_recovery == 0)
        return "too tame: no cut fell into a recovery";
    if (run->load.duplicates == 0)
        return "too tame: no duplicate was recognised";
    if (run->starts[0] == 0 || run->starts[1] == 0)
        return "too tame: only one way to make blocks durable was used";
    if (power_broker_said(&run->broker, POWER_TAIL_CUT) == 0)
        return "too tame: no recovery cut a tail";
    if (power_broker_said(&run->broker, POWER_ROLLED) == 0)
        return "too tame: no segment was rolled";
    if (power_broker_said(&run->broker, POWER_CHECKPOINT) == 0)
        return "too tame: no checkpoint was written";
    return NULL;
}

/* As many cuts as were asked for; a run that lacks something goes on for as many again. */
static bool is_enough(struct run *run)
{
    uint32_t count = run->settings.cut_count;
    return run->cuts >= count && (run->cuts >= 2 * count || lacking(run) == NULL);
}

static void report(struct run *run, uint64_t took_ns)
{
    const struct load *load = &run->load;
    printf("seed           %" PRIu64 ", %s\n", run->settings.seed,
           disk_kind_name(run->settings.kind));
    printf("cuts           %u in %.1f s: %u with records under way, %u in recoveries, %u with a "
           "fence awaited\n",
           run->cuts, (double)took_ns / 1e9, run->under_way, run->in_recovery, run->fences);
    printf("drive          %" PRIu64 " writes, %" PRIu64
           " flushes; of pages behind a flush %" PRIu64 " lost, %" PRIu64 " kept\n",
           atomic_load(&run->disk.drive.shared->writes),
           atomic_load(&run->disk.drive.shared->flushes), run->pages_lost, run->pages_kept);
    printf("starts         %u dsync, %u fdatasync, longest %.0f ms\n", run->starts[0],
           run->starts[1], (double)run->start_ns_max / 1e6);
    printf("records        %" PRIu64 " posted (%.1f MB), %" PRIu64 " outcomes, %" PRIu64
           " duplicates, %" PRIu64 " read; %" PRIu64 " bytes of answers lost\n",
           load->posted, (double)load->bytes / 1e6, load->acked, load->duplicates, load->read_count,
           load->answers_lost);
    for (unsigned event = 0; event < POWER_EVENT_COUNT; event++)
        printf("%-24s %" PRIu64 "\n", power_event_name((enum power_event)event),
               power_broker_said(&run->broker, (enum power_event)event));
    printf("ms per cut     start %.0f, load %.0f, death %.0f, mount %.0f\n",
           (double)run->spent_ns[SPENT_START] / 1e6 / run->cuts,
           (double)run->spent_ns[SPENT_LOAD] / 1e6 / run->cuts,
           (double)run->spent_ns[SPENT_DEATH] / 1e6 / run->cuts,
           (double)run->spent_ns[SPENT_MOUNT] / 1e6 / run->cuts);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int cut_all(struct run *run)
{
    int status = first_cuts(run);
    if (status >= 0)
        status = start(run);
    if (status > 0)
        status = load_failed(run, load_open(&run->load, run->broker.process.address,
                                            run->settings.seed, &run->history));
    run->open = true;
    if (status >= 0)
        status = load_until_cut(run, load_now_ns());
    if (status >= 0)
        status = die(run, false);
    while (status >= 0 && !is_enough(run)) {
        status = cycle(run);
        if (status >= 0 && (run->cuts - run->judged_cuts >= JUDGE_EVERY ||
                            run->load.bytes - run->judged_bytes >= JUDGE_BYTES))
            status = judge(run);
    }
    if (status >= 0)
        status = judge(run);
    return status;
}

static int run_all(struct run *run)
{
    const struct settings *settings = &run->settings;
    uint64_t begin_ns = load_now_ns();
    run->prng = prng_seeded(settings->seed);
    history_init(&run->history);
    if (mkdir(settings->folder, 0700) < 0)
        return complain(run, -errno, "the folder cannot be made; it must be new");
    int status = disk_open(&run->disk, settings->kind, settings->folder);
    if (status == DISK_MISSING) {
        printf("%s\n", run->disk.why);
        return SKIPPED;
    }
    if (status < 0)
        return disk_failed(run, status);
    status = power_broker_init(&run->broker, settings->broker, settings->folder, run->disk.path);
    status = status < 0 ? broker_failed(run, status) : cut_all(run);
    if (run->cuts > 0)
        report(run, load_now_ns() - begin_ns);
    if (status >= 0 && run->settings.cut_count >= TAME_CUTS && lacking(run) != NULL)
        status = complain(run, -ENODATA, lacking(run));
    load_close(&run->load);
    (void)process_kill(&run->broker.process); /* It runs only behind a failure. */
    disk_close(&run->disk);
    history_deinit(&run->history);
    return status < 0 ? status : 0;
}

/* Mounts need an absolute path. */
static bool parse_folder(const char *text, char *ret_folder)
{
    char *here = text[0] == '/' ? NULL : realpath(".", NULL);
    int bytes = snprintf(ret_folder, DISK_PATH_BYTES, "%s%s%s", here != NULL ? here : "",
                         here != NULL ? "/" : "", text);
    free(here);
    return ret_folder[0] == '/' && bytes < (int)DISK_PATH_BYTES;
}

static bool parse(int argc, char **argv, struct settings *ret_settings)
{
    static const struct option options[] = {
        {"broker", required_argument, NULL, 'b'}, {"dir", required_argument, NULL, 'd'},
        {"fs", required_argument, NULL, 'f'},     {"cuts", required_argument, NULL, 'c'},
        {"seed", required_argument, NULL, 's'},   {NULL, 0, NULL, 0},
    };
    struct settings settings = {.kind = DISK_EXT4, .cut_count = 100, .seed = 1};
    uint64_t number = 0;
    bool ok = true;
    int choice;
    while (ok && (choice = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (choice == 'b')
            settings.broker = optarg;
        else if (choice == 'd')
            ok = parse_folder(optarg, settings.folder);
        else if (choice == 'f')
            ok = (settings.kind = disk_kind_find(optarg)) < DISK_KIND_COUNT;
        else if (choice == 's')
            ok = argument_number(optarg, UINT64_MAX, &settings.seed);
        else if (choice == 'c' && (ok = argument_number(optarg, CUTS_MAX, &number)))
            settings.cut_count = (uint32_t)number;
        else
            ok = ok && choice == 'c';
    }
    if (!ok || settings.broker == NULL || settings.folder[0] == '\0' || optind != argc)
        return false;
    *ret_settings = settings;
    return true;
}

int main(int argc, char **argv)
{
    struct run run = {0};
    if (!parse(argc, argv, &run.settings)) {
        fputs("crossdock-cuttest --broker PATH --dir NEW-FOLDER [--fs ext4|ext4-nojournal|xfs] "
              "[--cuts N] [--seed N]\n",
              stderr);
        return 2;
    }
    int status = run_all(&run);
    if (status == SKIPPED)
        return SKIPPED;
    printf("%s\n", status < 0 ? "FAILED" : "nothing lost, nothing doubled, every sequence kept");
    return status < 0 ? 1 : 0;
}

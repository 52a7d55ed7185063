/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock-bench disk`: how fast the log makes batches durable, without broker and network.
 *
 * Normal path: warm-up, measured part, drain. The folder is left as it is; it is of no use to a
 * broker. Failure path: a status of the log or the disk, with its text.
 */
#include "bench/command.h"

#include "bench/check.h"
#include "bench/disk/disk.h"
#include "bench/histogram.h"
#include "bench/machine.h"
#include "bench/result.h"

#include <errno.h>
#include <stdlib.h>

#define TURN_NS 100000000ull
#define PROGRESS_NS 1000000000ull
#define DRAIN_NS 10000000000ull

struct settings {
    const char *folder;     /* */
    uint64_t batch_bytes;   /* */
    uint64_t inflight;      /* batches that are not durable */
    uint64_t writes;        /* block writes on their way */
    uint64_t group_bytes;   /* */
    uint64_t segment_bytes; /* */
    uint64_t sync;          /* 0 auto, 1 dsync, 2 fdatasync */
    uint64_t duration_us;   /* of the measured part */
    uint64_t warmup_us;     /* before it */
    uint64_t cpu;           /* COMMAND_CPU_NONE = not bound */
    uint64_t output;        /* 0 text, 1 json */
};

struct run {
    struct disk *disk;                   /* */
    struct latency latency;              /* of the measured part */
    uint64_t times_ns[DISK_BATCHES_MAX]; /* of one turn */
    uint64_t batches;                    /* in the measured part */
};

/* Turns until a time, or until nothing is pending. `measured`: the times count. */
static int run_until(struct run *run, uint64_t until_ns, bool append_more, bool measured)
{
    uint64_t second_ns = machine_now_ns();
    uint64_t second = 0;
    uint64_t batches = run->batches;
    for (uint64_t now_ns = second_ns; now_ns < until_ns; now_ns = machine_now_ns()) {
        if (!append_more && disk_pending(run->disk) == 0)
            return 0;
        uint64_t limit_ns = now_ns + TURN_NS < until_ns ? now_ns + TURN_NS : until_ns;
        int count = disk_turn(run->disk, append_more, limit_ns, run->times_ns);
        if (count < 0)
            return count;
        for (int i = 0; measured && i < count; i++)
            latency_add(&run->latency, run->times_ns[i], 1);
        run->batches += measured ? (uint64_t)count : 0;
        if (measured && now_ns - second_ns >= PROGRESS_NS) {
            result_progress("disk, batches as records", ++second, run->batches - batches,
                            now_ns - second_ns);
            second_ns = now_ns;
            batches = run->batches;
        }
    }
    return append_more ? 0 : XDOCK_DEADLINE_EXCEEDED;
}

static int measure(struct run *run, const struct settings *settings, struct result *result)
{
    uint64_t begin_ns = machine_now_ns() + settings->warmup_us * 1000u;
    int status = run_until(run, begin_ns, true, false);
    uint64_t cpu_ns = machine_cpu_ns();
    uint64_t user_ns = machine_user_ns();
    begin_ns = machine_now_ns();
    if (status == 0)
        status = run_until(run, begin_ns + settings->duration_us * 1000u, true, true);
    result->elapsed_ns = machine_now_ns() - begin_ns;
    result->client_cpu_ns = machine_cpu_ns() - cpu_ns;
    result->client_user_ns = machine_user_ns() - user_ns;
    if (status == 0)
        status = run_until(run, machine_now_ns() + DRAIN_NS, false, false);
    result->batches = run->batches;
    result->bytes = run->batches * settings->batch_bytes;
    result->latency = &run->latency;
    return status;
}

static enum bench_exit run_disk(const struct settings *settings, struct result *result)
{
    char why[DISK_WHY_BYTES] = "";
    const struct disk_options options = {.folder = settings->folder,
                                         .segment_bytes = settings->segment_bytes,
                                         .batch_bytes = (uint32_t)settings->batch_bytes,
                                         .inflight = (uint32_t)settings->inflight,
                                         .writes = (uint32_t)settings->writes,
                                         .group_bytes = (uint32_t)settings->group_bytes,
                                         .sync = (uint32_t)settings->sync};
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return command_failed("disk", -ENOMEM, "");
    int status = command_pin(settings->cpu);
    if (status == 0)
        status = disk_open(&options, &run->disk, why);
    if (status == 0) {
        fprintf(stderr, "disk: sync by %s\n", disk_sync(run->disk));
        why[0] = '\0';
        status = measure(run, settings, result);
    }
    if (status == 0 && settings->output == 1)
        result_print_json(result, stdout);
    else if (status == 0)
        result_print(result, stdout);
    int closed = disk_close(run->disk);
    free(run);
    status = status < 0 ? status : closed;
    return status < 0 ? command_failed("disk", status, why) : BENCH_EXIT_OK;
}

enum bench_exit command_disk(int argc, char *const *argv)
{
    struct settings s = {.batch_bytes = 64 * 1024 - 128,
                         .inflight = 128,
                         .writes = 8,
                         .group_bytes = 256 * 1024,
                         .segment_bytes = 256 << 20,
                         .duration_us = 5000000,
                         .warmup_us = 300000,
                         .cpu = COMMAND_CPU_NONE};
    const struct argument table[] = {
        {"folder", 'f', ARGUMENT_TEXT, NULL, &s.folder, 0, 0, "a folder",
         "where the log is made; needs room for 5 segments and is not removed"},
        {"batch-bytes", 'b', ARGUMENT_BYTES, &s.batch_bytes, NULL, DISK_BATCH_BYTES_MIN,
         DISK_BATCH_BYTES_MAX, "128 to 1008KiB", "size of a batch; default fills 64KiB blocks"},
        {"inflight", 'w', ARGUMENT_COUNT, &s.inflight, NULL, 1, DISK_BATCHES_MAX, "1 to 4096",
         "batches that are not durable yet; default 128"},
        {"writes", 0, ARGUMENT_COUNT, &s.writes, NULL, 1, 16, "1 to 16",
         "block writes on their way at once; default 8"},
        {"group-bytes", 0, ARGUMENT_BYTES, &s.group_bytes, NULL, 4096, 1 << 20, "4KiB to 1MiB",
         "with two writes on their way, wait for this much; default 256KiB"},
        {"segment-bytes", 0, ARGUMENT_BYTES, &s.segment_bytes, NULL, 4 << 20, 1 << 30,
         "4MiB to 1GiB", "size of a segment; default 256MiB"},
        {"sync", 's', ARGUMENT_CHOICE, &s.sync, NULL, 0, 0, "auto|dsync|fdatasync",
         "how blocks become durable"},
        command_row_duration(&s.duration_us, "measured time; default 5s"),
        command_row_warmup(&s.warmup_us),
        command_row_cpu(&s.cpu),
        command_row_output(&s.output),
    };
    const uint32_t count = sizeof table / sizeof table[0];
    struct result result = {
        .command = "disk", .table = table, .table_count = count, .latency_of = "durable"};
    enum bench_exit code;
    if (!command_parse("disk", argc, argv, table, count, &code))
        return code;
    if (s.folder == NULL || s.batch_bytes % 8 != 0) {
        fprintf(stderr, "crossdock-bench disk: --folder is needed, and --batch-bytes must be a "
                        "multiple of 8\n");
        return BENCH_EXIT_USAGE;
    }
    return run_disk(&s, &result);
}

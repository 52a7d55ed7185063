/* SPDX-License-Identifier: Apache-2.0
 *
 * crossdock-nthtest: every operation of the broker fails once. For each row of nth_fault.c and each
 * n, the scenario of nth_run.c runs with the n-th operation failing; then the same for pairs, and
 * for failures that last.
 *
 * Normal path: without arguments all rows, each n once, both ways to make blocks durable; --every K
 * takes each K-th n, --lasting adds failures that last, --pairs N adds N pairs drawn from the seed.
 * --fault runs one case alone. Everything follows from the seed.
 * Failure path: the first case that
 * goes wrong ends the run with the arguments that run it again. A scenario without rolls,
 * checkpoints, drops, or operations of each kind fails as too tame. Exit: 0 nothing found, 1 found
 * something, 2 wrong usage.
 */
#include "tests/crash/nth_run.h"
#include "tests/support/prng.h"
#include "wire/xassert.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_MAX 100000u /* operations of a kind in one scenario */
#define SEEDS_MAX 100u
#define ROLLS_MIN 4u
#define CHECKPOINTS_MIN 2u

struct settings {
    struct nth_fault fault; /* of --fault, --dsync, --lasts, --seed */
    uint64_t every;         /* n of each row that is taken */
    uint64_t pair_count;    /* */
    bool lasting;           /* failures that last, too */
};

/* Runs one case and tells when it goes wrong. */
static int run_one(struct nth_run *run, const struct nth_fault *fault)
{
    char text[NTH_TEXT_BYTES];
    int status = nth_run(run, fault);
    if (status < 0) {
        nth_fault_text(fault, text);
        fprintf(stderr, "crossdock-nthtest %s\n%s\n", text, run->why);
    }
    return status;
}

/* What the newest run did not come to, NULL = it came to everything that is to fail. */
static const char *lacking(const struct nth_run *run)
{
    for (uint32_t row = 0; row < nth_row_count(); row++) {
        if (run->op_counts[nth_row(row)->op] == 0)
            return nth_row(row)->op_name;
    }
    if (run->tail_cuts == 0)
        return "tail cut";
    if (run->rolls < ROLLS_MIN)
        return "rolls";
    if (run->checkpoints < CHECKPOINTS_MIN)
        return "checkpoints";
    return run->drops == 0 ? "drop" : NULL;
}

/* Where a crash tears and when segments roll is up to the seed: the first one from --seed on whose
 * run without a fault comes to everything. */
static int choose_seed(struct nth_run *run, const struct settings *settings, bool dsync,
                       uint64_t *ret_seed)
{
    struct nth_fault none = {.seed = settings->fault.seed, .dsync = dsync};
    for (uint32_t i = 0; i < SEEDS_MAX; i++, none.seed++) {
        run->retries = 0;
        int status = run_one(run, &none);
        if (status < 0)
            return status;
        if (run->retries == 0 && lacking(run) == NULL) {
            *ret_seed = none.seed;
            return 0;
        }
    }
    fprintf(stderr, "crossdock-nthtest: too tame: no seed comes to everything; the last lacks %s\n",
            run->retries > 0 ? "a smooth run" : lacking(run));
    return -ENODATA;
}

/* One row: every n, until the scenario ends before the n-th. */
static int run_row(struct nth_run *run, uint64_t every, const struct nth_fault *like, uint32_t row,
                   uint64_t *count)
{
    struct nth_fault fault = *like;
    uint64_t sites = 0;
    fault.site_count = 1;
    for (uint64_t n = 1; n < N_MAX; n += every) {
        fault.sites[0] = (struct nth_site){.row = row, .n = n};
        int status = run_one(run, &fault);
        if (status < 0)
            return status;
        if (run->pending == (fault.lasts ? NTH_LASTING : 1u))
            break;
        sites++;
    }
    printf("%-16s %-13s %-9s %s %" PRIu64 " sites\n", nth_row(row)->op_name,
           nth_row(row)->result_name, fault.dsync ? "dsync" : "fdatasync",
           fault.lasts ? "lasting" : "once", sites);
    *count += sites;
    return 0;
}

static int run_rows(struct nth_run *run, const struct settings *settings, bool lasts,
                    uint64_t *count)
{
    for (int dsync = 0; dsync < 2; dsync++) {
        struct nth_fault like = {.dsync = dsync != 0, .lasts = lasts};
        int status = choose_seed(run, settings, like.dsync, &like.seed);
        for (uint32_t row = 0; row < nth_row_count() && status == 0; row++)
            if (!lasts || nth_row(row)->op != SIM_OP_COUNT) /* death is over at once */
                status = run_row(run, settings->every, &like, row, count);
        if (status < 0)
            return status;
    }
    return 0;
}

/* Two failures, of any rows, anywhere. */
static int run_pairs(struct nth_run *run, const struct settings *settings, uint64_t *count)
{
    struct prng prng = prng_seeded(settings->fault.seed ^ 0x9a125);
    uint64_t op_counts[SIM_OP_COUNT + 1], seed = 0;
    int status = choose_seed(run, settings, false, &seed);
    memcpy(op_counts, run->op_counts, sizeof op_counts);
    for (uint64_t i = 0; i < settings->pair_count && status == 0; i++) {
        struct nth_fault fault = {
            .site_count = NTH_SITES_MAX, .dsync = prng_below32(&prng, 2) == 0, .seed = seed};
        for (uint32_t k = 0; k < NTH_SITES_MAX; k++) {
            uint32_t row = prng_below32(&prng, nth_row_count());
            fault.sites[k] = (struct nth_site){
                .row = row, .n = 1 + prng_below(&prng, op_counts[nth_row(row)->op])};
        }
        status = run_one(run, &fault);
        *count += status == 0;
    }
    return status;
}

static int run_all(struct nth_run *run, const struct settings *settings)
{
    uint64_t once = 0, lasting = 0, pairs = 0;
    if (settings->fault.site_count > 0) {
        int alone = run_one(run, &settings->fault);
        printf("%" PRIu64 " retries, %" PRIu64 " failures of the broker, %u not come to\n",
               run->retries, run->downs, run->pending);
        return alone;
    }
    int status = run_rows(run, settings, false, &once);
    if (status == 0 && settings->lasting)
        status = run_rows(run, settings, true, &lasting);
    if (status == 0 && settings->pair_count > 0)
        status = run_pairs(run, settings, &pairs);
    if (status == 0)
        printf("seed %" PRIu64 ": %" PRIu64 " sites once, %" PRIu64 " lasting, %" PRIu64
               " pairs; the broker failed %" PRIu64 " times and was started again\n",
               settings->fault.seed, once, lasting, pairs, run->downs);
    return status;
}

/* A decimal number from 1; false when the text is none. */
static bool parse_number(const char *text, uint64_t *ret_number)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || number < 1)
        return false;
    *ret_number = number;
    return true;
}

static bool parse(int argc, char **argv, struct settings *ret_settings)
{
    static const struct option options[] = {
        {"fault", required_argument, NULL, 'f'}, {"seed", required_argument, NULL, 's'},
        {"every", required_argument, NULL, 'e'}, {"pairs", required_argument, NULL, 'p'},
        {"lasting", no_argument, NULL, 'l'},     {"lasts", no_argument, NULL, 'L'},
        {"dsync", no_argument, NULL, 'd'},       {NULL, 0, NULL, 0},
    };
    struct settings settings = {.fault = {.seed = 1}, .every = 1};
    bool ok = true;
    int choice;
    while (ok && (choice = getopt_long(argc, argv, "", options, NULL)) != -1) {
        struct nth_fault *fault = &settings.fault;
        if (choice == 'f')
            ok = fault->site_count < NTH_SITES_MAX &&
                 nth_site_parse(optarg, &fault->sites[fault->site_count++]);
        else if (choice == 's')
            ok = parse_number(optarg, &fault->seed);
        else if (choice == 'e')
            ok = parse_number(optarg, &settings.every);
        else if (choice == 'p')
            ok = parse_number(optarg, &settings.pair_count);
        else if (choice == 'l')
            settings.lasting = true;
        else if (choice == 'L')
            fault->lasts = true;
        else if (choice == 'd')
            fault->dsync = true;
        else
            ok = false;
    }
    if (!ok || optind != argc || (settings.fault.lasts && settings.fault.site_count != 1))
        return false;
    *ret_settings = settings;
    return true;
}

int main(int argc, char **argv)
{
    static struct nth_run run; /* large, and zero */
    struct settings settings;
    if (!parse(argc, argv, &settings)) {
        fputs("crossdock-nthtest [--seed N] [--every K] [--lasting] [--pairs N]\n"
              "crossdock-nthtest --fault OPERATION:RESULT:N [--fault ...] [--lasts] [--dsync] "
              "[--seed N]\n",
              stderr);
        return 2;
    }
    nth_run_open(&run);
    int status = run_all(&run, &settings);
    nth_run_close(&run);
    printf("%s\n", status < 0 ? "FAILED" : "every failure came to a good end");
    return status < 0 ? 1 : 0;
}

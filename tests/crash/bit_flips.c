/* SPDX-License-Identifier: Apache-2.0
 *
 * Damages data folders at rest in every class of bytes, and judges what becomes of them:
 *
 *   bit_flips [--seed N] [--cases N]
 *   bit_flips [--seed N] --case N [--trace]
 *
 * Folders are made from the seed; a case draws one, a kind of damage and a class of bytes from its
 * own number, so --case repeats it alone, and --trace tells what was said. The first case that
 * breaks a rule of bit_judge.h ends the run and is named. A run of TAME_CASES or more prints what
 * was found where, and fails when a class or a kind has not come up TAME_COUNT times.
 */
#include "tests/crash/bit_judge.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAME_CASES 2000u
#define TAME_COUNT 20u
#define DRAWS_MAX 1000u
#define SETS 2u /* of bases: another set's folder is another log */

struct arguments {
    uint64_t seed;
    uint64_t cases;
    uint64_t first; /* case */
    bool trace;
};

struct program {
    struct bit_maker maker;
    struct bit_judge judge;
    struct bit_damage damage;
    struct bit_base bases[SETS][BIT_BASES];
    uint64_t table[BIT_CLASS_COUNT][BIT_KIND_COUNT][BIT_OUTCOME_COUNT];
};

/* For the last words of an abort: the case that runs, and what must not stay behind. */
static char abort_text[80];
static const struct bit_verify *abort_verify;

static void on_abort(int number)
{
    (void)number;
    (void)!write(STDERR_FILENO, abort_text, strlen(abort_text));
    bit_verify_remove(abort_verify);
    (void)signal(SIGABRT, SIG_DFL);
    abort();
}

static bool parse(int argc, char **argv, struct arguments *ret)
{
    *ret = (struct arguments){.seed = 1, .cases = 1000};
    for (int i = 1; i < argc; i++) {
        bool value = i + 1 < argc;
        if (strcmp(argv[i], "--seed") == 0 && value) {
            ret->seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--cases") == 0 && value) {
            ret->cases = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--case") == 0 && value) {
            ret->first = strtoull(argv[++i], NULL, 10);
            ret->cases = 1;
        } else if (strcmp(argv[i], "--trace") == 0) {
            ret->trace = true;
        } else {
            return false;
        }
    }
    return true;
}

/* ---- folders --------------------------------------------------------------------------------- */

/* The whole folder gives everything, without a word. */
static bool judge_whole(struct program *program, const struct bit_base *base)
{
    struct bit_damage *damage = &program->damage;
    bit_damage_none(damage, base);
    bool good = bit_judge(&program->judge, damage);
    if (good && program->judge.started == 0 && program->judge.outcome == BIT_HARMLESS)
        return true;
    fprintf(stderr, "bit_flips: the folder '%s' is not whole: %s: %s\n", base->name,
            program->judge.rule != NULL ? program->judge.rule : "start",
            program->judge.rule != NULL ? program->judge.failure : program->judge.broker.why);
    return false;
}

static bool make_bases(struct program *program, uint64_t seed)
{
    for (uint32_t set = 0; set < SETS; set++) {
        for (uint32_t i = 0; i < BIT_BASES; i++) {
            struct bit_base *base = &program->bases[set][i];
            if (!bit_base_make(&program->maker, i, seed * SETS + set, program->judge.broker.sim,
                               base)) {
                fprintf(stderr, "bit_flips: the life '%s' does not run: %s\n", bit_base_name(i),
                        program->maker.failure);
                return false;
            }
            if (!judge_whole(program, base))
                return false;
        }
    }
    return true;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void draw(struct program *program, uint64_t seed, uint64_t number)
{
    struct prng prng;
    prng_seed(&prng, prng_mix(seed) ^ prng_mix(number + 0x62697473));
    for (uint32_t i = 0; i < DRAWS_MAX; i++) {
        uint64_t base = prng_below(&prng, BIT_BASES);
        enum bit_kind kind = (enum bit_kind)prng_below(&prng, BIT_KIND_COUNT);
        enum bit_class class = (enum bit_class)prng_below(&prng, BIT_CLASS_COUNT);
        if (bit_damage_make(&program->damage, &program->bases[0][base], &program->bases[1][base],
                            kind, class, &prng))
            return;
    }
    XD_ASSERT(false); /* most draws succeed */
}

static bool run_case(struct program *program, const struct arguments *arguments, uint64_t number)
{
    struct bit_judge *judge = &program->judge;
    const struct bit_damage *damage = &program->damage;
    (void)snprintf(abort_text, sizeof abort_text,
                   "bit_flips: aborted in --seed %" PRIu64 " --case %" PRIu64 "\n", arguments->seed,
                   number);
    draw(program, arguments->seed, number);
    judge->trace = arguments->trace ? stdout : NULL;
    bool good = bit_judge(judge, damage);
    if (!good || arguments->trace)
        fprintf(good ? stdout : stderr,
                "bit_flips: --seed %" PRIu64 " --case %" PRIu64 ": folder %s, %s, %s:%s%s%s%s%s\n",
                arguments->seed, number, damage->base->name, bit_class_name(damage->class),
                bit_kind_name(damage->kind), damage->text, good ? "" : ": ",
                good ? "" : judge->rule, good ? "" : ": ", good ? "" : judge->failure);
    if (good)
        program->table[damage->class][damage->kind][judge->outcome]++;
    return good;
}

/* ---- totals ---------------------------------------------------------------------------------- */

static void print_cell(const uint64_t outcomes[BIT_OUTCOME_COUNT])
{
    char text[48];
    int used = 0;
    static const char letters[BIT_OUTCOME_COUNT] = {'s', 'r', 'v', 'h', 'g'};
    text[0] = '\0';
    for (uint32_t i = 0; i < BIT_OUTCOME_COUNT; i++)
        if (outcomes[i] > 0)
            used += snprintf(text + used, sizeof text - (size_t)used, "%s%" PRIu64 "%c",
                             used > 0 ? " " : "", outcomes[i], letters[i]);
    printf(" | %-16s", text);
}

static void print_table(const struct program *program)
{
    printf("s = at start, r = at read, v = by verify alone, h = harmless, g = published gap\n%-18s",
           "");
    for (uint32_t kind = 0; kind < BIT_KIND_COUNT; kind++)
        printf(" | %-16s", bit_kind_name((enum bit_kind)kind));
    printf("\n");
    for (uint32_t class = 0; class < BIT_CLASS_COUNT; class ++) {
        printf("%-18s", bit_class_name((enum bit_class) class));
        for (uint32_t kind = 0; kind < BIT_KIND_COUNT; kind++)
            print_cell(program->table[class][kind]);
        printf("\n");
    }
}

/* Prints what was found where; false when the run has missed something. */
static bool totals(const struct program *program)
{
    static const char *const names[BIT_OUTCOME_COUNT] = {"at_start", "at_read", "by_verify",
                                                         "harmless", "gap"};
    uint64_t classes[BIT_CLASS_COUNT] = {0}, kinds[BIT_KIND_COUNT] = {0};
    uint64_t outcomes[BIT_OUTCOME_COUNT] = {0};
    bool good = true;
    for (uint32_t class = 0; class < BIT_CLASS_COUNT; class ++)
        for (uint32_t kind = 0; kind < BIT_KIND_COUNT; kind++)
            for (uint32_t i = 0; i < BIT_OUTCOME_COUNT; i++) {
                classes[class] += program->table[class][kind][i];
                kinds[kind] += program->table[class][kind][i];
                outcomes[i] += program->table[class][kind][i];
            }
    print_table(program);
    for (uint32_t i = 0; i < BIT_OUTCOME_COUNT; i++) {
        printf("%s=%" PRIu64 " ", names[i], outcomes[i]);
        good = good && outcomes[i] > 0;
    }
    printf("batches_served=%" PRIu64 " whole_batches_gone=%" PRIu64 "\n", program->judge.served,
           program->judge.gone);
    for (uint32_t class = 0; class < BIT_CLASS_COUNT; class ++)
        good = good && classes[class] >= TAME_COUNT;
    for (uint32_t kind = 0; kind < BIT_KIND_COUNT; kind++)
        good = good && kinds[kind] >= TAME_COUNT;
    if (!good)
        fprintf(stderr, "bit_flips: too tame: an outcome, a class or a kind hardly came up\n");
    return good;
}

static bool run(struct program *program, const struct arguments *arguments)
{
    if (!make_bases(program, arguments->seed))
        return false;
    for (uint64_t i = 0; i < arguments->cases; i++)
        if (!run_case(program, arguments, arguments->first + i))
            return false;
    return arguments->cases < TAME_CASES || totals(program);
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    if (!parse(argc, argv, &arguments)) {
        fprintf(stderr, "usage: bit_flips [--seed N] [--cases N] [--case N] [--trace]\n");
        return 2;
    }
    struct program *program = calloc(1, sizeof *program);
    XD_ASSERT(program != NULL);
    bit_maker_init(&program->maker);
    bit_judge_init(&program->judge);
    abort_verify = &program->judge.verify;
    (void)signal(SIGABRT, on_abort);
    (void)signal(SIGTERM, on_abort);
    bit_damage_init(&program->damage, program->judge.broker.sim);
    bool good = run(program, &arguments);
    bit_damage_deinit(&program->damage);
    for (uint32_t set = 0; set < SETS; set++)
        for (uint32_t i = 0; i < BIT_BASES; i++)
            if (program->bases[set][i].name != NULL)
                bit_base_deinit(&program->bases[set][i]);
    bit_judge_deinit(&program->judge);
    bit_maker_deinit(&program->maker);
    free(program);
    return good ? 0 : 1;
}

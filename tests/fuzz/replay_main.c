/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target without a fuzzer: every file of a corpus folder, and a number of mutations of
 * each, chosen by a seed. So the targets are tests of every build, with any compiler.
 *
 *   replay_TARGET CORPUS MUTATIONS [SEED [verbose]]
 *
 * Normal path: one line per corpus file, exit 0. A target that finds something aborts; the last
 * line names the file. With `verbose` each mutation is named before it runs: the number that was
 * last printed fails again under the same seed. A folder that is empty or cannot be read is exit 1.
 */
#include "tests/fuzz/target.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/prng.h"
#include "wire/xassert.h"

#define INPUT_BYTES_MAX (256u * 1024u)
#define SEEDS_MAX 256u
#define CHANGES_MAX 4u /* changes in one mutation */

/* One corpus file. */
struct seed {
    char name[64]; /* file name */
    uint8_t *data; /* owned */
    size_t bytes;  /* size of the file */
};

/* The corpus, and what is being made of it. */
struct replay {
    struct seed seeds[SEEDS_MAX]; /* sorted by name */
    size_t seed_count;            /* in use */
    uint8_t *input;               /* INPUT_BYTES_MAX bytes: the mutation in work */
    size_t input_bytes;           /* in use */
};

/* Runs the target on memory of exactly the input's size, for the address sanitizer. */
static void run_exact(const uint8_t *data, size_t bytes)
{
    uint8_t *exact = malloc(bytes);
    XD_ASSERT(exact != NULL || bytes == 0);
    if (bytes != 0)
        memcpy(exact, data, bytes);
    int result = LLVMFuzzerTestOneInput(exact, bytes);
    XD_ASSERT(result == 0);
    free(exact);
}

/* ---- mutations ------------------------------------------------------------------------------- */

/* Values that sit on the edges of lengths and counts. */
static uint64_t edge_value(struct prng *prng, size_t input_bytes)
{
    static const uint64_t edges[] = {0,        1,         7,          8,         119,
                                     120,      255,       4096,       65535,     65536,
                                     1u << 20, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};
    uint32_t choice = prng_below32(prng, sizeof(edges) / sizeof(edges[0]) + 1);
    uint64_t value = choice == 0 ? input_bytes : edges[choice - 1];
    return value + prng_below32(prng, 3) - 1;
}

static void write_field(struct replay *replay, struct prng *prng)
{
    size_t width = (size_t)1 << prng_below32(prng, 4);
    if (replay->input_bytes < width)
        return;
    uint64_t value = edge_value(prng, replay->input_bytes);
    size_t at = prng_below32(prng, (uint32_t)(replay->input_bytes - width) + 1);
    if (prng_below32(prng, 4) != 0)
        at -= at % width;
    memcpy(replay->input + at, &value, width);
}

/* The rest of another corpus file from here on. */
static void splice(struct replay *replay, struct prng *prng)
{
    const struct seed *other = &replay->seeds[prng_below32(prng, (uint32_t)replay->seed_count)];
    size_t at = prng_below32(prng, (uint32_t)replay->input_bytes + 1);
    if (at >= other->bytes)
        return;
    memcpy(replay->input + at, other->data + at, other->bytes - at);
    replay->input_bytes = other->bytes;
}

/* Repeats a piece at its end, so that what was counted once is there twice. */
static void repeat(struct replay *replay, struct prng *prng)
{
    size_t bytes = prng_below32(prng, (uint32_t)replay->input_bytes + 1);
    if (replay->input_bytes + bytes > INPUT_BYTES_MAX)
        return;
    memcpy(replay->input + replay->input_bytes, replay->input + replay->input_bytes - bytes, bytes);
    replay->input_bytes += bytes;
}

static void change(struct replay *replay, struct prng *prng)
{
    size_t bytes = replay->input_bytes;
    uint32_t kind = prng_below32(prng, 8);
    if (kind < 2 && bytes != 0) {
        size_t bit = prng_below32(prng, (uint32_t)bytes * 8u);
        replay->input[bit / 8] = (uint8_t)(replay->input[bit / 8] ^ (1u << bit % 8));
    } else if (kind == 2 && bytes != 0) {
        replay->input[prng_below32(prng, (uint32_t)bytes)] = (uint8_t)prng_next(prng);
    } else if (kind == 3) {
        replay->input_bytes = prng_below32(prng, (uint32_t)bytes + 1);
    } else if (kind == 4) {
        splice(replay, prng);
    } else if (kind == 5) {
        repeat(replay, prng);
    } else {
        write_field(replay, prng);
    }
}

/* Mutation number `number` of a seed depends on nothing but the three arguments. */
static void mutate(struct replay *replay, size_t seed_index, uint64_t run_seed, uint64_t number)
{
    const struct seed *seed = &replay->seeds[seed_index];
    struct prng prng = prng_seeded(run_seed);
    prng_seed(&prng, prng_next(&prng) + seed_index);
    prng_seed(&prng, prng_next(&prng) + number);
    memcpy(replay->input, seed->data, seed->bytes);
    replay->input_bytes = seed->bytes;
    uint32_t change_count = 1 + prng_below32(&prng, CHANGES_MAX);
    for (uint32_t i = 0; i < change_count; i++)
        change(replay, &prng);
}

/* ---- corpus ---------------------------------------------------------------------------------- */

static int compare_seeds(const void *a, const void *b)
{
    return strcmp(((const struct seed *)a)->name, ((const struct seed *)b)->name);
}

/* Reads one file; 0, or -1 when it cannot be read or is too large. */
static int load_seed(const char *folder, const char *name, struct seed *ret_seed)
{
    char path[1024];
    int path_bytes = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (path_bytes < 0 || (size_t)path_bytes >= sizeof(path) || strlen(name) >= 64)
        return -1;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return -1;
    uint8_t *data = malloc(INPUT_BYTES_MAX);
    XD_ASSERT(data != NULL);
    size_t bytes = fread(data, 1, INPUT_BYTES_MAX, file);
    int whole = feof(file) || fgetc(file) == EOF;
    (void)fclose(file); /* opened for reading: nothing can be lost */
    if (!whole) {
        free(data);
        return -1;
    }
    (void)snprintf(ret_seed->name, sizeof(ret_seed->name), "%s", name);
    ret_seed->data = data;
    ret_seed->bytes = bytes;
    return 0;
}

static int load_corpus(const char *folder, struct replay *replay)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return -1;
    int result = 0;
    for (const struct dirent *entry; result == 0 && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        if (replay->seed_count == SEEDS_MAX)
            result = -1;
        else
            result = load_seed(folder, entry->d_name, &replay->seeds[replay->seed_count]);
        if (result == 0)
            replay->seed_count++;
        else
            fprintf(stderr, "%s/%s: cannot be taken into the corpus\n", folder, entry->d_name);
    }
    (void)closedir(dir); /* only read from */
    /* The folder's own sequence differs between file systems; the names' does not. */
    qsort(replay->seeds, replay->seed_count, sizeof(replay->seeds[0]), compare_seeds);
    return result;
}

static void free_corpus(struct replay *replay)
{
    for (size_t i = 0; i < replay->seed_count; i++)
        free(replay->seeds[i].data);
    free(replay->input);
    free(replay);
}

static void replay_seed(struct replay *replay, size_t index, uint64_t run_seed,
                        uint64_t mutation_count, int verbose)
{
    const struct seed *seed = &replay->seeds[index];
    printf("%s: %zu bytes, %llu mutations\n", seed->name, seed->bytes,
           (unsigned long long)mutation_count);
    (void)fflush(stdout); /* before a crash */
    run_exact(seed->data, seed->bytes);
    for (uint64_t number = 0; number < mutation_count; number++) {
        mutate(replay, index, run_seed, number);
        if (verbose)
            fprintf(stderr, "%s mutation %llu: %zu bytes\n", seed->name, (unsigned long long)number,
                    replay->input_bytes);
        run_exact(replay->input, replay->input_bytes);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 5) {
        fprintf(stderr, "usage: %s CORPUS MUTATIONS [SEED [verbose]]\n", argv[0]);
        return 1;
    }
    uint64_t mutation_count = strtoull(argv[2], NULL, 0);
    uint64_t run_seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;

    struct replay *replay = calloc(1, sizeof(*replay));
    XD_ASSERT(replay != NULL);
    replay->input = malloc(INPUT_BYTES_MAX);
    XD_ASSERT(replay->input != NULL);
    int result = load_corpus(argv[1], replay);
    if (result == 0 && replay->seed_count == 0) {
        fprintf(stderr, "%s: no corpus files\n", argv[1]);
        result = -1;
    }
    for (size_t i = 0; result == 0 && i < replay->seed_count; i++)
        replay_seed(replay, i, run_seed, mutation_count, argc > 4);
    free_corpus(replay);
    return result == 0 ? 0 : 1;
}

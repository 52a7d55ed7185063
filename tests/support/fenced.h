/* SPDX-License-Identifier: Apache-2.0
 *
 * Golden vectors: lines inside ```golden fences of a Markdown file. The document is what other
 * implementations read, so the tests read the same lines. A line is a word, a blank, and the rest;
 * the rest's meaning belongs to the word.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_FENCED_H
#define CROSSDOCK_TESTS_SUPPORT_FENCED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct fenced {
    FILE *file;     /* open document */
    bool inside;    /* between the fences */
    char line[512]; /* current line without its end */
};

/* False when the document cannot be opened. */
static inline bool fenced_open(struct fenced *fenced, const char *path)
{
    *fenced = (struct fenced){.file = fopen(path, "r")};
    return fenced->file;
}

/* What follows `word` in its next line, valid until the next call, or NULL at the end, where the
 * document is closed. */
static inline const char *fenced_next(struct fenced *fenced, const char *word)
{
    size_t word_bytes = strlen(word);
    while (fgets(fenced->line, sizeof(fenced->line), fenced->file)) {
        char *line = fenced->line;
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "```", 3) == 0)
            fenced->inside = !fenced->inside && strcmp(line, "```golden") == 0;
        else if (fenced->inside && strncmp(line, word, word_bytes) == 0 && line[word_bytes] == ' ')
            return line + word_bytes + 1;
    }
    fclose(fenced->file);
    fenced->file = NULL;
    return NULL;
}

/* Turns hex digits into bytes up to the first other character; returns the count of bytes. */
static inline size_t fenced_hex(const char *text, uint8_t *ret_data, size_t bytes_max)
{
    size_t bytes = 0;
    unsigned value;
    while (bytes < bytes_max && sscanf(text + 2 * bytes, "%2x", &value) == 1 &&
           strspn(text + 2 * bytes, "0123456789abcdef") >= 2)
        ret_data[bytes++] = (uint8_t)value;
    return bytes;
}

/* Joins a dump: lines `word offset hex ...`. Returns its bytes, 0 when a line is out of place. */
static inline size_t fenced_dump(const char *path, const char *word, uint8_t *ret_data,
                                 size_t bytes_max)
{
    struct fenced fenced;
    size_t total = 0;
    if (!fenced_open(&fenced, path))
        return 0;
    for (const char *rest = fenced_next(&fenced, word); rest; rest = fenced_next(&fenced, word)) {
        unsigned offset;
        int used;
        if (sscanf(rest, "%u %n", &offset, &used) != 1 || offset != total)
            return 0;
        total += fenced_hex(rest + used, ret_data + total, bytes_max - total);
    }
    return total;
}

#endif

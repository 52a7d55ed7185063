/* SPDX-License-Identifier: Apache-2.0
 *
 * Did you mean; see suggest.h.
 */
#include "tools/crossdock/suggest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define FAR (SUGGEST_BYTES_MAX + 1u)

static void lower(const char *text, size_t bytes, char *ret_text)
{
    bytes = bytes <= SUGGEST_BYTES_MAX ? bytes : 0;
    for (size_t i = 0; i < bytes; i++)
        ret_text[i] = (char)tolower((unsigned char)text[i]);
    ret_text[bytes] = '\0';
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits between two words, a swap of neighbours being one. Three rows of the usual table. */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][SUGGEST_BYTES_MAX + 1];
    size_t a_bytes = strlen(a), b_bytes = strlen(b);
    for (size_t k = 0; k <= b_bytes; k++)
        rows[0][k] = (unsigned)k;
    for (size_t i = 1; i <= a_bytes; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *second = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t k = 1; k <= b_bytes; k++) {
            row[k] = least(above[k], row[k - 1]) + 1;
            row[k] = least(row[k], above[k - 1] + (a[i - 1] != b[k - 1]));
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                row[k] = least(row[k], second[k - 2] + 1);
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

void suggest_init(struct suggest *suggest, const char *given)
{
    *suggest = (struct suggest){.distance = FAR};
    lower(given, strcspn(given, "="), suggest->given);
}

void suggest_offer(struct suggest *suggest, const char *known, size_t bytes)
{
    char word[SUGGEST_BYTES_MAX + 1];
    lower(known, bytes, word);
    if (word[0] == '\0' || suggest->given[0] == '\0')
        return;
    unsigned edits = distance(suggest->given, word);
    size_t longer = strlen(word) > strlen(suggest->given) ? strlen(word) : strlen(suggest->given);
    if (edits < suggest->distance && edits * 3 <= longer + 1) {
        suggest->distance = edits;
        memcpy(suggest->best, known, bytes);
        suggest->best[bytes] = '\0';
    }
}

static void append(const struct suggest *suggest, const char *dashes, char *text, size_t text_bytes)
{
    size_t used = strlen(text);
    if (suggest->best[0] != '\0')
        snprintf(text + used, text_bytes - used, "; did you mean '%s%s'?", dashes, suggest->best);
}

void suggest_append(const struct suggest *suggest, char *text, size_t text_bytes)
{
    append(suggest, "", text, text_bytes);
}

void suggest_append_option(const struct suggest *suggest, char *text, size_t text_bytes)
{
    append(suggest, "--", text, text_bytes);
}

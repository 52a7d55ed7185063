/* SPDX-License-Identifier: Apache-2.0
 *
 * The verb table as data; see verbs.h.
 */
#include "tools/crossdock/verbs.h"

#include "tools/crossdock/run.h"

#include <ctype.h>
#include <string.h>

#define CHANGES VERB_CHANGES
#define LOCAL VERB_LOCAL
#define STREAM VERB_STREAM
#define PASS VERB_PASS

static const struct verb verbs[] = {
#define VERB(id, name, arguments, flags, text, example1, example2)                                 \
    {VERB_ID_##id, name, arguments, flags, text, {example1, example2}, run_##id},
#define OPTION(verb, name, letter, value, text)
#define NOTE(verb, text)
#include "tools/crossdock/verbs.def"
#undef VERB
#undef OPTION
};

static const struct option_row options[] = {
#define VERB(id, name, arguments, flags, text, example1, example2)
#define OPTION(verb, name, letter, value, text) {VERB_ID_##verb, name, letter, value, text},
#include "tools/crossdock/verbs.def"
#undef OPTION
#undef NOTE
};

static const struct {
    enum verb_id verb;
    const char *text;
} notes[] = {
#define OPTION(verb, name, letter, value, text)
#define NOTE(verb, text) {VERB_ID_##verb, text},
#include "tools/crossdock/verbs.def"
#undef VERB
#undef OPTION
#undef NOTE
};

#define OPTION_COUNT (sizeof options / sizeof options[0])
#define NOTE_COUNT (sizeof notes / sizeof notes[0])

static const struct option_row dry_run = {VERB_ID_global, "dry-run", 0, "",
                                          "say what would be, change nothing"};

const struct verb *verb_at(unsigned row)
{
    return row < VERB_COUNT ? &verbs[row] : NULL;
}

/* Words of `name` that the given ones match from the start; 0 unless all of them do. */
static unsigned words_matched(const char *name, const char *const *words, unsigned count)
{
    unsigned matched = 0;
    while (*name != '\0') {
        size_t bytes = strcspn(name, " ");
        if (matched == count || strlen(words[matched]) != bytes ||
            memcmp(words[matched], name, bytes) != 0)
            return 0;
        matched++;
        name += bytes;
        name += *name == ' ';
    }
    return matched;
}

const struct verb *verb_find(const char *const *words, unsigned count, unsigned *ret_words)
{
    const struct verb *found = NULL;
    for (unsigned row = 1; row < VERB_COUNT; row++) {
        unsigned matched = words_matched(verbs[row].name, words, count);
        if (matched == 0)
            continue;
        found = &verbs[row];
        *ret_words = matched;
    }
    return found;
}

const struct option_row *option_at(const struct verb *verb, unsigned row)
{
    for (unsigned i = 0; i < OPTION_COUNT && verb->id != VERB_ID_global; i++)
        if (options[i].verb == verb->id && row-- == 0)
            return &options[i];
    if ((verb->flags & VERB_CHANGES) != 0 && row-- == 0)
        return &dry_run;
    for (unsigned i = 0; i < OPTION_COUNT; i++)
        if (options[i].verb == VERB_ID_global && row-- == 0)
            return &options[i];
    return NULL;
}

const struct option_row *option_find(const struct verb *verb, const char *name, size_t bytes)
{
    const struct option_row *row;
    for (unsigned i = 0; (row = option_at(verb, i)) != NULL; i++)
        if (strlen(row->name) == bytes && memcmp(row->name, name, bytes) == 0)
            return row;
    return NULL;
}

const struct option_row *option_find_letter(const struct verb *verb, char letter)
{
    const struct option_row *row;
    for (unsigned i = 0; (row = option_at(verb, i)) != NULL; i++)
        if (row->letter != 0 && row->letter == letter)
            return row;
    return NULL;
}

const char *note_at(const struct verb *verb, unsigned row)
{
    for (unsigned i = 0; i < NOTE_COUNT; i++)
        if (notes[i].verb == verb->id && row-- == 0)
            return notes[i].text;
    return NULL;
}

void verb_bounds(const struct verb *verb, unsigned *ret_least, unsigned *ret_most)
{
    unsigned least = 0, most = 0;
    const char *at = verb->arguments;
    while (*at != '\0') {
        size_t bytes = strcspn(at, " ");
        bool rest = memchr(at, '.', bytes) != NULL;
        most = rest ? ~0u : most + 1;
        least += *at != '[';
        at += bytes;
        at += *at == ' ';
    }
    *ret_least = least;
    *ret_most = most;
}

size_t choice_at(const char *value, unsigned row, const char **ret_word)
{
    if (strchr(value, '|') == NULL)
        return 0;
    while (*value != '\0') {
        size_t bytes = strcspn(value, "|");
        bool literal = !isupper((unsigned char)*value);
        if (literal && row-- == 0) {
            *ret_word = value;
            return bytes;
        }
        value += bytes;
        value += *value == '|';
    }
    return 0;
}

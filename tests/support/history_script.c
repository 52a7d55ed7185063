/* SPDX-License-Identifier: Apache-2.0
 *
 * The language of history_script.h.
 */
#include "tests/support/history_script.h"

#include "wire/xassert.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1000000000ull
#define WORD_BYTES 24u
#define OPS_MAX 64u
#define BATCH_MAX 64u

/* A NAME taken apart. */
struct name {
    uint64_t first, last; /* sequences */
    uint64_t time_us;     /* HISTORY_NONE = not said */
    uint64_t key;         /* HISTORY_NONE = not said */
    uint32_t content;     /* */
    uint32_t channel;     /* 0 for a */
    uint16_t epoch;       /* of the channel */
    uint8_t variant;      /* letter, 0 = none */
};

struct script {
    struct history *history;
    const char *at;                  /* what comes next */
    uint64_t now_ns;                 /* */
    uint64_t asked_ns;               /* 0 = by the next read */
    char names[OPS_MAX][WORD_BYTES]; /* of the operations, by number */
    uint32_t count;                  /* operations */
};

/* The next word of the statement; false at its end. */
static bool word(struct script *script, char *ret_word)
{
    size_t bytes = 0;
    while (isspace((unsigned char)*script->at))
        script->at++;
    while (*script->at != '\0' && *script->at != ';' && !isspace((unsigned char)*script->at) &&
           bytes + 1 < WORD_BYTES)
        ret_word[bytes++] = *script->at++;
    ret_word[bytes] = '\0';
    return bytes > 0;
}

static bool number(struct script *script, uint64_t *ret_number)
{
    char text[WORD_BYTES], *end;
    if (!word(script, text) || !isdigit((unsigned char)text[0]))
        return false;
    *ret_number = strtoull(text, &end, 10);
    return *end == '\0';
}

/* An optional part of a NAME behind its mark. */
static uint64_t part(const char **at, char mark, uint64_t otherwise)
{
    char *end;
    if (**at != mark)
        return otherwise;
    uint64_t value = strtoull(*at + 1, &end, 10);
    *at = end;
    return value;
}

static bool parse_name(const char *text, struct name *ret_name)
{
    struct name name = {.channel = (uint32_t)(text[0] - 'a'), .epoch = 1};
    char *end;
    if (!islower((unsigned char)text[0]) || !isdigit((unsigned char)text[1]))
        return false;
    name.first = strtoull(text + 1, &end, 10);
    if (*end == '/') {
        name.epoch = (uint16_t)name.first;
        name.first = strtoull(end + 1, &end, 10);
    }
    const char *at = end;
    name.last = part(&at, '-', name.first);
    if (islower((unsigned char)*at))
        name.variant = (uint8_t)*at++;
    name.key = part(&at, ':', HISTORY_NONE);
    name.content = (uint32_t)part(&at, '#', 0);
    name.time_us = part(&at, '@', HISTORY_NONE);
    *ret_name = name;
    return *at == '\0' && name.last >= name.first && name.last - name.first < BATCH_MAX;
}

static uint64_t id_of(const struct name *name, uint64_t sequence)
{
    return (uint64_t)name->channel << 48 | (uint64_t)name->epoch << 40 |
           (uint64_t)name->variant << 32 | sequence;
}

static uint32_t key_of(const struct name *name, uint64_t partition)
{
    return (uint32_t)(name->key != HISTORY_NONE ? name->key : partition);
}

/* ---- statements; false: not understood ------------------------------------------------------- */

static bool start(struct script *script, bool call)
{
    char text[WORD_BYTES];
    struct name name;
    uint64_t partition = 0, previous = HISTORY_NONE, epoch = 0, count = 0;
    bool hostile = false, anywhere = call, fine = true;
    if (script->count == OPS_MAX || !word(script, script->names[script->count]) ||
        !parse_name(script->names[script->count], &name))
        return false;
    while (fine && word(script, text)) {
        if (strcmp(text, "in") == 0)
            fine = number(script, &partition);
        else if (strcmp(text, "after") == 0)
            fine = number(script, &previous);
        else if (strcmp(text, "epoch") == 0)
            fine = number(script, &epoch);
        else if (strcmp(text, "hostile") == 0)
            hostile = true;
        else if (strcmp(text, "anywhere") == 0)
            anywhere = true;
        else
            fine = false;
    }
    struct history_record records[BATCH_MAX];
    for (uint64_t sequence = name.first; !call && sequence <= name.last; sequence++)
        records[count++] = (struct history_record){.id = id_of(&name, sequence),
                                                   .sequence = sequence,
                                                   .key = key_of(&name, partition),
                                                   .content = name.content};
    const struct history_start op = {.time_ns = script->now_ns,
                                     .previous = previous,
                                     .client = name.channel,
                                     .channel = name.channel,
                                     .producer_epoch = (uint32_t)epoch,
                                     .partition =
                                         anywhere ? HISTORY_PARTITION_NONE : (uint32_t)partition,
                                     .channel_epoch = name.epoch,
                                     .kind = call ? HISTORY_CALL : HISTORY_PRODUCE,
                                     .hostile = hostile};
    return fine && history_start(script->history, &op, records, (uint32_t)count) ==
                       (int64_t)script->count++;
}

static bool end(struct script *script, enum history_outcome outcome)
{
    char text[WORD_BYTES];
    uint64_t partition = HISTORY_PARTITION_NONE;
    struct history_end op = {
        .time_ns = script->now_ns, .base_offset = HISTORY_NONE, .outcome = (uint8_t)outcome};
    uint32_t found = script->count;
    bool fine = word(script, text);
    while (fine && found > 0 && strcmp(script->names[found - 1], text) != 0)
        found--;
    fine = fine && found > 0;
    while (fine && word(script, text)) {
        if (strcmp(text, "at") == 0)
            fine = number(script, &op.base_offset);
        else if (strcmp(text, "in") == 0)
            fine = number(script, &partition);
        else if (strcmp(text, "index") == 0)
            fine = number(script, &op.log_index);
        else if (strcmp(text, "written") == 0)
            op.level = HISTORY_WRITTEN;
        else if (strcmp(text, "memory") == 0)
            op.level = HISTORY_MEMORY;
        else if (strcmp(text, "dup") == 0)
            op.duplicate = true;
        else
            fine = false;
    }
    op.partition = (uint32_t)partition;
    return fine && history_end(script->history, found - 1, &op) == 0;
}

/* The names behind `at`. */
static bool entries(struct script *script, uint32_t partition)
{
    char text[WORD_BYTES];
    uint64_t offset;
    if (!number(script, &offset))
        return false;
    while (word(script, text)) {
        struct name name;
        if (text[0] == '+' || text[0] == '-') {
            offset += (uint64_t)strtoll(text, NULL, 10);
            continue;
        }
        if (!parse_name(text, &name))
            return false;
        for (uint64_t sequence = name.first; sequence <= name.last; sequence++, offset++) {
            const struct history_entry entry = {
                .id = id_of(&name, sequence),
                .sequence = sequence,
                .append_time_us = (int64_t)(name.time_us != HISTORY_NONE ? name.time_us : offset),
                .key = key_of(&name, partition),
                .content = name.content};
            if (history_read_record(script->history, offset, &entry) < 0)
                return false;
        }
    }
    return true;
}

static bool read_statement(struct script *script)
{
    char text[WORD_BYTES];
    uint64_t partition = 0, reader = 0;
    bool fine = true, records = false;
    struct history_reply reply = {.start_ns =
                                      script->asked_ns ? script->asked_ns : script->now_ns - 1,
                                  .end_ns = script->now_ns,
                                  .requested = HISTORY_NONE,
                                  .first_offset = HISTORY_NONE,
                                  .end_offset = HISTORY_NONE};
    while (fine && !records && word(script, text)) {
        if (strcmp(text, "in") == 0)
            fine = number(script, &partition);
        else if (strcmp(text, "by") == 0)
            fine = number(script, &reader);
        else if (strcmp(text, "from") == 0)
            fine = number(script, &reply.requested);
        else if (strcmp(text, "floor") == 0)
            fine = number(script, &reply.first_offset);
        else if (strcmp(text, "end") == 0)
            fine = number(script, &reply.end_offset);
        else
            records = fine = strcmp(text, "at") == 0;
    }
    reply.partition = (uint32_t)partition;
    reply.reader = (uint32_t)reader;
    script->asked_ns = 0;
    return fine && history_read(script->history, &reply) == 0 &&
           (!records || entries(script, reply.partition));
}

/* "floor OFFSET" and "damage FIRST LAST", then "in PARTITION". */
static bool loss(struct script *script, bool damage)
{
    char text[WORD_BYTES];
    uint64_t first, last = 0, partition = 0;
    if (!number(script, &first) || (damage && !number(script, &last)))
        return false;
    if (word(script, text) && (strcmp(text, "in") != 0 || !number(script, &partition)))
        return false;
    if (damage)
        return history_quarantine(script->history, (uint32_t)partition, first, last,
                                  script->now_ns) == 0;
    return history_floor(script->history, (uint32_t)partition, first, script->now_ns) == 0;
}

static bool statement(struct script *script)
{
    static const char *const marks[] = {"crash", "restart", "faults", "heal", "stop"};
    _Static_assert(sizeof marks / sizeof marks[0] == HISTORY_MARK_COUNT, "a word for each");
    char verb[WORD_BYTES];
    uint64_t seconds;
    if (!word(script, verb))
        return false;
    for (unsigned i = 0; i < HISTORY_MARK_COUNT; i++)
        if (strcmp(verb, marks[i]) == 0)
            return history_mark(script->history, (enum history_mark)i, script->now_ns) == 0;
    if (strcmp(verb, "send") == 0 || strcmp(verb, "call") == 0)
        return start(script, verb[0] == 'c');
    if (strcmp(verb, "ok") == 0)
        return end(script, HISTORY_OK);
    if (strcmp(verb, "fail") == 0)
        return end(script, HISTORY_FAIL);
    if (strcmp(verb, "unknown") == 0)
        return end(script, HISTORY_UNKNOWN);
    if (strcmp(verb, "ask") == 0) {
        script->asked_ns = script->now_ns;
        return true;
    }
    if (strcmp(verb, "repair") == 0) {
        history_repaired(script->history, script->now_ns);
        return true;
    }
    if (strcmp(verb, "together") == 0) {
        script->now_ns -= 2 * SECOND_NS;
        return true;
    }
    if (strcmp(verb, "read") == 0)
        return read_statement(script);
    if (strcmp(verb, "floor") == 0 || strcmp(verb, "damage") == 0)
        return loss(script, verb[0] == 'd');
    if (strcmp(verb, "wait") != 0 || !number(script, &seconds))
        return false;
    script->now_ns += seconds * SECOND_NS;
    return true;
}

const char *history_script(struct history *history, const char *text)
{
    struct script script = {.history = history, .at = text};
    XD_ASSERT(history->op_count == 0);
    while (*script.at != '\0') {
        const char *begin = script.at;
        script.now_ns += SECOND_NS;
        if (!statement(&script))
            return begin;
        while (isspace((unsigned char)*script.at))
            script.at++;
        if (*script.at == ';')
            script.at++;
        else if (*script.at != '\0')
            return begin;
        while (isspace((unsigned char)*script.at))
            script.at++;
    }
    return NULL;
}

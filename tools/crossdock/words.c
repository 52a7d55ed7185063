/* SPDX-License-Identifier: Apache-2.0
 *
 * Words for small numbers; see words.h.
 */
#include "tools/crossdock/words.h"

#include "tools/crossdock/suggest.h"
#include "tools/crossdock/values.h"

#include <crossdock/record.h>
#include <crossdock/status.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Codes that events with names have, now and for some releases: families 0x01 to 0x0f. */
#define EVENT_FIRST 0x0100u
#define EVENT_END 0x1000u

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Index = number. */
static const char *const statuses[] = {"",         "AVAILABLE", "QUALITY",  "BLOCKED", "DAMAGED",
                                       "RETURNED", "EXPIRED",   "RECALLED", "CUSTOMS"};
static const char *const document_types[] = {
    "",    "PURCHASE_ORDER", "SALES_ORDER", "DELIVERY", "TRANSFER_ORDER", "WAVE",       "RMA",
    "ASN", "BILL_OF_LADING", "COUNT",       "WORK",     "LOAD",           "ADJUSTMENT", "SNAPSHOT"};

static const struct {
    uint16_t flag;
    const char *word;
} flag_words[] = {{XDOCK_REVERSAL, "reversal"},       {XDOCK_CORRECTION, "correction"},
                  {XDOCK_BACKDATED, "backdated"},     {XDOCK_SYNTHETIC, "synthetic"},
                  {XDOCK_LAST_IN_DOC, "last_in_doc"}, {XDOCK_OPPOSITE, "opposite"}};

static int find(const char *const *words, size_t count, const char *text, uint64_t most,
                uint8_t *ret_number)
{
    uint64_t number;
    for (size_t i = 1; i < count; i++)
        if (strcmp(words[i], text) == 0) {
            *ret_number = (uint8_t)i;
            return 0;
        }
    if (value_number(text, most, &number) < 0)
        return XDOCK_FIELD_INVALID;
    *ret_number = (uint8_t)number;
    return 0;
}

static void text_of(const char *const *words, size_t count, uint8_t number, char *ret_text)
{
    if (number < count)
        snprintf(ret_text, WORDS_BYTES, "%s", words[number]);
    else
        snprintf(ret_text, WORDS_BYTES, "%u", number);
}

int word_status(const char *text, uint8_t *ret_status)
{
    return find(statuses, COUNT(statuses), text, UINT8_MAX, ret_status);
}

int word_document_type(const char *text, uint8_t *ret_type)
{
    return find(document_types, COUNT(document_types), text, UINT8_MAX, ret_type);
}

int word_flags(const char *text, uint16_t *ret_flags)
{
    uint16_t flags = 0;
    while (*text != '\0') {
        size_t bytes = strcspn(text, ",");
        bool found = false;
        for (size_t i = 0; i < COUNT(flag_words); i++)
            if (strlen(flag_words[i].word) == bytes &&
                memcmp(flag_words[i].word, text, bytes) == 0) {
                flags |= flag_words[i].flag;
                found = true;
            }
        if (!found)
            return XDOCK_FIELD_INVALID;
        text += bytes;
        text += *text == ',';
    }
    *ret_flags = flags;
    return 0;
}

int word_event(const char *text, uint16_t *ret_type)
{
    uint64_t number;
    uint16_t type = xdock_event_find(text);
    if (type == 0) {
        if (value_number(text, UINT16_MAX, &number) < 0 || number == 0)
            return XDOCK_FIELD_INVALID;
        type = (uint16_t)number;
    }
    *ret_type = type;
    return 0;
}

static void suggest_word(const char *const *words, size_t count, const char *text, char *why,
                         size_t why_bytes)
{
    struct suggest suggest;
    suggest_init(&suggest, text);
    for (size_t i = 1; i < count; i++)
        suggest_offer(&suggest, words[i], strlen(words[i]));
    suggest_append(&suggest, why, why_bytes);
}

void word_status_suggest(const char *text, char *why, size_t why_bytes)
{
    suggest_word(statuses, COUNT(statuses), text, why, why_bytes);
}

void word_document_type_suggest(const char *text, char *why, size_t why_bytes)
{
    suggest_word(document_types, COUNT(document_types), text, why, why_bytes);
}

void word_event_suggest(const char *text, char *why, size_t why_bytes)
{
    struct suggest suggest;
    suggest_init(&suggest, text);
    for (uint16_t type = EVENT_FIRST; type < EVENT_END; type++) {
        const char *name = xdock_event_name(type);
        if (name != NULL)
            suggest_offer(&suggest, name, strlen(name));
    }
    suggest_append(&suggest, why, why_bytes);
}

void word_status_text(uint8_t status, char *ret_text)
{
    text_of(statuses, COUNT(statuses), status, ret_text);
}

void word_document_type_text(uint8_t type, char *ret_text)
{
    text_of(document_types, COUNT(document_types), type, ret_text);
}

void word_flags_text(uint16_t flags, char *ret_text)
{
    size_t used = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < COUNT(flag_words); i++) {
        if ((flags & flag_words[i].flag) == 0)
            continue;
        int more = snprintf(ret_text + used, WORDS_BYTES - used, "%s%s", used > 0 ? "," : "",
                            flag_words[i].word);
        used += more > 0 ? (size_t)more : 0;
    }
}

void word_event_text(uint16_t type, char *ret_text)
{
    const char *name = xdock_event_name(type);
    if (name != NULL)
        snprintf(ret_text, WORDS_BYTES, "%s", name);
    else
        snprintf(ret_text, WORDS_BYTES, "0x%04x", type);
}

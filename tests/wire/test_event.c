/* SPDX-License-Identifier: Apache-2.0
 *
 * The event table: complete, consistent, found by code and by name, and enforced.
 */
#include "wire/event.h"

#include "wire/record.h"
#include "wire/status.h"

#include <criterion/criterion.h>

#include <ctype.h>
#include <string.h>

static const struct xd_event_row *by_name(const char *name)
{
    return xd_event_find_name(name, (uint32_t)strlen(name));
}

/* 77 rows in rising code sequence; a second row of a code could never be found. */
Test(event, lists_77_codes_in_rising_sequence)
{
    unsigned count = 0;
    unsigned last = 0;
    const struct xd_event_row *row;
    for (; (row = xd_event_at(count)); count++) {
        cr_expect_gt(row->code, last, "%s", row->name);
        last = row->code;
    }
    cr_expect_eq(count, 77u);
    cr_expect_null(xd_event_at(77));
    cr_expect_null(xd_event_at(~0u));
}

/* The families hold what the event model counts, and each family its kinds. */
Test(event, counts_the_families_of_the_event_model)
{
    static const unsigned expected[] = {0, 23, 9, 16, 4, 6, 4, 4, 7, 4};
    unsigned counts[10] = {0};
    unsigned commands = 0;
    const struct xd_event_row *row;
    for (unsigned i = 0; (row = xd_event_at(i)); i++) {
        unsigned family = row->code >> 8;
        cr_assert_lt(family, 10u, "%s", row->name);
        counts[family]++;
        commands += row->kind == XD_RECORD_COMMAND;
        cr_expect_eq(row->kind == XD_RECORD_CONTROL, family == 8, "%s", row->name);
        cr_expect_eq(row->kind == XD_RECORD_DERIVED, family == 9, "%s", row->name);
    }
    for (unsigned i = 0; i < 10; i++)
        cr_expect_eq(counts[i], expected[i], "family %u", i);
    cr_expect_eq(commands, 9u);
}

/* Every field of a row is usable: name characters, a known topic, a text, known groups. */
Test(event, fills_every_row)
{
    static const char *const topics[] = {"order", "stock", "hu", "master", "ops"};
    const struct xd_event_row *row;
    for (unsigned i = 0; (row = xd_event_at(i)); i++) {
        for (const char *c = row->name; *c; c++)
            cr_expect(isupper((unsigned char)*c) || *c == '_', "%s", row->name);
        unsigned known = 0;
        for (size_t t = 0; t < sizeof(topics) / sizeof(topics[0]); t++)
            known += strcmp(row->topic, topics[t]) == 0;
        cr_expect_eq(known, 1u, "%s in topic %s", row->name, row->topic);
        cr_expect_gt(strlen(row->text), 8u, "%s", row->name);
        cr_expect_eq(row->groups & ~XD_GROUPS_ALL, 0, "%s", row->name);
        cr_expect_eq(strcmp(row->topic, "ops") == 0, row->code >= 0x0800, "%s", row->name);
        cr_expect_eq(strcmp(row->topic, "master") == 0, row->code >> 8 == 7, "%s", row->name);
    }
}

/* Of all 65,536 codes exactly the listed ones are found. */
Test(event, finds_listed_codes_and_no_others)
{
    unsigned found = 0;
    for (uint32_t code = 0; code <= 0xffff; code++) {
        const struct xd_event_row *row = xd_event_find((uint16_t)code);
        cr_assert(!row || row->code == code, "%04x", code);
        found += row != NULL;
    }
    cr_expect_eq(found, 77u);
    cr_expect_eq(xd_event_find(XD_EVENT_PICK_CONFIRMED), by_name("PICK_CONFIRMED"));
}

/* Every name leads to its own row; the index of names is in sequence, else some would be missed. */
Test(event, finds_every_name)
{
    const struct xd_event_row *row;
    for (unsigned i = 0; (row = xd_event_at(i)); i++)
        cr_expect_eq(by_name(row->name), row, "%s", row->name);
}

/* Names are exact: no prefix, no longer text, no other case, no text in between. */
Test(event, refuses_other_names)
{
    static const char *const others[] = {
        "", "A", "ZZZZ", "pick_confirmed", "PICK", "PICK_CONFIRMED ", "HU_UNNESTED", "0107"};
    char text[32];
    const struct xd_event_row *row;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        cr_expect_null(by_name(others[i]), "%s", others[i]);
    for (unsigned i = 0; (row = xd_event_at(i)); i++) {
        size_t bytes = strlen(row->name);
        memcpy(text, row->name, bytes + 1);
        const struct xd_event_row *cut = xd_event_find_name(text, (uint32_t)bytes - 1);
        cr_expect_neq(cut, row, "%s without its last character", row->name);
        text[bytes - 1]++;
        cr_expect_null(by_name(text), "%s", text);
    }
}

/* Rows that other modules lean on, as the event model states them. */
Test(event, states_kind_topic_and_groups)
{
    enum {
        S = XD_GROUP_STOCK,
        Q = XD_GROUP_QUANTITY,
        D = XD_GROUP_DOCUMENT,
        H = XD_GROUP_HU,
        L = XD_GROUP_LINEAGE,
        R = XD_GROUP_REVISION
    };
    static const struct {
        uint16_t code;
        uint8_t kind;
        const char *topic;
        int groups;
    } rows[] = {
        {0x0101, XD_RECORD_COMMAND, "order", D | R},
        {0x0107, XD_RECORD_FACT, "stock", S | Q | D | H},
        {0x0109, XD_RECORD_FACT, "stock", S | Q | D | H | L},
        {0x010b, XD_RECORD_FACT, "hu", S | Q | D | H},
        {0x010d, XD_RECORD_FACT, "hu", S | H},
        {0x0110, XD_RECORD_FACT, "order", D | R},
        {0x0204, XD_RECORD_FACT, "stock", S | Q | D | R},
        {0x0207, XD_RECORD_FACT, "stock", S | Q | D},
        {0x0302, XD_RECORD_FACT, "stock", S | Q | D | R},
        {0x0306, XD_RECORD_COMMAND, "stock", S | Q | D},
        {0x0310, XD_RECORD_FACT, "stock", Q | D},
        {0x0501, XD_RECORD_FACT, "hu", H},
        {0x0702, XD_RECORD_FACT, "master", D | R},
        {0x0801, XD_RECORD_CONTROL, "ops", L},
        {0x0804, XD_RECORD_CONTROL, "ops", 0},
        {0x0903, XD_RECORD_DERIVED, "ops", S | Q},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct xd_event_row *row = xd_event_find(rows[i].code);
        cr_assert(row, "%04x", rows[i].code);
        cr_expect_eq(row->kind, rows[i].kind, "%s", row->name);
        cr_expect_str_eq(row->topic, rows[i].topic, "%s", row->name);
        cr_expect_eq(row->groups, rows[i].groups, "%s", row->name);
    }
}

/* For every row and every set of groups: accepted exactly when the required ones are there. */
Test(event, requires_the_groups_of_the_row)
{
    static const char *const names[] = {"stock",   "quantity",  "document", "hu",
                                        "lineage", "batch_ref", "revision"};
    const struct xd_event_row *row;
    for (unsigned i = 0; (row = xd_event_at(i)); i++) {
        for (unsigned present = 0; present <= XD_GROUPS_ALL; present++) {
            const char *field = "untouched";
            int status = xd_event_check(row->code, row->kind, (uint8_t)present, &field);
            unsigned missing = row->groups & ~present;
            if (!missing) {
                cr_assert_eq(status, 0, "%s %02x", row->name, present);
                cr_assert_str_eq(field, "untouched");
            } else {
                cr_assert_eq(status, XD_RECORD_MALFORMED, "%s %02x", row->name, present);
                cr_assert_str_eq(field, names[__builtin_ctz(missing)]);
            }
        }
    }
}

/* The kind in the flags is that of the row; other flags do not matter here. */
Test(event, requires_the_kind_of_the_row)
{
    const struct xd_event_row *row;
    for (unsigned i = 0; (row = xd_event_at(i)); i++) {
        for (uint16_t kind = 0; kind <= XD_RECORD_KIND_MASK; kind++) {
            const char *field = NULL;
            uint16_t flags = (uint16_t)(kind | XD_RECORD_SYNTHETIC | XD_RECORD_OPPOSITE);
            int status = xd_event_check(row->code, flags, row->groups, &field);
            cr_assert_eq(status, kind == row->kind ? 0 : XD_RECORD_MALFORMED, "%s", row->name);
            cr_assert(kind == row->kind || strcmp(field, "flags") == 0, "%s", row->name);
        }
    }
}

/* Private codes are the source's own business; unknown ones below them are not. */
Test(event, lets_private_codes_pass_and_refuses_unknown_ones)
{
    const char *field = NULL;
    cr_expect_eq(xd_event_check(0xf000, XD_RECORD_DERIVED, 0, &field), 0);
    cr_expect_eq(xd_event_check(0xffff, XD_RECORD_FACT, XD_GROUPS_ALL, &field), 0);
    cr_expect_null(field);
    static const uint16_t unknown[] = {0, 0x0100, 0x0118, 0x0a01, 0x01ff, 0xefff};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        field = NULL;
        cr_expect_eq(xd_event_check(unknown[i], 0, XD_GROUPS_ALL, &field), XD_FIELD_INVALID);
        cr_expect_str_eq(field, "type");
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/admin/arguments.c: what is taken, what is refused, and with which words.
 */
#include "broker/admin/arguments.h"

#include "broker/admin/verbs.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char detail[XD_DETAIL_BYTES_MAX];

static int parse(enum verb verb, const char *json, struct arguments *ret_arguments)
{
    detail[0] = '\0';
    return arguments_parse(verb, suggest_text(json), ret_arguments, detail);
}

static void expect_refused(enum verb verb, const char *json, int status, const char *words)
{
    struct arguments arguments;
    cr_assert_eq(parse(verb, json, &arguments), status, "%s", json);
    cr_assert_not_null(strstr(detail, words), "%s: %s", json, detail);
}

/* Values of each kind arrive; what is not given has its default. */
Test(admin_arguments, gives_values_and_defaults)
{
    struct arguments a;
    cr_assert_eq(parse(VERB_topic_create, "{\"name\":\"x-1\",\"width\":12,\"dry_run\":true}", &a),
                 0);
    struct xd_text name = arguments_text(&a, "name", "");
    cr_assert(name.bytes == 3 && memcmp(name.data, "x-1", 3) == 0);
    cr_assert_eq(arguments_number(&a, "width", 8), 12);
    cr_assert(arguments_flag(&a, "dry_run"));
    cr_assert(arguments_given(&a, "width"));
    cr_assert_not(arguments_given(&a, "strategy"));
    name = arguments_text(&a, "strategy", "sku");
    cr_assert(name.bytes == 3 && memcmp(name.data, "sku", 3) == 0);
    arguments_release(&a);

    cr_assert_eq(parse(VERB_topic_create, "{\"name\":\"x\",\"dry_run\":false}", &a), 0);
    cr_assert_not(arguments_flag(&a, "dry_run"));
    cr_assert(arguments_given(&a, "dry_run"));
    cr_assert_eq(arguments_number(&a, "width", 8), 8);
    arguments_release(&a);
}

/* No text at all is no arguments; a verb without arguments takes an empty object too. */
Test(admin_arguments, takes_nothing_as_no_arguments)
{
    struct arguments a;
    cr_assert_eq(parse(VERB_status, "", &a), 0);
    arguments_release(&a);
    cr_assert_eq(parse(VERB_status, " {} ", &a), 0);
    arguments_release(&a);
    cr_assert_eq(parse(VERB_facility_list, "", &a), 0);
    cr_assert_eq(arguments_number(&a, "from", 7), 7);
    arguments_release(&a);
}

/* Everything but one object is refused, and so is a key that stands there twice. */
Test(admin_arguments, refuses_what_is_not_one_object)
{
    static const char *const texts[] = {"[]",
                                        "null",
                                        "1",
                                        "\"x\"",
                                        "{",
                                        "{}x",
                                        "{} {}",
                                        "x",
                                        "{\"name\":\"a\",\"name\":\"a\"}",
                                        "{\"name\":\"\\u0000\"}",
                                        "{'name':1}",
                                        "{\"name\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        expect_refused(VERB_topic_show, texts[i], XD_FIELD_INVALID, "arguments: ");
}

/* Nesting as deep as a request allows is refused, not followed into the end of the stack. */
Test(admin_arguments, refuses_deep_nesting)
{
    static char json[XD_ADMIN_REQUEST_BYTES_MAX];
    memset(json, '[', sizeof json - 1);
    expect_refused(VERB_status, json, XD_FIELD_INVALID, "arguments: ");
}

/* An unknown argument names the nearest one, and the verb. */
Test(admin_arguments, names_the_argument_that_was_meant)
{
    expect_refused(VERB_topic_create, "{\"nmae\":\"x\"}", XD_FIELD_INVALID,
                   "nmae: verb 'topic create' has no such argument; did you mean 'name'?");
    expect_refused(VERB_status, "{\"x\":1}", XD_FIELD_INVALID, "no such argument");
}

/* Each kind refuses the others. */
Test(admin_arguments, refuses_values_of_another_kind)
{
    expect_refused(VERB_topic_show, "{\"name\":1}", XD_FIELD_INVALID, "name: expected a string");
    expect_refused(VERB_topic_show, "{\"name\":null}", XD_FIELD_INVALID, "name: expected a string");
    static const char *const numbers[] = {"\"8\"", "8.0", "-1", "true", "1e3"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"name\":\"x\",\"width\":%s}", numbers[i]);
        expect_refused(VERB_topic_create, json, XD_FIELD_INVALID, "width: expected a whole number");
    }
    expect_refused(VERB_topic_create, "{\"name\":\"x\",\"dry_run\":1}", XD_FIELD_INVALID,
                   "dry_run: expected true or false");
    expect_refused(VERB_topic_create, "{\"name\":\"x\",\"width\":99999999999999999999}",
                   XD_FIELD_INVALID, "arguments: ");
}

/* What a verb needs is named when it is missing. */
Test(admin_arguments, names_what_is_missing)
{
    expect_refused(VERB_topic_create, "{\"width\":3}", XD_FIELD_INVALID,
                   "name: verb 'topic create' needs it");
    expect_refused(VERB_source_show, "", XD_FIELD_INVALID, "source: verb 'source show' needs it");
}

/* A setting that this release lacks is refused with the reason, whatever its value. */
Test(admin_arguments, says_why_a_setting_is_not_supported)
{
    expect_refused(VERB_topic_create, "{\"name\":\"x\",\"retention\":\"7d\"}",
                   XD_SETTING_UNSUPPORTED, "retention: ");
    expect_refused(VERB_topic_create, "{\"compaction\":null}", XD_SETTING_UNSUPPORTED,
                   "compaction: compaction needs sorted segments");
    expect_refused(VERB_topic_create, "{\"dedup\":true}", XD_SETTING_UNSUPPORTED, "dedup: ");
    expect_refused(VERB_topic_create, "{\"replication\":3}", XD_SETTING_UNSUPPORTED,
                   "replication: ");
}

/* Characters that could harm a terminal do not reach the detail. */
Test(admin_arguments, keeps_control_characters_out_of_the_detail)
{
    expect_refused(VERB_topic_show, "{\"\\u001b[31m\":1}", XD_FIELD_INVALID, "?[31m: ");
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/admin/verbs.c: the table keeps its rules, and docs/ADMIN.md tells of all of it.
 */
#include "broker/admin/verbs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Names are unique, and handlers, arguments and texts are there. */
Test(admin_verbs, has_unique_verbs_with_texts)
{
    const struct admin_verb_row *verb;
    for (unsigned i = 0; (verb = admin_verb_at(i)) != NULL; i++) {
        size_t bytes = strlen(verb->name);
        cr_assert(bytes >= 1 && bytes <= 64, "%s", verb->name);
        cr_assert(strlen(verb->text) >= 8 && strlen(verb->text) <= 100, "%s", verb->name);
        for (unsigned other = 0; other < i; other++)
            cr_assert_str_neq(verb->name, admin_verb_at(other)->name);
    }
    cr_assert_null(admin_verb_at(VERB_COUNT));
    cr_assert_null(admin_verb_at(VERB_COUNT + 1));
}

/* Arguments of a verb are few enough for a call, unique, and the required ones come first. */
Test(admin_verbs, has_unique_arguments_that_fit_a_call)
{
    for (unsigned i = 0; admin_verb_at(i) != NULL; i++) {
        const struct admin_argument_row *argument;
        unsigned count = 0;
        bool optional = false;
        for (; (argument = admin_argument_at(i, count)) != NULL; count++) {
            cr_assert(!(argument->required && optional), "%s", argument->name);
            optional = optional || !argument->required;
            for (unsigned other = 0; other < count; other++)
                cr_assert_str_neq(argument->name, admin_argument_at(i, other)->name);
        }
        cr_assert_leq(count, ARGUMENTS_MAX);
    }
    cr_assert_null(admin_argument_at(VERB_COUNT, 0));
}

/* A verb that changes something can be tried dry, and no other pretends so. */
Test(admin_verbs, offers_a_dry_run_for_every_change)
{
    const struct admin_verb_row *verb;
    for (unsigned i = 0; (verb = admin_verb_at(i)) != NULL; i++) {
        const struct admin_argument_row *argument;
        bool dry_run = false;
        for (unsigned k = 0; (argument = admin_argument_at(i, k)) != NULL; k++)
            dry_run = dry_run || strcmp(argument->name, "dry_run") == 0;
        cr_assert_eq(dry_run, verb->changes, "%s", verb->name);
    }
}

static char *read_page(void)
{
    static char page[256 * 1024];
    FILE *file = fopen(ADMIN_MD, "r");
    cr_assert_not_null(file, "%s", ADMIN_MD);
    size_t bytes = fread(page, 1, sizeof page - 1, file);
    fclose(file);
    cr_assert_lt(bytes, sizeof page - 1);
    page[bytes] = '\0';
    return page;
}

/* The page has a heading for each verb in the table's sequence, and below it each argument. */
Test(admin_verbs, is_described_whole_in_the_manual)
{
    const char *at = read_page();
    const struct admin_verb_row *verb;
    for (unsigned i = 0; (verb = admin_verb_at(i)) != NULL; i++) {
        char heading[128];
        snprintf(heading, sizeof heading, "\n### %s\n", verb->name);
        at = strstr(at, heading);
        cr_assert_not_null(at, "docs/ADMIN.md lacks '%s', or has it elsewhere", verb->name);
        const char *end = strstr(at + 1, "\n### ");
        const struct admin_argument_row *argument;
        for (unsigned k = 0; (argument = admin_argument_at(i, k)) != NULL; k++) {
            char name[64];
            snprintf(name, sizeof name, "`%s`", argument->name);
            const char *found = strstr(at, name);
            cr_assert(found != NULL && (end == NULL || found < end), "docs/ADMIN.md: '%s' lacks %s",
                      verb->name, name);
        }
    }
}

/* Text of a request goes into messages without control characters, and cut. */
Test(admin_verbs, quotes_only_printable_text)
{
    struct quoted quoted = quote((struct xd_text){"a\x1b\x7f\xffz", 5});
    cr_assert_str_eq(quoted.text, "a???z");
    char longer[XD_NAME_BYTES_MAX + 10];
    memset(longer, 'n', sizeof longer);
    quoted = quote((struct xd_text){longer, sizeof longer});
    cr_assert_eq(strlen(quoted.text), XD_NAME_BYTES_MAX);
}

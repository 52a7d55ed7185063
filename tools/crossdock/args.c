/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line; see args.h. Two passes: the first finds the verb, because only the verb knows
 * which options there are; the second reads options and positional arguments.
 */
#include "tools/crossdock/args.h"

#include "tools/crossdock/suggest.h"

#include <crossdock/status.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* What parsing carries along. */
struct scan {
    int argc;                /* */
    const char *const *argv; /* */
    struct args *args;       /* */
    int verb_words[2];       /* places of the verb's words in argv, 0 = none */
    int verb_last;           /* place of its last word */
    char *why;               /* */
    size_t why_bytes;        /* */
};

/* "-" is standard input, "-10065" a number. */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && !isdigit((unsigned char)word[1]);
}

/* The value that an option's word carries itself ("--output=json", "-ojson"), or NULL. */
static const char *joined_value(const char *word)
{
    if (word[1] != '-')
        return word[2] != '\0' ? word + 2 : NULL;
    const char *equals = strchr(word, '=');
    return equals != NULL ? equals + 1 : NULL;
}

static const struct option_row *row_of(const struct verb *verb, const char *word)
{
    if (word[1] != '-')
        return option_find_letter(verb, word[1]);
    return option_find(verb, word + 2, strcspn(word + 2, "="));
}

/* Whether `word`, as an option of any verb, takes the next word as its value. */
static bool takes_next(const char *word)
{
    const struct verb *verb;
    for (unsigned i = 0; (verb = verb_at(i)) != NULL; i++) {
        const struct option_row *row = row_of(verb, word);
        if (row != NULL)
            return row->value[0] != '\0' && joined_value(word) == NULL;
    }
    return false;
}

/* Appends "; 'topic' has list, show, create". */
static void add_family(const char *family, char *why, size_t why_bytes)
{
    const struct verb *verb;
    const char *between = " has ";
    size_t bytes = strlen(family), used = strlen(why);
    snprintf(why + used, why_bytes - used, "; '%s'", family);
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++) {
        if (strncmp(verb->name, family, bytes) != 0 || verb->name[bytes] != ' ')
            continue;
        used = strlen(why);
        snprintf(why + used, why_bytes - used, "%s%s", between, verb->name + bytes + 1);
        between = ", ";
    }
}

/* A word that begins some verbs is a family, which is no mistake when help on it is wanted. */
static int unknown_verb(struct scan *scan, const char *const *words, unsigned count)
{
    char given[128];
    struct suggest suggest;
    const struct verb *verb;
    bool group = false;
    snprintf(given, sizeof given, "%s%s%s", words[0], count > 1 ? " " : "",
             count > 1 ? words[1] : "");
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++)
        group = group || (strncmp(verb->name, words[0], strlen(words[0])) == 0 &&
                          verb->name[strlen(words[0])] == ' ');
    if (group && count == 1) {
        scan->args->family = words[0];
        return 0;
    }
    suggest_init(&suggest, given);
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++)
        suggest_offer(&suggest, verb->name, strlen(verb->name));
    if (suggest.best[0] == '\0' && !group) { /* the second word may be an argument */
        suggest_init(&suggest, words[0]);
        for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++)
            suggest_offer(&suggest, verb->name, strcspn(verb->name, " "));
    }
    snprintf(scan->why, scan->why_bytes, "'%s' is no verb", group ? given : words[0]);
    suggest_append(&suggest, scan->why, scan->why_bytes);
    if (group && suggest.best[0] == '\0')
        add_family(words[0], scan->why, scan->why_bytes);
    return XDOCK_OPTION_UNKNOWN;
}

static int find_verb(struct scan *scan)
{
    const char *words[2];
    int places[2];
    unsigned count = 0, taken = 0;
    for (int i = 1; i < scan->argc && count < 2; i++) {
        if (strcmp(scan->argv[i], "--") == 0)
            break;
        if (!is_option(scan->argv[i])) {
            places[count] = i;
            words[count++] = scan->argv[i];
        } else if (takes_next(scan->argv[i])) {
            i++;
        }
    }
    scan->args->verb = NULL;
    scan->verb_last = 0;
    if (count == 0)
        return 0;
    scan->args->verb = verb_find(words, count, &taken);
    if (scan->args->verb == NULL) {
        scan->verb_words[0] = places[0];
        return unknown_verb(scan, words, count);
    }
    for (unsigned i = 0; i < taken; i++)
        scan->verb_words[i] = places[i];
    scan->verb_last = places[taken - 1];
    return 0;
}

static int unknown_option(struct scan *scan, const struct verb *verb, const char *word)
{
    struct suggest suggest;
    const struct option_row *row;
    size_t bytes = strcspn(word, "=");
    snprintf(scan->why, scan->why_bytes, "'%.*s' is no option of '%s'", (int)bytes, word,
             verb->id == VERB_ID_global ? "crossdock" : verb->name);
    suggest_init(&suggest, word[1] == '-' ? word + 2 : word + 1);
    for (unsigned i = 0; (row = option_at(verb, i)) != NULL; i++)
        suggest_offer(&suggest, row->name, strlen(row->name));
    suggest_append_option(&suggest, scan->why, scan->why_bytes);
    return XDOCK_OPTION_UNKNOWN;
}

/* One of the words that a choice allows. Choices with a word in capitals allow anything. */
static int check_choice(struct scan *scan, const struct option_row *row, const char *value)
{
    const char *word;
    size_t bytes;
    if (strpbrk(row->value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL)
        return 0;
    struct suggest suggest;
    suggest_init(&suggest, value);
    for (unsigned i = 0; (bytes = choice_at(row->value, i, &word)) > 0; i++) {
        if (strlen(value) == bytes && memcmp(value, word, bytes) == 0)
            return 0;
        suggest_offer(&suggest, word, bytes);
    }
    snprintf(scan->why, scan->why_bytes, "--%s: '%s' is none of %s", row->name, value, row->value);
    suggest_append(&suggest, scan->why, scan->why_bytes);
    return XDOCK_OPTION_INVALID;
}

/* Reads the option at `*place`, moves on to its value where that is the next word. */
static int take_option(struct scan *scan, const struct verb *verb, int *place)
{
    const char *word = scan->argv[*place];
    const struct option_row *row = row_of(verb, word);
    struct args *args = scan->args;
    if (row == NULL)
        return unknown_option(scan, verb, word);
    const char *value = joined_value(word);
    if (row->value[0] == '\0' && value != NULL) {
        snprintf(scan->why, scan->why_bytes, "--%s takes no value", row->name);
        return XDOCK_OPTION_INVALID;
    }
    if (row->value[0] != '\0' && value == NULL) {
        if (*place + 1 >= scan->argc) {
            snprintf(scan->why, scan->why_bytes, "--%s needs a value: %s", row->name, row->value);
            return XDOCK_OPTION_INVALID;
        }
        value = scan->argv[++*place];
    }
    int status = value != NULL ? check_choice(scan, row, value) : 0;
    if (status == 0 && args->option_count == ARGS_OPTIONS_MAX) {
        snprintf(scan->why, scan->why_bytes, "more than %u options", ARGS_OPTIONS_MAX);
        status = XDOCK_OPTION_INVALID;
    }
    if (status == 0)
        args->options[args->option_count++] = (struct args_option){row, value};
    return status;
}

static int check_count(struct scan *scan)
{
    const struct args *args = scan->args;
    unsigned least, most;
    verb_bounds(args->verb, &least, &most);
    for (unsigned i = 0; i < args->option_count; i++)
        if (strcmp(args->options[i].row->name, "help") == 0)
            return 0;
    if (args->positional_count < least)
        snprintf(scan->why, scan->why_bytes, "'%s' needs: %s", args->verb->name,
                 args->verb->arguments);
    else if (args->positional_count > most)
        snprintf(scan->why, scan->why_bytes, "'%s' is one argument too many for '%s'",
                 args->positionals[most], args->verb->name);
    else
        return 0;
    return XDOCK_OPTION_INVALID;
}

static int take_positional(struct scan *scan, const char *word)
{
    struct args *args = scan->args;
    if (args->positional_count == ARGS_POSITIONALS_MAX) {
        snprintf(scan->why, scan->why_bytes, "more than %u arguments", ARGS_POSITIONALS_MAX);
        return XDOCK_OPTION_INVALID;
    }
    args->positionals[args->positional_count++] = word;
    return 0;
}

int args_parse(int argc, const char *const *argv, struct args *ret_args, char *why,
               size_t why_bytes)
{
    struct scan scan = {
        .argc = argc, .argv = argv, .args = ret_args, .why = why, .why_bytes = why_bytes};
    *ret_args = (struct args){0};
    int status = find_verb(&scan);
    if (status < 0)
        return status;
    const struct verb *verb = ret_args->verb != NULL ? ret_args->verb : verb_at(VERB_ID_global);
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        /* Behind a verb that hands its arguments on, every word is one of them. */
        bool pass = (verb->flags & VERB_PASS) != 0 && i > scan.verb_last;
        if (i == scan.verb_words[0] || i == scan.verb_words[1])
            continue;
        if (!ended && !pass && strcmp(argv[i], "--") == 0)
            ended = true;
        else if (!ended && !pass && is_option(argv[i]))
            status = take_option(&scan, verb, &i);
        else
            status = take_positional(&scan, argv[i]);
        if (status < 0)
            return status;
    }
    return ret_args->verb != NULL ? check_count(&scan) : 0;
}

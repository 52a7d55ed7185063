/* SPDX-License-Identifier: Apache-2.0
 *
 * Access to the verb table (verbs.def), and the functions that its rows run.
 * Must not print and must not know what a verb does.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_VERBS_H
#define CROSSDOCK_TOOLS_CROSSDOCK_VERBS_H

#include <stdbool.h>
#include <stddef.h>

struct tool;

/* Flags of a verb. */
#define VERB_CHANGES 0x1u /* takes --dry-run */
#define VERB_LOCAL 0x2u   /* needs no broker */
#define VERB_STREAM 0x4u  /* one JSON object a line */
#define VERB_PASS 0x8u    /* hands its arguments on as they stand */

enum verb_id {
#define VERB(id, name, arguments, flags, text, example1, example2) VERB_ID_##id,
#define OPTION(verb, name, letter, value, text)
#define NOTE(verb, text)
#include "tools/crossdock/verbs.def"
#undef VERB
#undef OPTION
#undef NOTE
    VERB_COUNT
};

struct verb {
    enum verb_id id;               /* */
    const char *name;              /* "topic create" */
    const char *arguments;         /* "NAME", "SOURCE [CHANNEL]" */
    unsigned flags;                /* VERB_* */
    const char *text;              /* one line */
    const char *examples[2];       /* whole command lines */
    int (*run)(struct tool *tool); /* gives the exit status */
};

struct option_row {
    enum verb_id verb; /* VERB_ID_global: of every verb */
    const char *name;  /* "dry-run", without dashes */
    char letter;       /* 's', or 0 */
    const char *value; /* "" = a flag; "json|tsv"; "FILE" */
    const char *text;  /* one line */
};

/* Verb number `row` from 0 (0 is `global`), NULL behind the last. */
const struct verb *verb_at(unsigned row);
/* The verb that the first words are: 0..count of them are given. NULL when there is none;
 * *ret_words tells how many words it took. */
const struct verb *verb_find(const char *const *words, unsigned count, unsigned *ret_words);

/* Option number `row` of the verb, its own first, then --dry-run where it has one, then the global
 * ones. NULL behind the last. */
const struct option_row *option_at(const struct verb *verb, unsigned row);
const struct option_row *option_find(const struct verb *verb, const char *name, size_t bytes);
const struct option_row *option_find_letter(const struct verb *verb, char letter);
/* Paragraph number `row` of the verb's help, NULL behind the last. */
const char *note_at(const struct verb *verb, unsigned row);

/* Least and most positional arguments that the verb takes. */
void verb_bounds(const struct verb *verb, unsigned *ret_least, unsigned *ret_most);

/* Word number `row` of a choice ("a|b|c"): its bytes, 0 behind the last or when `value` is no
 * choice of literal words. */
size_t choice_at(const char *value, unsigned row, const char **ret_word);

#endif

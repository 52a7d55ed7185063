/* SPDX-License-Identifier: Apache-2.0
 *
 * Did you mean: the known word that is nearest to a mistyped one, by inserted, dropped, changed and
 * swapped characters. Nothing is suggested that differs in more than a third of its characters.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_SUGGEST_H
#define CROSSDOCK_TOOLS_CROSSDOCK_SUGGEST_H

#include <stddef.h>

/* Longer words are never near to anything. */
#define SUGGEST_BYTES_MAX 40u

struct suggest {
    char given[SUGGEST_BYTES_MAX + 1]; /* lower case */
    char best[SUGGEST_BYTES_MAX + 1];  /* "" = none yet */
    unsigned distance;                 /* of `best` */
};

void suggest_init(struct suggest *suggest, const char *given);
void suggest_offer(struct suggest *suggest, const char *known, size_t bytes);
/* Appends "; did you mean 'x'?" to a text when there is something to suggest. */
void suggest_append(const struct suggest *suggest, char *text, size_t text_bytes);
/* The same with two dashes in front of the word. */
void suggest_append_option(const struct suggest *suggest, char *text, size_t text_bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * "Did you mean": the nearest of the words that would have been right. Serves names of verbs,
 * arguments, objects and options.
 *
 * Normal path: suggest_init with the word that was not known, suggest_offer with every word that
 * is, suggest_best. Distance counts insertions, deletions, substitutions and swaps of neighbours;
 * what is further away than a third of the word is no suggestion. Must not allocate.
 */
#ifndef CROSSDOCK_ADMIN_SUGGEST_H
#define CROSSDOCK_ADMIN_SUGGEST_H

#include <stdint.h>

#include "wire/request.h"

/* Longer words get no suggestion, in bytes. */
#define SUGGEST_BYTES_MAX 64u

struct suggest {
    struct xd_text word; /* what was given; borrowed */
    struct xd_text best; /* nearest so far, empty = none; borrowed from the offer */
    uint32_t distance;   /* of the best; at first one more than is near enough */
};

void suggest_init(struct suggest *suggest, struct xd_text word);
/* The first of equally near words stays. */
void suggest_offer(struct suggest *suggest, struct xd_text candidate);
/* The nearest word offered, or an empty text when none is near enough. */
struct xd_text suggest_best(const struct suggest *suggest);

/* Writes "; did you mean 'x'?" behind the text in `detail` (XD_DETAIL_BYTES_MAX) when there is one.
 */
void suggest_append(const struct suggest *suggest, char *detail);

/* A zero-terminated text as xd_text. */
struct xd_text suggest_text(const char *text);

#endif

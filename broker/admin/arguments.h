/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments of a verb out of the request's JSON, checked against the verb's rows. The only file
 * that knows jansson is arguments.c.
 *
 * Normal path: arguments_parse, then arguments_text and its siblings by name, then
 * arguments_release. Strict: one object, no key twice, no key that the table does not have, each of
 * its kind. Failure path: a status, and a detail that names the argument and the next step.
 * Memory: jansson allocates while a call lasts, bounded by XD_ADMIN_REQUEST_BYTES_MAX.
 */
#ifndef CROSSDOCK_ADMIN_ARGUMENTS_H
#define CROSSDOCK_ADMIN_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/request.h"

/* Arguments of one verb at most. */
#define ARGUMENTS_MAX 8u

struct argument_value {
    const char *name;    /* of its row */
    struct xd_text text; /* kind TEXT; borrowed until arguments_release */
    uint64_t number;     /* kinds NUMBER, and FLAG as 0 or 1 */
    bool given;          /* it was in the request */
};

struct arguments {
    struct argument_value values[ARGUMENTS_MAX];
    uint32_t count; /* rows of the verb */
    void *root;     /* jansson's tree; NULL when there were no arguments */
};

/* Parses `json` (empty = no arguments) for the verb at `verb` of the table. 0, XD_FIELD_INVALID,
 * XD_SETTING_UNSUPPORTED or -ENOMEM; then `detail` (XD_DETAIL_BYTES_MAX) says why and nothing is to
 * be released. */
int arguments_parse(unsigned verb, struct xd_text json, struct arguments *ret_arguments,
                    char *detail);
void arguments_release(struct arguments *arguments);

/* Values by name, which must be a row of the verb; the default when not given. */
bool arguments_given(const struct arguments *arguments, const char *name);
struct xd_text arguments_text(const struct arguments *arguments, const char *name,
                              const char *default_text);
uint64_t arguments_number(const struct arguments *arguments, const char *name,
                          uint64_t default_number);
bool arguments_flag(const struct arguments *arguments, const char *name);

#endif

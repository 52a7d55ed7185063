/* SPDX-License-Identifier: Apache-2.0
 *
 * Options inside the library: values by row number, as the handles read them.
 */
#ifndef CROSSDOCK_CLIENT_OPTIONS_H
#define CROSSDOCK_CLIENT_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include <crossdock/options.h>

enum xd_option {
#define X(id, name, type, low, high, range, default_text, text) XD_OPTION_##id,
#include "client/options.def"
#undef X
    XD_OPTION_COUNT
};

enum xd_option_type {
    XD_OPTION_TEXT,
    XD_OPTION_SIZE,
    XD_OPTION_DURATION,
    XD_OPTION_COUNT_TYPE,
    XD_OPTION_CHOICE
};

#define XD_OPTION_TEXT_BYTES 256u  /* a value with its terminator */
#define XD_OPTION_ERROR_BYTES 512u /* detail of a failure with its terminator */

struct xdock_options {
    uint64_t numbers[XD_OPTION_COUNT];                 /* bytes, us, count or word number */
    char texts[XD_OPTION_COUNT][XD_OPTION_TEXT_BYTES]; /* as they were given */
    char error[XD_OPTION_ERROR_BYTES];                 /* of the last failure */
};

/* Fills in the defaults, into the caller's memory. */
void xd_options_defaults(struct xdock_options *options);

/* Row of a name, or -1. */
int xd_option_find(const char *name, size_t bytes);
/* Name of a row. Static memory. */
const char *xd_option_name(enum xd_option option);

/* Sets by row: 0, or XD_OPTION_INVALID with options->error. */
int xd_option_set(struct xdock_options *options, enum xd_option option, const char *value);

#endif

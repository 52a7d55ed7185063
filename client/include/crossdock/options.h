/* SPDX-License-Identifier: Apache-2.0
 *
 * Options: every setting of the library by name, so that adapters in any language and operators
 * with a file use the same words. Names, types, defaults and ranges: xdock_options_row().
 */
#ifndef CROSSDOCK_OPTIONS_H
#define CROSSDOCK_OPTIONS_H

#include <crossdock/base.h>

XDOCK_BEGIN_DECLS

/* A set of options with their defaults. The caller owns *ret_options and frees it.
 * -ENOMEM. Any thread; a set is used by one thread at a time. */
XDOCK_EXPORT int xdock_options_init(xdock_options_t **ret_options);

/* Sets one option from text ("producer.batch_bytes", "64KiB"). XDOCK_OPTION_UNKNOWN or
 * XDOCK_OPTION_INVALID; xdock_options_error() then says what was expected. */
XDOCK_EXPORT int xdock_options_set(xdock_options_t *options, const char *name, const char *value);

/* Reads settings: the file at `path` (NULL: $CROSSDOCK_CLIENT_CONFIG, else
 * ~/.config/crossdock/client.conf, else /etc/crossdock/client.conf; it is not an error when none of
 * these exists), section [client] and then section [profile NAME] if `profile` is not NULL, then
 * the environment: CROSSDOCK_PRODUCER_BATCH_BYTES for producer.batch_bytes and so on. Later wins.
 * -errno of a file named by `path`; a wrong line fails with its file and number in
 * xdock_options_error(). */
XDOCK_EXPORT int xdock_options_load(xdock_options_t *options, const char *path,
                                    const char *profile);

/* Text of an option's present value; borrowed until the next call on `options`. NULL when there is
 * no option of that name. */
XDOCK_EXPORT const char *xdock_options_get(xdock_options_t *options, const char *name);

/* Detail of the last failure on this set; borrowed until the next call. Never NULL. */
XDOCK_EXPORT const char *xdock_options_error(const xdock_options_t *options);

/* One row of the option table. Static memory. */
typedef struct xdock_option_row {
    const char *name;         /* "producer.batch_bytes" */
    const char *type;         /* "size", "duration", "count", "text", "choice" */
    const char *range;        /* "4KiB..1008KiB", "none|lz4" */
    const char *default_text; /* "64KiB" */
    const char *text;         /* one sentence */
} xdock_option_row_t;
/* Row number `row` from 0; 0, or -ENOENT behind the last. */
XDOCK_EXPORT int xdock_options_row(unsigned row, xdock_option_row_t *ret_row);

/* Frees the set and clears the caller's pointer. Accepts NULL and a pointer to NULL. */
XDOCK_EXPORT void xdock_options_free(xdock_options_t **options);

XDOCK_END_DECLS

#endif

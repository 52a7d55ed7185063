/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration: every option of config.def with its value and where that came from.
 *
 * Normal path: config_load gathers, later wins: defaults, file, the folder crossdock.d beside it,
 * environment CROSSDOCK_SECTION__KEY, command line. Then config_number and its siblings.
 * Failure path: XD_OPTION_INVALID or XD_OPTION_UNKNOWN and one line in `why`: where, which option,
 * what was given, what was expected, the nearest name. Nothing is guessed or clamped.
 *
 * Must not know what an option does; that is setup.c.
 */
#ifndef CROSSDOCK_BROKER_CONFIG_H
#define CROSSDOCK_BROKER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/request.h"

#define CONFIG_TEXT_BYTES_MAX 1024u /* value as text, terminator included */
#define CONFIG_ORIGIN_BYTES_MAX 256u
#define CONFIG_WHY_BYTES 1024u
#define CONFIG_FILE_DEFAULT "/etc/crossdock/crossdock.conf" /* read when it is there */
#define CONFIG_FOLDER "crossdock.d"                         /* beside the file; *.conf in it */

enum config_kind {
    CONFIG_NUMBER,
    CONFIG_BYTES,
    CONFIG_TIME, /* microseconds */
    CONFIG_FLAG,
    CONFIG_CHOICE, /* number of the word */
    CONFIG_TEXT,
    CONFIG_LIST, /* number of elements */
    CONFIG_KIND_COUNT
};

enum config_option {
#define OPTION(section, key, kind, unit, value, min, max, step, text) OPTION_##section##_##key,
#include "broker/config.def"
#undef OPTION
    OPTION_COUNT
};

/* One row of the table. */
struct config_row {
    const char *name;         /* "log.tail_bytes" */
    const char *section;      /* "log" */
    const char *key;          /* "tail_bytes" */
    const char *unit;         /* see config.def */
    const char *default_text; /* */
    const char *text;         /* for people */
    int64_t min, max, step;   /* see config.def */
    enum config_kind kind;
};
/* The row of an option, or NULL from OPTION_COUNT on. Static memory. */
const struct config_row *config_row(unsigned option);

struct config_value {
    int64_t number;                       /* by kind */
    char text[CONFIG_TEXT_BYTES_MAX];     /* as given */
    char origin[CONFIG_ORIGIN_BYTES_MAX]; /* "default", "crossdock.conf:12", "environment" ... */
};
struct config {
    struct config_value values[OPTION_COUNT];
};

/* Where to look. Borrowed for the call. */
struct config_sources {
    const char *file;         /* NULL = CONFIG_FILE_DEFAULT, which may be missing */
    char *const *environment; /* "NAME=value" ..., NULL at the end; may be NULL */
    const char *const *sets;  /* set_count texts "section.key=value" of the command line */
    uint32_t set_count;
};

/* ---- load ------------------------------------------------------------------------------------ */
void config_defaults(struct config *config);
/* 0 or a status with `why` (CONFIG_WHY_BYTES). Blocking: reads files. */
int config_load(struct config *config, const struct config_sources *sources, char *why);
/* One file over what is there; "" in `origin` places becomes path:line. 0, -errno or a status. */
int config_load_file(struct config *config, const char *path, char *why);
/* Sets one option by name. */
int config_set(struct config *config, struct xd_text name, const char *value, const char *origin,
               char *why);

/* ---- values ---------------------------------------------------------------------------------- */
int64_t config_number(const struct config *config, enum config_option option);
const char *config_text(const struct config *config, enum config_option option);
const char *config_origin(const struct config *config, enum config_option option);
/* Element `index` of a list, cut to `bytes` with its terminator; false behind the last. */
bool config_element(const struct config *config, enum config_option option, uint32_t index,
                    char *ret_text, uint32_t bytes);
/* Whether two configurations give an option the same value. */
bool config_same(const struct config *a, const struct config *b, enum config_option option);

#endif

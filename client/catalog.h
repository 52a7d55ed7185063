/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's copy of the broker's catalog: topics, facilities, placements, by name and by number.
 *
 * It is fetched when somebody needs it, and again when an answer names a newer epoch or a name is
 * not found. Memory for the largest catalog is reserved at open. Must not do I/O.
 */
#ifndef CROSSDOCK_CLIENT_CATALOG_H
#define CROSSDOCK_CLIENT_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/request.h"

struct xd_catalog {
    uint8_t *memory;             /* XD_FRAME_BYTES_DEFAULT_MAX, the newest reply's body */
    struct xd_catalog_view view; /* into memory; counts 0 before the first reply */
    uint64_t epoch_heard;        /* newest epoch that any answer named */
    uint32_t fetches;            /* answers to CATALOG, refusals too */
    int status;                  /* of the newest answer */
    uint64_t retry_ns;           /* not fetched before: the last copy came too early */
    bool wanted;                 /* to be fetched at the next opportunity */
    bool asked;                  /* a request is on its way */
};

/* 0 or -ENOMEM; then deinit still may be called. */
int xd_catalog_init(struct xd_catalog *catalog);
void xd_catalog_deinit(struct xd_catalog *catalog);

/* An answer named this epoch: when it is newer than the copy, the copy is to be fetched again. A
 * broker of several shards may name it before the shard that gives the copy has it. */
void xd_catalog_heard(struct xd_catalog *catalog, uint64_t epoch);
/* Takes a reply's body in. 0, or XD_FRAME_MALFORMED with the field. */
int xd_catalog_take(struct xd_catalog *catalog, const uint8_t *body, size_t bytes,
                    const char **ret_field);
/* The connection is gone, and the request with it. */
void xd_catalog_lost(struct xd_catalog *catalog);

/* Rows by name or number; NULL when there is none. Borrowed until the next take. */
const struct xd_catalog_topic *xd_catalog_topic(const struct xd_catalog *catalog, const char *name);
const struct xd_catalog_topic *xd_catalog_topic_at(const struct xd_catalog *catalog,
                                                   uint32_t number);
/* Number of a facility, 0 for "" (the global one); or XD_FACILITY_UNKNOWN. */
int64_t xd_catalog_facility(const struct xd_catalog *catalog, const char *name);
const struct xd_catalog_facility *xd_catalog_facility_at(const struct xd_catalog *catalog,
                                                         uint32_t number);
const struct xd_catalog_placement *xd_catalog_placement(const struct xd_catalog *catalog,
                                                        uint32_t topic, uint32_t facility);

#endif

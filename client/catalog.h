/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's copy of the broker's catalog: topics, facilities, placements, by name and by number.
 *
 * It is fetched when somebody needs it, and again when an answer names a newer epoch or a name is
 * not found. A catalog only grows at its ends, so a fetch asks for what lies behind the copy, page
 * by page, and the rows are added to it; they are seen when all are there. Memory for the largest
 * catalog is reserved at open and becomes real as rows come. Must not do I/O.
 */
#ifndef CROSSDOCK_CLIENT_CATALOG_H
#define CROSSDOCK_CLIENT_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/request.h"

struct xd_catalog {
    struct xd_catalog_topic *topics;         /* XD_TOPICS_MAX */
    struct xd_catalog_facility *facilities;  /* XD_FACILITIES_MAX */
    struct xd_catalog_placement *placements; /* XD_PARTITIONS_MAX */
    uint32_t *placement_map;                 /* 1 + row of a placement by hash, 0 = free */
    struct xd_catalog_view view;   /* the rows that are seen; counts 0 before the first fetch */
    struct xd_catalog_request has; /* the rows that are here; reaches beyond view during a fetch */
    uint32_t placement_count;      /* placements that are here */
    uint64_t epoch_heard;          /* newest epoch that any answer named */
    uint32_t fetches;              /* that ended, well or not */
    int status;                    /* of the newest one */
    uint64_t retry_ns;             /* not fetched before: the last copy came too early */
    bool wanted;                   /* to be fetched, or the next page, at the next opportunity */
    bool asked;                    /* a request is on its way */
};

/* 0 or -ENOMEM; then deinit still may be called. */
int xd_catalog_init(struct xd_catalog *catalog);
void xd_catalog_deinit(struct xd_catalog *catalog);

/* An answer named this epoch: when it is newer than the copy, the copy is to be fetched again. A
 * broker of several shards may name it before the shard that gives the copy has it. */
void xd_catalog_heard(struct xd_catalog *catalog, uint64_t epoch);
/* Takes a page in. 1: there are more; 0: the copy is whole, or as far as the answering shard is; or
 * XD_FRAME_MALFORMED with the field. */
int xd_catalog_take(struct xd_catalog *catalog, const uint8_t *body, size_t bytes,
                    const char **ret_field);
/* The broker's catalog is another one than the copy: nothing is left of it, and the next fetch
 * begins anew. */
void xd_catalog_forget(struct xd_catalog *catalog);
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * Random valid records for tests: any mix of groups, exact and hashed texts, TLVs and payloads.
 * One seed, one record.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_RECORD_RANDOM_H
#define CROSSDOCK_TESTS_SUPPORT_RECORD_RANDOM_H

#include "tests/support/prng.h"
#include "wire/record.h"

#include <string.h>

/* A build with the memory that it borrows. Must not be moved: the build points into it. */
struct record_random {
    struct xd_record_build build; /* what xd_record_encode takes */
    char texts[9][64];            /* the key texts and the business key */
    uint8_t extra_tlvs[128];      /* serials and own tags */
    uint8_t payload[200];         /* opaque bytes */
};

/* Empty, exact of each kind, or hashed: what identifiers look like in the field. */
static inline struct xd_text record_random_text(struct prng *prng, char *memory)
{
    static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-./";
    static const char digits[] = "0123456789";
    static const char other[] = "abcxyz ~{}\t\x80\xff";
    const char *set = upper;
    uint32_t set_bytes = sizeof(upper) - 1;
    uint32_t bytes = prng_below32(prng, 12);
    switch (prng_below32(prng, 4)) {
    case 0:
        set = digits;
        set_bytes = sizeof(digits) - 1;
        bytes = 8 + prng_below32(prng, 11);
        break;
    case 1:
        set = other;
        set_bytes = sizeof(other) - 1;
        bytes = 1 + prng_below32(prng, 60);
        break;
    default:
        break;
    }
    for (uint32_t i = 0; i < bytes; i++)
        memory[i] = set[prng_below32(prng, set_bytes)];
    return (struct xd_text){bytes ? memory : NULL, bytes};
}

static inline void record_random_extra(struct prng *prng, struct record_random *ret)
{
    uint32_t at = 0;
    for (uint32_t count = prng_below32(prng, 4); count > 0; count--) {
        static const uint8_t tags[] = {XD_TAG_SERIAL, XD_TAG_CARRIER, 99, XD_TAG_OWN_FIRST, 255};
        uint8_t bytes = (uint8_t)prng_below32(prng, 30);
        ret->extra_tlvs[at] = tags[prng_below32(prng, sizeof(tags))];
        ret->extra_tlvs[at + 1] = bytes;
        prng_fill(prng, ret->extra_tlvs + at + 2, bytes);
        at += 2u + bytes;
    }
    ret->build.extra_tlvs = at ? ret->extra_tlvs : NULL;
    ret->build.extra_tlv_bytes = at;
}

static inline void record_random_make(struct prng *prng, struct record_random *ret)
{
    struct xd_record_build *build = &ret->build;
    *ret = (struct record_random){0};
    prng_fill(prng, &build->core, sizeof(build->core));
    prng_fill(prng, &build->stock, sizeof(build->stock));
    prng_fill(prng, &build->quantity, sizeof(build->quantity));
    prng_fill(prng, &build->document, sizeof(build->document));
    prng_fill(prng, &build->lineage, sizeof(build->lineage));
    prng_fill(prng, &build->batch_ref, sizeof(build->batch_ref));
    prng_fill(prng, &build->revision, sizeof(build->revision));
    build->core.flags &= XD_RECORD_FLAGS_ALL;
    build->core.present &= XD_GROUPS_ALL;
    build->quantity.uom = (uint16_t)xd_uom_encode("KGM", prng_below32(prng, 4));
    build->quantity.scale = (int8_t) - (int)prng_below32(prng, 7);
    build->quantity.flags &= XD_QUANTITY_FLAGS_ALL;
    build->batch_ref.parts = 1 + prng_below32(prng, 40);
    build->batch_ref.part = 1 + prng_below32(prng, build->batch_ref.parts);

    struct xd_text *const texts[] = {
        &build->sku,         &build->lot,           &build->location_from,
        &build->location_to, &build->document_text, &build->reference_text,
        &build->hu_from,     &build->hu_to,         &build->business_key_text,
    };
    static const uint8_t groups[] = {XD_GROUP_STOCK, XD_GROUP_STOCK,    XD_GROUP_STOCK,
                                     XD_GROUP_STOCK, XD_GROUP_DOCUMENT, XD_GROUP_DOCUMENT,
                                     XD_GROUP_HU,    XD_GROUP_HU,       0};
    for (size_t i = 0; i < sizeof(groups); i++) {
        if (groups[i] == 0 || build->core.present & groups[i])
            *texts[i] = record_random_text(prng, ret->texts[i]);
    }
    record_random_extra(prng, ret);
    build->payload_bytes = prng_below32(prng, sizeof(ret->payload) + 1);
    build->payload = build->payload_bytes ? ret->payload : NULL;
    prng_fill(prng, ret->payload, build->payload_bytes);
}

#endif

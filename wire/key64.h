/* SPDX-License-Identifier: Apache-2.0
 *
 * key64: a warehouse identifier in 64 bits, exact where it fits, else a hash.
 *
 * The top 4 bits are the kind (enum xd_key_kind), bits 59..0 hold the value. A pure function of
 * the text: equal texts give equal keys on every machine, and a key of kind 1..3 gives its text
 * back. Byte rules and examples: docs/PROTOCOL.md. Must not trim, fold case or otherwise repair
 * a text.
 */
#ifndef CROSSDOCK_WIRE_KEY64_H
#define CROSSDOCK_WIRE_KEY64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xd_key_kind {
    XD_KEY_NONE = 0,    /* no value; bits 59..0 zero */
    XD_KEY_CHARS = 1,   /* up to 10 characters of 0x21..0x5f, six bits each, left-justified */
    XD_KEY_DIGITS = 2,  /* 11..17 digits: 3 bits length - 11, 57 bits value */
    XD_KEY_SSCC = 3,    /* 18 digits */
    XD_KEY_LEDGER = 14, /* ledger account, broker only; never made from text */
    XD_KEY_HASHED = 15  /* low 60 bits of XXH3-64 of the text; exact text in a TLV */
};

/* Longest text a key can give back, in bytes. */
#define XD_KEY_TEXT_BYTES_MAX 18u

/* Packs `bytes` bytes of text (0..XD_TEXT_BYTES_MAX). Empty text gives 0. */
uint64_t xd_key64(const char *text, size_t bytes);

static inline enum xd_key_kind xd_key_kind(uint64_t key)
{
    return (enum xd_key_kind)(key >> 60);
}

/* Writes the text of an exact key (kinds 1..3) without terminator into `ret_text` of at least
 * XD_KEY_TEXT_BYTES_MAX bytes; returns its length, 0 for kind 0, -ENOENT for hashed and ledger
 * keys, XD_FIELD_INVALID when the bits are not what xd_key64 makes. */
int xd_key64_text(uint64_t key, char *ret_text);

/* Whether the bits are a text of up to 10 characters: a character, and none behind an empty field.
 * Inline, because most keys are, and every record has some. */
static inline bool xd_key64_is_chars(uint64_t key)
{
    uint64_t low = 0x0041041041041041u; /* bit 0 of each of the ten fields */
    uint64_t pairs = key | key >> 1;
    /* Bit 0 of each field: it holds a character; the field below it holds one. */
    uint64_t used = (pairs | pairs >> 2 | pairs >> 4) & low;
    uint64_t above_used = used << 6 & low;
    return xd_key_kind(key) == XD_KEY_CHARS && used && (above_used & ~used) == 0;
}

/* 0 when the bits could have come from xd_key64 (kinds 0..3, 15), else XD_FIELD_INVALID. */
int xd_key64_check(uint64_t key);

/* GTIN-8, -12, -13 to 14 digits: left-padded with zeros when all characters are digits, the length
 * is 8, 12 or 13 and the mod-10 check digit holds. Returns 14 and writes 14 bytes, or 0 when the
 * text is not such a number (nothing written). Callers use it for the sku field only. */
int xd_gtin14(const char *text, size_t bytes, char *ret_text);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Bounded reading and writing of bodies: the only arithmetic on lengths from outside.
 *
 * A reader walks received bytes and never past their end; each call returns 0, or
 * XD_FRAME_MALFORMED and then neither moves nor writes. A writer fills memory that its caller has
 * measured beforehand, so running out of room there is a broken invariant.
 *
 * Used inside wire and by the broker's own formats. Must not interpret what it moves, allocate or
 * keep state elsewhere.
 */
#ifndef CROSSDOCK_WIRE_BYTES_H
#define CROSSDOCK_WIRE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/status.h"
#include "wire/xassert.h"

struct xd_reader {
    const uint8_t *data; /* received bytes, borrowed */
    size_t bytes;        /* how many */
    size_t at;           /* position of the next one, <= bytes */
};

struct xd_writer {
    uint8_t *data; /* memory to fill, borrowed */
    size_t bytes;  /* its size */
    size_t at;     /* bytes written, <= bytes */
};

/* Names the wrong field and passes the status on, so that a refusal is one line at its place. */
static inline int xd_refuse(int status, const char *field, const char **ret_field)
{
    XD_ASSERT(status < 0);
    XD_ASSERT(field != NULL && ret_field != NULL);
    *ret_field = field;
    return status;
}

/* 1 when all `bytes` bytes are zero: reserved fields and padding. By words, of any alignment. */
static inline int xd_bytes_zero(const void *data, size_t bytes)
{
    const uint8_t *p = (const uint8_t *)data;
    uint64_t seen = 0;
    uint64_t word;
    for (; bytes >= sizeof(word); bytes -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        seen |= word;
    }
    for (; bytes > 0; bytes--)
        seen |= *p++;
    return seen == 0;
}

/* Bytes up to the next multiple of 8. */
static inline size_t xd_pad8(size_t bytes)
{
    return (8u - (bytes & 7u)) & 7u;
}

static inline struct xd_reader xd_reader_init(const uint8_t *data, size_t bytes)
{
    XD_ASSERT(data != NULL || bytes == 0);
    return (struct xd_reader){.data = data, .bytes = bytes, .at = 0};
}

static inline size_t xd_reader_left(const struct xd_reader *reader)
{
    XD_ASSERT(reader->at <= reader->bytes);
    return reader->bytes - reader->at;
}

/* Borrows the next `bytes` bytes. */
static inline int xd_reader_view(struct xd_reader *reader, size_t bytes, const uint8_t **ret_data)
{
    XD_ASSERT(ret_data != NULL);
    if (bytes > xd_reader_left(reader))
        return XD_FRAME_MALFORMED;
    *ret_data = reader->data + reader->at;
    reader->at += bytes;
    return 0;
}

/* Copies the next `bytes` bytes out: for fixed parts, which may lie unaligned. */
static inline int xd_reader_copy(struct xd_reader *reader, void *ret_data, size_t bytes)
{
    const uint8_t *data;
    int status = xd_reader_view(reader, bytes, &data);
    if (status == 0)
        memcpy(ret_data, data, bytes);
    return status;
}

/* Copies the fixed part at the start of a body; the field named is the frame's length. */
static inline int xd_reader_fixed(struct xd_reader *reader, void *ret_data, size_t bytes,
                                  const char **ret_field)
{
    int status = xd_reader_copy(reader, ret_data, bytes);
    return status < 0 ? xd_refuse(status, "length", ret_field) : 0;
}

/* Refuses bytes behind the last field. */
static inline int xd_reader_end(const struct xd_reader *reader, const char **ret_field)
{
    if (xd_reader_left(reader) != 0)
        return xd_refuse(XD_FRAME_MALFORMED, "length", ret_field);
    return 0;
}

/* Borrows a text of one length byte and that many bytes. An empty text has the pointer NULL. */
static inline int xd_reader_text(struct xd_reader *reader, const char **ret_text,
                                 uint32_t *ret_bytes)
{
    size_t left = xd_reader_left(reader);
    if (left < 1)
        return XD_FRAME_MALFORMED;
    const uint8_t *at = reader->data + reader->at;
    uint32_t text_bytes = at[0];
    if (text_bytes > left - 1)
        return XD_FRAME_MALFORMED;
    *ret_text = text_bytes != 0 ? (const char *)(at + 1) : NULL;
    *ret_bytes = text_bytes;
    reader->at += 1u + text_bytes;
    XD_ASSERT(reader->at <= reader->bytes);
    return 0;
}

/* Skips zeros up to the next multiple of 8 from the start of the data. */
static inline int xd_reader_pad(struct xd_reader *reader)
{
    size_t pad = xd_pad8(reader->at);
    if (pad > xd_reader_left(reader) || !xd_bytes_zero(reader->data + reader->at, pad))
        return XD_FRAME_MALFORMED;
    reader->at += pad;
    return 0;
}

static inline struct xd_writer xd_writer_init(uint8_t *data, size_t bytes)
{
    XD_ASSERT(data != NULL || bytes == 0);
    return (struct xd_writer){.data = data, .bytes = bytes, .at = 0};
}

static inline void xd_writer_put(struct xd_writer *writer, const void *data, size_t bytes)
{
    XD_ASSERT(writer->at <= writer->bytes);
    XD_ASSERT(bytes <= writer->bytes - writer->at);
    if (bytes == 0)
        return;
    memcpy(writer->data + writer->at, data, bytes);
    writer->at += bytes;
}

/* One length byte, then the text. */
static inline void xd_writer_text(struct xd_writer *writer, const char *text, uint32_t bytes)
{
    XD_ASSERT(bytes <= UINT8_MAX);
    uint8_t length = (uint8_t)bytes;
    xd_writer_put(writer, &length, 1);
    xd_writer_put(writer, text, bytes);
}

/* Zeros up to the next multiple of 8 from the start of the data. */
static inline void xd_writer_pad(struct xd_writer *writer)
{
    static const uint8_t zeros[8];
    xd_writer_put(writer, zeros, xd_pad8(writer->at));
}

#endif

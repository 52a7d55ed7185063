/* SPDX-License-Identifier: Apache-2.0
 *
 * The request table, and the bodies that a client sends.
 *
 * Each decoder copies the fixed part out of the payload, which may lie unaligned, then takes the
 * variable parts, checks every value, and refuses what is left over; the result is written last, so
 * a refused request leaves it untouched. Encoders measure first and write then. Texts stay in the
 * payload and are borrowed from it.
 *
 * What breaks the layout (cut short, trailing bytes, reserved bits) is XD_FRAME_MALFORMED; a value
 * outside its range is XD_FIELD_INVALID; a name is XD_NAME_INVALID. Must not know limits that a
 * broker configures, and must not look into batches beyond their size.
 */
#include "wire/request.h"

#include "wire/batch.h"
#include "wire/bytes.h"
#include "wire/frame.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>

static const struct xd_op_row op_rows[] = {
#define X(name, op, version, direction, permission, before_hello, text)                            \
    {#name, text, op, version, XD_DIRECTION_##direction, XD_PERMISSION_##permission, before_hello},
#include "wire/request.def"
#undef X
};

#define OP_ROW_COUNT (sizeof(op_rows) / sizeof(op_rows[0]))

const struct xd_op_row *xd_op_find(uint16_t op)
{
    for (size_t i = 0; i < OP_ROW_COUNT; i++) {
        if (op_rows[i].op == op)
            return &op_rows[i];
    }
    return NULL;
}

const struct xd_op_row *xd_op_at(unsigned row)
{
    return row < OP_ROW_COUNT ? &op_rows[row] : NULL;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static int is_letter_or_digit(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int xd_name_check(struct xd_text text)
{
    if (text.bytes == 0 || text.bytes > XD_NAME_BYTES_MAX)
        return XD_NAME_INVALID;
    if (!is_letter_or_digit(text.data[0]))
        return XD_NAME_INVALID;
    for (uint32_t i = 1; i < text.bytes; i++) {
        char c = text.data[i];
        if (!is_letter_or_digit(c) && c != '.' && c != '_' && c != '-')
            return XD_NAME_INVALID;
    }
    return 0;
}

/* At most XD_NAME_BYTES_MAX characters of printable ASCII. */
static int is_label(struct xd_text text)
{
    if (text.bytes > XD_NAME_BYTES_MAX)
        return 0;
    for (uint32_t i = 0; i < text.bytes; i++) {
        if (text.data[i] < 0x20 || text.data[i] > 0x7e)
            return 0;
    }
    return 1;
}

static int read_text(struct xd_reader *reader, const char *field, struct xd_text *ret_text,
                     const char **ret_field)
{
    int status = xd_reader_text(reader, &ret_text->data, &ret_text->bytes);
    return status < 0 ? xd_refuse(status, field, ret_field) : 0;
}

static int read_label(struct xd_reader *reader, const char *field, struct xd_text *ret_text,
                      const char **ret_field)
{
    int status = read_text(reader, field, ret_text, ret_field);
    if (status < 0)
        return status;
    return is_label(*ret_text) ? 0 : xd_refuse(XD_FIELD_INVALID, field, ret_field);
}

/* A name; `may_be_empty` where an empty one stands for a default. */
static int read_name(struct xd_reader *reader, const char *field, int may_be_empty,
                     struct xd_text *ret_text, const char **ret_field)
{
    int status = read_text(reader, field, ret_text, ret_field);
    if (status < 0)
        return status;
    if (ret_text->bytes == 0 && may_be_empty)
        return 0;
    status = xd_name_check(*ret_text);
    return status < 0 ? xd_refuse(status, field, ret_field) : 0;
}

/* ---- decoders -------------------------------------------------------------------------------- */

int xd_hello_decode(const uint8_t *p, size_t bytes, struct xd_hello_request *ret,
                    const char **ret_field)
{
    XD_ASSERT(ret != NULL);
    XD_ASSERT(ret_field != NULL);
    struct xd_hello_request hello;
    struct xd_reader reader = xd_reader_init(p, bytes);

    int status = xd_reader_fixed(&reader, &hello.fixed, sizeof(hello.fixed), ret_field);
    if (status < 0)
        return status;
    status = read_label(&reader, "client_name", &hello.client_name, ret_field);
    if (status < 0)
        return status;
    status = read_label(&reader, "client_version", &hello.client_version, ret_field);
    if (status < 0)
        return status;
    status = xd_reader_end(&reader, ret_field);
    if (status < 0)
        return status;

    if (hello.fixed.version_min == 0 || hello.fixed.version_min > hello.fixed.version_max)
        return xd_refuse(XD_FIELD_INVALID, "version_min", ret_field);
    /* A client that also speaks a later version may offer that version's features. */
    if (hello.fixed.version_max <= XD_PROTOCOL_VERSION_MAX && hello.fixed.features != 0)
        return xd_refuse(XD_FIELD_INVALID, "features", ret_field);
    *ret = hello;
    return 0;
}

int xd_catalog_decode(const uint8_t *p, size_t bytes, struct xd_catalog_request *ret,
                      const char **ret_field)
{
    XD_ASSERT(ret != NULL);
    XD_ASSERT(ret_field != NULL);
    struct xd_catalog_request request = {0};
    struct xd_reader reader = xd_reader_init(p, bytes);

    int status = bytes != 0 ? xd_reader_fixed(&reader, &request, sizeof(request), ret_field) : 0;
    if (status < 0)
        return status;
    if (request.reserved != 0)
        return xd_refuse(XD_FRAME_MALFORMED, "reserved", ret_field);
    status = xd_reader_end(&reader, ret_field);
    if (status < 0)
        return status;
    if (request.topics > XD_TOPICS_MAX)
        return xd_refuse(XD_FIELD_INVALID, "topics", ret_field);
    if (request.facilities > XD_FACILITIES_MAX)
        return xd_refuse(XD_FIELD_INVALID, "facilities", ret_field);
    if (request.partitions > XD_PARTITIONS_MAX)
        return xd_refuse(XD_FIELD_INVALID, "partitions", ret_field);
    *ret = request;
    return 0;
}

/* The numbers of an open: what the client claims to have sent must hang together. */
static int check_open(const struct xd_open *open, const char **ret_field)
{
    if (open->reserved != 0)
        return xd_refuse(XD_FRAME_MALFORMED, "reserved", ret_field);
    if (open->flags & ~XD_OPEN_FLAGS_ALL)
        return xd_refuse(XD_FRAME_MALFORMED, "flags", ret_field);
    if (open->acked_sequence > open->assigned_sequence)
        return xd_refuse(XD_FIELD_INVALID, "acked_sequence", ret_field);
    if ((open->flags & XD_OPEN_NO_MEMORY) && open->assigned_sequence != 0)
        return xd_refuse(XD_FIELD_INVALID, "assigned_sequence", ret_field);
    return 0;
}

int xd_open_decode(const uint8_t *p, size_t bytes, struct xd_open_request *ret,
                   const char **ret_field)
{
    XD_ASSERT(ret != NULL);
    XD_ASSERT(ret_field != NULL);
    struct xd_open_request open;
    struct xd_reader reader = xd_reader_init(p, bytes);

    int status = xd_reader_fixed(&reader, &open.fixed, sizeof(open.fixed), ret_field);
    if (status < 0)
        return status;
    status = check_open(&open.fixed, ret_field);
    if (status < 0)
        return status;
    status = read_name(&reader, "source", 0, &open.source, ret_field);
    if (status < 0)
        return status;
    status = read_name(&reader, "channel", 1, &open.channel, ret_field);
    if (status < 0)
        return status;
    status = read_name(&reader, "facility", 1, &open.facility, ret_field);
    if (status < 0)
        return status;
    status = xd_reader_end(&reader, ret_field);
    if (status < 0)
        return status;
    *ret = open;
    return 0;
}

/* Walks the batches by their sizes: all of each is there, zeros pad it to 8. */
static int check_produce_batches(struct xd_reader *reader, uint32_t batch_count,
                                 const char **ret_field)
{
    XD_ASSERT(batch_count <= XD_PRODUCE_BATCHES_MAX);
    for (uint32_t i = 0; i < batch_count; i++) {
        int batch_bytes = xd_batch_peek(reader->data + reader->at, xd_reader_left(reader));
        if (batch_bytes < 0)
            return xd_refuse(batch_bytes, "batches", ret_field);
        if (batch_bytes == XD_PARTIAL)
            return xd_refuse(XD_FRAME_MALFORMED, "batches", ret_field);
        const uint8_t *batch;
        int status = xd_reader_view(reader, (size_t)batch_bytes, &batch);
        if (status < 0)
            return xd_refuse(status, "batches", ret_field);
        status = xd_reader_pad(reader);
        if (status < 0)
            return xd_refuse(status, "batches", ret_field);
    }
    return xd_reader_end(reader, ret_field);
}

int xd_produce_head_decode(const uint8_t *p, size_t bytes, struct xd_produce_head *ret,
                           const char **ret_field)
{
    XD_ASSERT(ret != NULL);
    XD_ASSERT(ret_field != NULL);
    struct xd_produce_head head;
    struct xd_reader reader = xd_reader_init(p, bytes);

    int status = xd_reader_fixed(&reader, &head, sizeof(head), ret_field);
    if (status < 0)
        return status;
    if (!xd_bytes_zero(head.reserved, sizeof(head.reserved)))
        return xd_refuse(XD_FRAME_MALFORMED, "reserved", ret_field);
    if (head.batch_count == 0 || head.batch_count > XD_PRODUCE_BATCHES_MAX)
        return xd_refuse(XD_FIELD_INVALID, "batch_count", ret_field);
    if (head.durability >= XD_DURABILITY_COUNT)
        return xd_refuse(XD_FIELD_INVALID, "durability", ret_field);
    *ret = head;
    return 0;
}

int xd_produce_decode(const uint8_t *p, size_t bytes, struct xd_produce_head *ret,
                      const char **ret_field)
{
    struct xd_produce_head head;
    int status = xd_produce_head_decode(p, bytes, &head, ret_field);
    if (status < 0)
        return status;
    struct xd_reader reader = xd_reader_init(p, bytes);
    reader.at = sizeof(head);
    status = check_produce_batches(&reader, head.batch_count, ret_field);
    if (status < 0)
        return status;
    *ret = head;
    return 0;
}

int xd_close_decode(const uint8_t *p, size_t bytes, struct xd_close *ret, const char **ret_field)
{
    XD_ASSERT(ret != NULL);
    XD_ASSERT(ret_field != NULL);
    struct xd_close close;
    struct xd_reader reader = xd_reader_init(p, bytes);

    int status = xd_reader_fixed(&reader, &close, sizeof(close), ret_field);
    if (status < 0)
        return status;
    if (close.reserved != 0)
        return xd_refuse(XD_FRAME_MALFORMED, "reserved", ret_field);
    status = xd_reader_end(&reader, ret_field);
    if (status < 0)
        return status;
    *ret = close;
    return 0;
}

int xd_read_decode(const uint8_t *p, size_t bytes, struct xd_read *ret, const char **ret_field)
{
    XD_ASSERT(ret != NULL);
    XD_ASSERT(ret_field != NULL);
    struct xd_read read;
    struct xd_reader reader = xd_reader_init(p, bytes);

    int status = xd_reader_fixed(&reader, &read, sizeof(read), ret_field);
    if (status < 0)
        return status;
    if (!xd_bytes_zero(read.reserved, sizeof(read.reserved)))
        return xd_refuse(XD_FRAME_MALFORMED, "reserved", ret_field);
    status = xd_reader_end(&reader, ret_field);
    if (status < 0)
        return status;
    if (read.seek >= XD_SEEK_COUNT)
        return xd_refuse(XD_FIELD_INVALID, "seek", ret_field);
    if (read.wait_ms > XD_READ_WAIT_MS_MAX)
        return xd_refuse(XD_FIELD_INVALID, "wait_ms", ret_field);
    *ret = read;
    return 0;
}

int xd_admin_decode(const uint8_t *p, size_t bytes, struct xd_admin_request *ret,
                    const char **ret_field)
{
    XD_ASSERT(ret != NULL);
    XD_ASSERT(ret_field != NULL);
    struct xd_admin_request admin;
    struct xd_reader reader = xd_reader_init(p, bytes);

    int status = read_label(&reader, "verb", &admin.verb, ret_field);
    if (status < 0)
        return status;
    if (admin.verb.bytes == 0)
        return xd_refuse(XD_FIELD_INVALID, "verb", ret_field);
    size_t json_bytes = xd_reader_left(&reader);
    if (json_bytes > XD_ADMIN_REQUEST_BYTES_MAX)
        return xd_refuse(XD_FIELD_INVALID, "json", ret_field);
    admin.json.data = json_bytes != 0 ? (const char *)(reader.data + reader.at) : NULL;
    admin.json.bytes = (uint32_t)json_bytes;
    *ret = admin;
    return 0;
}

/* ---- encoders -------------------------------------------------------------------------------- */

int xd_hello_encode(const struct xd_hello_request *request, uint8_t *buffer, size_t buffer_bytes)
{
    XD_ASSERT(is_label(request->client_name));
    XD_ASSERT(is_label(request->client_version));
    size_t bytes = sizeof(request->fixed) + 1u + request->client_name.bytes + 1u +
                   request->client_version.bytes;
    if (bytes > buffer_bytes)
        return -ENOBUFS;

    struct xd_writer writer = xd_writer_init(buffer, bytes);
    xd_writer_put(&writer, &request->fixed, sizeof(request->fixed));
    xd_writer_text(&writer, request->client_name.data, request->client_name.bytes);
    xd_writer_text(&writer, request->client_version.data, request->client_version.bytes);
    XD_ASSERT(writer.at == bytes);
    return (int)bytes;
}

int xd_open_encode(const struct xd_open_request *request, uint8_t *buffer, size_t buffer_bytes)
{
    XD_ASSERT(request->fixed.reserved == 0);
    XD_ASSERT(request->source.bytes <= XD_NAME_BYTES_MAX);
    XD_ASSERT(request->channel.bytes <= XD_NAME_BYTES_MAX);
    XD_ASSERT(request->facility.bytes <= XD_NAME_BYTES_MAX);
    size_t bytes = sizeof(request->fixed) + 1u + request->source.bytes + 1u +
                   request->channel.bytes + 1u + request->facility.bytes;
    if (bytes > buffer_bytes)
        return -ENOBUFS;

    struct xd_writer writer = xd_writer_init(buffer, bytes);
    xd_writer_put(&writer, &request->fixed, sizeof(request->fixed));
    xd_writer_text(&writer, request->source.data, request->source.bytes);
    xd_writer_text(&writer, request->channel.data, request->channel.bytes);
    xd_writer_text(&writer, request->facility.data, request->facility.bytes);
    XD_ASSERT(writer.at == bytes);
    return (int)bytes;
}

int xd_admin_encode(const struct xd_admin_request *request, uint8_t *buffer, size_t buffer_bytes)
{
    XD_ASSERT(request->verb.bytes != 0);
    XD_ASSERT(is_label(request->verb));
    XD_ASSERT(request->json.bytes <= XD_ADMIN_REQUEST_BYTES_MAX);
    size_t bytes = 1u + request->verb.bytes + request->json.bytes;
    if (bytes > buffer_bytes)
        return -ENOBUFS;

    struct xd_writer writer = xd_writer_init(buffer, bytes);
    xd_writer_text(&writer, request->verb.data, request->verb.bytes);
    xd_writer_put(&writer, request->json.data, request->json.bytes);
    XD_ASSERT(writer.at == bytes);
    return (int)bytes;
}

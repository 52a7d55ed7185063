/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests on the edge of their limits: labels, names, arguments, ranges.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "tests/wire/golden.h"
#include "tests/wire/vectors.h"
#include "wire/request.h"
#include "wire/status.h"

static struct xd_text name_of(const char *text)
{
    return (struct xd_text){.data = text, .bytes = (uint32_t)strlen(text)};
}

/* Labels may have 64 characters up to the tilde, or none. */
Test(request_limits, hello_takes_labels_up_to_the_limit)
{
    char label[XD_NAME_BYTES_MAX + 1];
    uint8_t out[256];
    struct xd_hello_request hello = {.fixed = {.version_min = 1, .version_max = 1}};
    const char *field = NULL;
    memset(label, '~', sizeof(label));
    hello.client_name = (struct xd_text){.data = label, .bytes = XD_NAME_BYTES_MAX};
    int bytes = xd_hello_encode(&hello, out, sizeof(out));
    cr_assert_eq(xd_hello_decode(out, (size_t)bytes, &hello, &field), 0, "%s", field);
    cr_assert_eq(hello.client_name.bytes, XD_NAME_BYTES_MAX);
    cr_assert_eq(hello.client_version.bytes, 0u);
    cr_assert_null(hello.client_version.data);

    out[8] = sizeof(label);
    memset(out + 9, '~', sizeof(label));
    out[9 + sizeof(label)] = 0;
    cr_assert_eq(xd_hello_decode(out, 10 + sizeof(label), &hello, &field), XD_FIELD_INVALID);
    cr_assert_str_eq(field, "client_name");
}

/* The edges of the ranges belong to them: all acknowledged; the longest wait. */
Test(request_limits, takes_values_on_the_edge)
{
    struct vector v = vector_hex(GOLDEN_OPEN_REQUEST);
    struct xd_open_request open;
    const char *field = NULL;
    v.data[0] = 44;
    cr_assert_eq(xd_open_decode(v.data, v.bytes, &open, &field), 0, "%s", field);
    vector_free(&v);

    v = vector_hex(GOLDEN_READ);
    struct xd_read read;
    uint32_t wait_ms = XD_READ_WAIT_MS_MAX;
    memcpy(v.data + offsetof(struct xd_read, wait_ms), &wait_ms, sizeof(wait_ms));
    cr_assert_eq(xd_read_decode(v.data, v.bytes, &read, &field), 0, "%s", field);
    vector_free(&v);
}

/* ADMIN arguments may be absent and have a largest size. */
Test(request_limits, admin_bounds_its_arguments)
{
    size_t bytes = 2 + XD_ADMIN_REQUEST_BYTES_MAX + 1;
    uint8_t *p = malloc(bytes);
    cr_assert_not_null(p);
    memset(p, ' ', bytes);
    p[0] = 1;
    p[1] = 'v';
    struct xd_admin_request admin;
    const char *field = NULL;
    cr_assert_eq(xd_admin_decode(p, bytes, &admin, &field), XD_FIELD_INVALID);
    cr_assert_str_eq(field, "json");
    cr_assert_eq(xd_admin_decode(p, bytes - 1, &admin, &field), 0);
    cr_assert_eq(admin.json.bytes, XD_ADMIN_REQUEST_BYTES_MAX);
    cr_assert_eq(xd_admin_decode(p, 2, &admin, &field), 0);
    cr_assert_eq(admin.json.bytes, 0u);
    cr_assert_null(admin.json.data);
    free(p);
}

/* 1..64 characters of [A-Za-z0-9._-] that start with a letter or digit. */
Test(request_limits, name_rule)
{
    static const char longest[] =
        "a123456789b123456789c123456789d123456789e123456789f123456789g123x";
    static const char *const good[] = {"a", "Z", "0", "DC07", "wms.eu-1_b", "9.9"};
    static const char *const bad[] = {"",    ".a",  "-a",       "_a",   "a b",
                                      "a/b", "a\n", "\xc3\xa9", "a\x7f"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_assert_eq(xd_name_check(name_of(good[i])), 0, "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(xd_name_check(name_of(bad[i])), XD_NAME_INVALID, "%s", bad[i]);
    struct xd_text text = {.data = longest, .bytes = XD_NAME_BYTES_MAX};
    cr_assert_eq(xd_name_check(text), 0);
    text.bytes++;
    cr_assert_eq(xd_name_check(text), XD_NAME_INVALID);
    cr_assert_eq(xd_name_check((struct xd_text){.data = "a\0b", .bytes = 3}), XD_NAME_INVALID);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The status table: what is written in it, what a lookup answers, and what may never change.
 */
#include "wire/status.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <criterion/criterion.h>

/* What a release has promised about one status. */
struct promise {
    const char *name;    /* without prefix */
    int code;            /* travels in replies */
    enum xd_class class; /* callers branch on it */
};

/* Codes, names and classes of the first release. Rows may be added to status.def, these stay. */
static const struct promise promises[] = {
    {"DUPLICATE", 1, XD_CLASS_OK},
    {"END", 2, XD_CLASS_OK},
    {"FRAME_MALFORMED", -10001, XD_CLASS_FATAL},
    {"FRAME_TOO_LARGE", -10002, XD_CLASS_FATAL},
    {"VERSION_UNSUPPORTED", -10003, XD_CLASS_FATAL},
    {"OP_UNKNOWN", -10004, XD_CLASS_REJECTED},
    {"HELLO_REQUIRED", -10005, XD_CLASS_FATAL},
    {"FIELD_INVALID", -10006, XD_CLASS_REJECTED},
    {"CONNECTION_LOST", -10007, XD_CLASS_UNKNOWN},
    {"DEADLINE_EXCEEDED", -10008, XD_CLASS_UNKNOWN},
    {"SHUTTING_DOWN", -10009, XD_CLASS_BACKOFF},
    {"UNREACHABLE", -10010, XD_CLASS_BACKOFF},
    {"CONNECTION_LIMIT", -10011, XD_CLASS_BACKOFF},
    {"BATCH_MALFORMED", -10020, XD_CLASS_REJECTED},
    {"BATCH_CHECKSUM", -10021, XD_CLASS_RETRY},
    {"BATCH_TOO_LARGE", -10022, XD_CLASS_REJECTED},
    {"RECORD_MALFORMED", -10023, XD_CLASS_REJECTED},
    {"RECORD_TOO_LARGE", -10024, XD_CLASS_REJECTED},
    {"CODEC_UNKNOWN", -10025, XD_CLASS_REJECTED},
    {"DECOMPRESS_FAILED", -10026, XD_CLASS_REJECTED},
    {"FORMAT_UNKNOWN", -10027, XD_CLASS_REJECTED},
    {"TOPIC_UNKNOWN", -10040, XD_CLASS_REJECTED},
    {"FACILITY_UNKNOWN", -10041, XD_CLASS_REJECTED},
    {"PARTITION_UNKNOWN", -10042, XD_CLASS_REJECTED},
    {"PARTITION_WRONG", -10043, XD_CLASS_REJECTED},
    {"NAME_INVALID", -10044, XD_CLASS_REJECTED},
    {"EXISTS", -10045, XD_CLASS_REJECTED},
    {"NOT_FOUND", -10046, XD_CLASS_REJECTED},
    {"CATALOG_FULL", -10047, XD_CLASS_REJECTED},
    {"SETTING_UNSUPPORTED", -10048, XD_CLASS_REJECTED},
    {"OUT_OF_SEQUENCE", -10060, XD_CLASS_RETRY},
    {"OVERLAP", -10061, XD_CLASS_RETRY},
    {"SEQUENCE_REUSED", -10062, XD_CLASS_REJECTED},
    {"SEQUENCE_REGRESSED", -10063, XD_CLASS_FATAL},
    {"ACKED_MISSING", -10064, XD_CLASS_FATAL},
    {"FENCED", -10065, XD_CLASS_FENCED},
    {"PRODUCER_UNKNOWN", -10066, XD_CLASS_FENCED},
    {"THROTTLED", -10080, XD_CLASS_BACKOFF},
    {"READ_ONLY", -10081, XD_CLASS_BACKOFF},
    {"STORAGE_FENCED", -10082, XD_CLASS_UNKNOWN},
    {"INFLIGHT_EXCEEDED", -10083, XD_CLASS_BACKOFF},
    {"OFFSET_GONE", -10100, XD_CLASS_REJECTED},
    {"OFFSET_FUTURE", -10101, XD_CLASS_REJECTED},
    {"RANGE_QUARANTINED", -10102, XD_CLASS_REJECTED},
    {"LOG_CORRUPT", -10120, XD_CLASS_FATAL},
    {"LOG_FOREIGN", -10121, XD_CLASS_FATAL},
    {"DATA_LOCKED", -10122, XD_CLASS_FATAL},
    {"CHECKPOINT_CORRUPT", -10123, XD_CLASS_FATAL},
    {"HANDLE_FATAL", -10140, XD_CLASS_FATAL},
    {"FORKED", -10141, XD_CLASS_FATAL},
    {"WRONG_THREAD", -10142, XD_CLASS_REJECTED},
    {"OPTION_UNKNOWN", -10143, XD_CLASS_REJECTED},
    {"OPTION_INVALID", -10144, XD_CLASS_REJECTED},
    {"BUFFER_FULL", -10145, XD_CLASS_BACKOFF},
};

/* Every row has a name, a text and a class that fits its sign, and is found by its name. */
Test(status, rows_are_complete_and_found_by_name)
{
    int status;
    unsigned row = 0;
    for (; xd_status_row(row, &status) == 0; row++) {
        const char *name = xd_status_name(status);
        for (const char *c = name; *c != 0; c++)
            cr_assert(isupper((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_', "%s",
                      name);
        size_t text_bytes = strlen(xd_status_text(status));
        cr_assert_gt(text_bytes, 0u, "%s", name);
        cr_assert_neq(xd_status_text(status)[text_bytes - 1], '.', "%s", name);

        enum xd_class class = xd_status_class(status);
        cr_assert_lt((int)class, (int)XD_CLASS_COUNT, "%s", name);
        cr_assert_eq(class == XD_CLASS_OK, status >= 0, "%s", name);
        cr_assert(status > 0 || status < -10000, "%s is in the kernel's range", name);

        int found = 0;
        cr_assert_eq(xd_status_find(name, &found), 0, "%s", name);
        cr_assert_eq(found, status, "%s", name);
    }
    cr_assert_geq(row, sizeof(promises) / sizeof(promises[0]));
}

/* Codes fall from row to row, so none is given twice and families stay together. */
Test(status, failure_codes_fall_from_row_to_row)
{
    int status;
    int last = 0;
    for (unsigned row = 0; xd_status_row(row, &status) == 0; row++) {
        if (status > 0)
            continue;
        cr_assert_lt(status, last, "%s", xd_status_name(status));
        last = status;
    }
}

/* A released status keeps its code and its class. */
Test(status, released_rows_keep_code_and_class)
{
    for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
        int status = 0;
        cr_assert_eq(xd_status_find(promises[i].name, &status), 0, "%s", promises[i].name);
        cr_assert_eq(status, promises[i].code, "%s", promises[i].name);
        cr_assert_eq(xd_status_class(status), promises[i].class, "%s", promises[i].name);
        cr_assert_str_eq(xd_status_name(status), promises[i].name);
    }
}

/* Zero and positive numbers are success, with or without a row. */
Test(status, success_is_zero_or_positive)
{
    cr_assert_str_eq(xd_status_name(0), "OK");
    cr_assert_str_eq(xd_status_name(XD_DUPLICATE), "DUPLICATE");
    cr_assert_str_eq(xd_status_name(XD_END), "END");
    cr_assert_str_eq(xd_status_name(4096), "OK");
    cr_assert_str_eq(xd_status_text(0), "success");
    cr_assert_eq(xd_status_class(0), XD_CLASS_OK);
    cr_assert_eq(xd_status_class(4096), XD_CLASS_OK);
}

/* Kernel errors keep their own names; the class says what a caller does. */
Test(status, kernel_errors_have_names_and_classes)
{
    static const struct promise expected[] = {
        {"EAGAIN", -EAGAIN, XD_CLASS_RETRY},
        {"EINTR", -EINTR, XD_CLASS_RETRY},
        {"ENOSPC", -ENOSPC, XD_CLASS_BACKOFF},
        {"ENOMEM", -ENOMEM, XD_CLASS_BACKOFF},
        {"ECONNREFUSED", -ECONNREFUSED, XD_CLASS_BACKOFF},
        {"EMFILE", -EMFILE, XD_CLASS_BACKOFF},
        {"ECONNRESET", -ECONNRESET, XD_CLASS_UNKNOWN},
        {"EPIPE", -EPIPE, XD_CLASS_UNKNOWN},
        {"ETIMEDOUT", -ETIMEDOUT, XD_CLASS_UNKNOWN},
        {"EIO", -EIO, XD_CLASS_FATAL},
        {"EBADF", -EBADF, XD_CLASS_FATAL},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        cr_assert_str_eq(xd_status_name(expected[i].code), expected[i].name);
        cr_assert_eq(xd_status_class(expected[i].code), expected[i].class, "%s", expected[i].name);
        cr_assert_str_neq(xd_status_text(expected[i].code), xd_status_text(-9999));
    }
}

/* A number from nowhere still has a name, a text and the class that stops a caller. */
Test(status, unknown_numbers_are_fatal_and_named)
{
    static const int numbers[] = {-4000, -4095, -4096, -9999, -10000, -19999, -2147483647 - 1};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        cr_assert_str_eq(xd_status_name(numbers[i]), "UNKNOWN_STATUS");
        cr_assert_gt(strlen(xd_status_text(numbers[i])), 0u);
        cr_assert_eq(xd_status_class(numbers[i]), XD_CLASS_FATAL);
    }
}

/* A lookup that fails says so and leaves the output as it was. */
Test(status, failed_lookup_leaves_output_untouched)
{
    int status = 12345;
    cr_assert_eq(xd_status_find("FENCE", &status), -ENOENT);
    cr_assert_eq(xd_status_find("", &status), -ENOENT);
    cr_assert_eq(xd_status_find("fenced", &status), -ENOENT);
    cr_assert_eq(xd_status_row(1000000, &status), -ENOENT);
    cr_assert_eq(status, 12345);
}

/* The classes travel in replies: numbers and names are fixed. */
Test(status, classes_keep_numbers_and_names)
{
    static const char *const names[] = {"OK",       "RETRY",   "BACKOFF", "FENCED",
                                        "REJECTED", "UNKNOWN", "FATAL"};
    cr_assert_eq((size_t)XD_CLASS_COUNT, sizeof(names) / sizeof(names[0]));
    for (int i = 0; i < XD_CLASS_COUNT; i++)
        cr_assert_str_eq(xd_class_name((enum xd_class)i), names[i]);
}

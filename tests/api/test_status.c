/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include <crossdock/status.h>

/* Every row of the table has a name that leads back, a text and a class. */
Test(status, every_row_leads_back_to_itself)
{
    int status;
    unsigned row = 0;
    for (; xdock_status_row(row, &status) == 0; row++) {
        int found = 0;
        cr_assert_eq(xdock_status_find(xdock_status_name(status), &found), 0);
        cr_assert_eq(found, status);
        cr_assert_gt(strlen(xdock_status_text(status)), 5);
        cr_assert_neq(strcmp(xdock_class_name(xdock_status_class(status)), "UNKNOWN_CLASS"), 0);
    }
    cr_assert_gt(row, 40);
    cr_assert_eq(xdock_status_row(row, &status), -ENOENT);
    cr_assert_eq(xdock_status_find("NO_SUCH_STATUS", &status), -ENOENT);
}

/* The public numbers are those that programs were compiled with. */
Test(status, public_numbers_and_classes)
{
    cr_assert_eq(xdock_status_class(XDOCK_FENCED), XDOCK_CLASS_FENCED);
    cr_assert_eq(xdock_status_class(XDOCK_DUPLICATE), XDOCK_CLASS_OK);
    cr_assert_eq(xdock_status_class(XDOCK_DEADLINE_EXCEEDED), XDOCK_CLASS_UNKNOWN);
    cr_assert_str_eq(xdock_status_name(-ENOSPC), "ENOSPC");
    cr_assert_str_eq(xdock_class_name(99), "UNKNOWN_CLASS");
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A mistyped word leads to the nearest known one, or to none.
 */
#include <criterion/criterion.h>

#include <stdio.h>

#include "tools/crossdock/suggest.h"

/* The nearest word wins, a swap counts once, and a far one is not offered. */
Test(tools_suggest, suggestions_are_near)
{
    struct suggest suggest;
    char text[64] = "x";
    suggest_init(&suggest, "stauts");
    suggest_offer(&suggest, "source", 6);
    suggest_offer(&suggest, "status", 6);
    suggest_append(&suggest, text, sizeof text);
    cr_assert_str_eq(text, "x; did you mean 'status'?");
    suggest_init(&suggest, "abc");
    suggest_offer(&suggest, "xyz", 3);
    snprintf(text, sizeof text, "y");
    suggest_append(&suggest, text, sizeof text);
    cr_assert_str_eq(text, "y");
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Address texts: what is accepted, what is refused, and that text and address turn into each other.
 */
#include "broker/io/address.h"

#include "broker/io/env.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <criterion/criterion.h>

/* A text in normal form comes back as it was. */
Test(io_address, text_survives_the_round_trip)
{
    static const char *const texts[] = {"127.0.0.1:7700",   "0.0.0.0:0",   "255.255.255.255:65535",
                                        "[::1]:7700",       "[fe80::1]:0", "[2001:db8::ff]:1",
                                        "unix:/run/x.sock", "unix:/"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct address address;
        char text[ENV_ADDRESS_BYTES_MAX];
        cr_assert_eq(address_parse(texts[i], &address), 0, "%s", texts[i]);
        address_text(&address, text);
        cr_assert_str_eq(text, texts[i]);
    }
}

/* Host and port land in the right fields, in network byte order. */
Test(io_address, fields_are_in_network_order)
{
    struct address address;
    cr_assert_eq(address_parse("1.2.3.4:258", &address), 0);
    cr_assert_eq(address.socket.in.sin_family, AF_INET);
    cr_assert_eq(address.socket.in.sin_port, htons(258));
    cr_assert_eq(address.socket.in.sin_addr.s_addr, htonl(0x01020304));
    cr_assert_eq(address.bytes, sizeof(struct sockaddr_in));
    cr_assert_eq(address_parse("[::1]:258", &address), 0);
    cr_assert_eq(address.socket.in6.sin6_family, AF_INET6);
    cr_assert_eq(address.socket.in6.sin6_port, htons(258));
}

/* What is none of the forms is refused and leaves the output alone. */
Test(io_address, malformed_text_is_refused)
{
    static const char *const texts[] = {
        "",           "1.2.3.4",        "1.2.3.4:",      ":1",
        "1.2.3:1",    "1.2.3.4:65536",  "host:1",        "1.2.3.4:+1",
        "1.2.3.4:1 ", "[::1]",          "[::1]:",        "::1:1",
        "[]:1",       "[1.2.3.4]:1",    "[::1:1",        "unix:",
        "unix:x",     "1.2.3.4:000001", "1.2.3.4:99999", "[::1]x:1",
        "[::1%lo]:1", "UNIX:/run/x",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct address address = {.bytes = 4711};
        cr_assert_eq(address_parse(texts[i], &address), -EINVAL, "'%s'", texts[i]);
        cr_assert_eq(address.bytes, 4711);
    }
}

/* The longest path that fits a socket address is taken, one more is not; nor is endless text. */
Test(io_address, length_is_limited)
{
    enum { PATH_BYTES = sizeof(((struct sockaddr_un *)0)->sun_path) };
    char text[300] = "unix:/";
    struct address address;
    memset(text + 6, 'x', PATH_BYTES - 2);
    cr_assert_eq(address_parse(text, &address), 0);
    text[6 + PATH_BYTES - 2] = 'x';
    cr_assert_eq(address_parse(text, &address), -EINVAL);
    memset(text, '1', sizeof(text) - 1);
    cr_assert_eq(address_parse(text, &address), -EINVAL);
}

/* A client's unix socket has no name, and its text says so. */
Test(io_address, unnamed_unix_socket_has_an_empty_path)
{
    struct address address = {.socket.un.sun_family = AF_UNIX,
                              .bytes = offsetof(struct sockaddr_un, sun_path)};
    char text[ENV_ADDRESS_BYTES_MAX];
    address_text(&address, text);
    cr_assert_str_eq(text, "unix:");
}

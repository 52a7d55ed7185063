/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 through OpenSSL's EVP; see digest.h.
 */
#include "tools/crossdock/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool update_from(EVP_MD_CTX *context, FILE *file)
{
    static uint8_t buffer[64 * 1024];
    size_t bytes;
    while (file != NULL && (bytes = fread(buffer, 1, sizeof buffer, file)) > 0)
        if (EVP_DigestUpdate(context, buffer, bytes) != 1)
            return false;
    return file == NULL || !ferror(file);
}

/* Digest over `prefix_bytes` of the prefix and the rest of the file, as `digits` digits. */
static int digest(const char *prefix, size_t prefix_bytes, FILE *file, unsigned digits,
                  char *ret_text)
{
    static const char words[] = "0123456789abcdef";
    uint8_t whole[EVP_MAX_MD_SIZE];
    unsigned bytes = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL)
        return -ENOMEM;
    bool ok = EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(context, prefix, prefix_bytes) == 1 && update_from(context, file) &&
              EVP_DigestFinal_ex(context, whole, &bytes) == 1;
    EVP_MD_CTX_free(context);
    if (!ok || bytes < digits / 2)
        return -EIO;
    for (unsigned i = 0; i < digits / 2; i++) {
        ret_text[2 * i] = words[whole[i] >> 4];
        ret_text[2 * i + 1] = words[whole[i] & 15];
    }
    ret_text[digits] = '\0';
    return 0;
}

int digest_whole(FILE *file, char ret_text[DIGEST_WHOLE_BYTES])
{
    return digest("", 0, file, DIGEST_WHOLE_BYTES - 1, ret_text);
}

int digest_file(const char *prefix, FILE *file, char *ret_text)
{
    return digest(prefix, strlen(prefix) + 1, file, DIGEST_TEXT_BYTES - 1, ret_text);
}

#ifndef CRYPTO_SHARE_H
#define CRYPTO_SHARE_H

#include "base/error.h"
#include "base/slice.h"

/* A secret in shares, of which some are needed to have it back (Shamir, "How to share a secret", CACM 22,
 * 1979): byte by byte, over GF(2^8) with the polynomial of AES (FIPS 197 §4.2). A share is the polynomial's
 * value at its point, 1 and up. Fewer than are needed tell nothing but the length, whatever is computed. No
 * branch and no address depends on a secret byte. A share that was changed gives another secret, which isn't
 * noticed here. Any thread. */
enum { SHARE_COUNT_MAX = 16, SHARE_SECRET_MAX = 64 };

/* 2 ≤ needed ≤ count ≤ SHARE_COUNT_MAX. Writes count · secret.length bytes: the shares of points 1, 2, …, one
 * after the other. Zeros on failure. The caller wipes them. */
MUST_CHECK bool share_split(slice secret, unsigned needed, unsigned count, uint8_t *shares, error *err);

/* From `count` shares, one after the other as above, of these points. ERROR_INVALID: a point is 0 or comes
 * twice. Fewer than were needed, or others, give some other secret. */
MUST_CHECK bool share_join(const uint8_t *points, const uint8_t *shares, unsigned count, uint8_t *secret,
                           size_t length, error *err);

#endif

#ifndef CODER_INTERNAL_H
#define CODER_INTERNAL_H

#include "codec/envelope.h"
#include "ledger/receipt.h"

/* 2^53: a time that every reader of JSON keeps exactly. */
#define LEDGER_TIME_LIMIT (UINT64_C(1) << 53)

/* One list of fields serves both directions: `out` is set when writing, else `in` is read. */
typedef struct coder {
    buffer *out;
    envelope_reader *in;
} coder;

void coder_bytes(coder *c, uint8_t *bytes, size_t length);
void coder_u32(coder *c, uint32_t *value);
void coder_u64(coder *c, uint64_t *value);
void coder_bool(coder *c, bool *value); /* as the u32 0 or 1 */
/* The bits of the binary32, so that what is signed is what was computed with. */
void coder_float(coder *c, float *value);
void coder_profile(coder *c, char profile[RECEIPT_PROFILE_LIMIT + 1]);
/* What was read is nothing that is ever written. */
void coder_refuse(const coder *c);

/* The ranges that both directions demand. */
bool coder_profile_is_good(const char profile[RECEIPT_PROFILE_LIMIT + 1]);
bool coder_temperature_is_good(float temperature);
bool coder_top_p_is_good(float top_p);
/* By their bits, which are what is signed: 0 and -0 differ. */
bool coder_floats_are_same(float a, float b);

#endif

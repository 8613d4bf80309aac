#include "ledger/receipt.h"

#include "codec/envelope.h"
#include "receipt_internal.h"

#include <math.h>

static const char label[] = "cellule receipt v1";

/* One list of fields serves both directions: `out` is set when writing, else `in` is read. */
typedef struct coder {
    buffer *out;
    envelope_reader *in;
} coder;

static void refuse(const coder *c) {
    if (c->in != NULL) {
        c->in->failed = true;
    }
}

static void code_bytes(coder *c, uint8_t *bytes, size_t length) {
    if (c->out != NULL) {
        envelope_add(c->out, slice_of(bytes, length));
    } else {
        envelope_read_exact(c->in, bytes, length);
    }
}

static void code_u32(coder *c, uint32_t *value) {
    if (c->out != NULL) {
        envelope_add_u32(c->out, *value);
    } else {
        *value = envelope_read_u32(c->in);
    }
}

static void code_u64(coder *c, uint64_t *value) {
    if (c->out != NULL) {
        envelope_add_u64(c->out, *value);
    } else {
        *value = envelope_read_u64(c->in);
    }
}

/* The bits of the binary32, so that what is signed is what was computed with. */
static void code_float(coder *c, float *value) {
    uint32_t bits = 0;
    memcpy(&bits, value, sizeof bits);
    code_u32(c, &bits);
    memcpy(value, &bits, sizeof bits);
}

static void code_profile(coder *c, char profile[RECEIPT_PROFILE_LIMIT + 1]) {
    if (c->out != NULL) {
        envelope_add_text(c->out, profile);
        return;
    }
    slice text = envelope_read(c->in);
    memset(profile, 0, RECEIPT_PROFILE_LIMIT + 1);
    if (text.length > 0 && text.length <= RECEIPT_PROFILE_LIMIT) {
        memcpy(profile, text.data, text.length);
    }
    if (strlen(profile) != text.length) {
        refuse(c); /* too long, or with a zero inside */
    }
}

static void code_finish(coder *c, receipt_finish *finish) {
    uint32_t value = (uint32_t)*finish;
    code_u32(c, &value);
    bool known = false;
#define X(name, number, text) known = known || value == (number);
    RECEIPT_FINISHES(X)
#undef X
    if (!known) {
        refuse(c);
    }
    *finish = known ? (receipt_finish)value : RECEIPT_FINISH_STOP;
}

static void code_fields(coder *c, receipt *r) {
    code_u32(c, &r->version);
    code_bytes(c, r->pool_id, sizeof r->pool_id);
    code_bytes(c, r->job_id, sizeof r->job_id);
    code_bytes(c, r->worker_id, sizeof r->worker_id);
    code_bytes(c, r->model_digest, sizeof r->model_digest);
    code_profile(c, r->engine_profile);
    code_bytes(c, r->prompt_hash, sizeof r->prompt_hash);
    code_bytes(c, r->answer_hash, sizeof r->answer_hash);
    code_float(c, &r->temperature);
    code_float(c, &r->top_p);
    code_u32(c, &r->max_tokens);
    code_bytes(c, r->stop_hash, sizeof r->stop_hash);
    code_u64(c, &r->seed);
    code_bytes(c, r->token_hash, sizeof r->token_hash);
    code_bytes(c, r->commitment, sizeof r->commitment);
    code_u32(c, &r->prompt_tokens);
    code_u32(c, &r->completion_tokens);
    code_finish(c, &r->finish);
    code_u64(c, &r->started_ms);
    code_u64(c, &r->finished_ms);
}

const char *receipt_finish_name(receipt_finish finish) {
    switch (finish) {
#define X(name, number, text)                                                                                \
    case name:                                                                                               \
        return text;
        RECEIPT_FINISHES(X)
#undef X
    }
    return NULL;
}

static bool is_printable(const char *text) {
    size_t length = strnlen(text, RECEIPT_PROFILE_LIMIT + 1);
    for (size_t i = 0; i < length; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    return length > 0 && length <= RECEIPT_PROFILE_LIMIT;
}

/* What both directions demand, so that only what can be encoded is decoded. */
static bool check(const receipt *r, error_code code, error *err) {
    const char *wrong = NULL;
    if (r->version != RECEIPT_VERSION) {
        return error_set(err, ERROR_UNSUPPORTED, "this receipt has version %u and only version %d is known",
                         (unsigned)r->version, RECEIPT_VERSION);
    }
    if (!is_printable(r->engine_profile)) {
        wrong = "engine profile";
    } else if (!isfinite(r->temperature) || r->temperature < 0) {
        wrong = "temperature";
    } else if (!isfinite(r->top_p) || r->top_p < 0 || r->top_p > 1) {
        wrong = "top_p";
    } else if (receipt_finish_name(r->finish) == NULL) {
        wrong = "finish reason";
    } else if (r->started_ms > RECEIPT_TIME_LIMIT || r->finished_ms > RECEIPT_TIME_LIMIT) {
        wrong = "time";
    }
    return wrong == NULL || error_set(err, code, "the %s of this receipt is out of range", wrong);
}

bool receipt_encode(const receipt *r, buffer *out, error *err) {
    if (!check(r, ERROR_INTERNAL, err)) {
        return false;
    }
    receipt copy = *r;
    coder c = {.out = out};
    envelope_begin(out, label);
    code_fields(&c, &copy);
    return !buffer_failed(out) || error_memory(err);
}

bool receipt_decode(slice bytes, receipt *r, error *err) {
    *r = (receipt){.finish = RECEIPT_FINISH_STOP};
    envelope_reader in = envelope_open(bytes, label);
    coder c = {.in = &in};
    code_fields(&c, r);
    bool good = envelope_close(&in)
                    ? check(r, ERROR_CORRUPT, err)
                    : error_set(err, ERROR_CORRUPT, "this is not a receipt, or a damaged one");
    if (!good) {
        *r = (receipt){.finish = RECEIPT_FINISH_STOP};
    }
    return good;
}

#include "ledger/receipt.h"

#include "coder_internal.h"
#include "receipt_internal.h"

static const char label[] = "cellule receipt v1";

static void code_finish(coder *c, receipt_finish *finish) {
    uint32_t value = (uint32_t)*finish;
    coder_u32(c, &value);
    bool known = false;
#define X(name, number, text) known = known || value == (number);
    RECEIPT_FINISHES(X)
#undef X
    if (!known) {
        coder_refuse(c);
    }
    *finish = known ? (receipt_finish)value : RECEIPT_FINISH_STOP;
}

static void code_fields(coder *c, receipt *r) {
    coder_u32(c, &r->version);
    coder_bytes(c, r->pool_id, sizeof r->pool_id);
    coder_bytes(c, r->job_id, sizeof r->job_id);
    coder_bytes(c, r->worker_id, sizeof r->worker_id);
    coder_bytes(c, r->model_digest, sizeof r->model_digest);
    coder_profile(c, r->engine_profile);
    coder_bytes(c, r->prompt_hash, sizeof r->prompt_hash);
    coder_bytes(c, r->answer_hash, sizeof r->answer_hash);
    coder_float(c, &r->temperature);
    coder_float(c, &r->top_p);
    coder_u32(c, &r->max_tokens);
    coder_bytes(c, r->stop_hash, sizeof r->stop_hash);
    coder_u64(c, &r->seed);
    coder_bytes(c, r->token_hash, sizeof r->token_hash);
    coder_bytes(c, r->commitment, sizeof r->commitment);
    coder_u32(c, &r->prompt_tokens);
    coder_u32(c, &r->completion_tokens);
    code_finish(c, &r->finish);
    coder_u64(c, &r->started_ms);
    coder_u64(c, &r->finished_ms);
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

/* What both directions demand, so that only what can be encoded is decoded. */
static bool check(const receipt *r, error_code code, error *err) {
    const char *wrong = NULL;
    if (r->version != RECEIPT_VERSION) {
        return error_set(err, ERROR_UNSUPPORTED, "this receipt has version %u and only version %d is known",
                         (unsigned)r->version, RECEIPT_VERSION);
    }
    if (!coder_profile_is_good(r->engine_profile)) {
        wrong = "engine profile";
    } else if (!coder_temperature_is_good(r->temperature)) {
        wrong = "temperature";
    } else if (!coder_top_p_is_good(r->top_p)) {
        wrong = "top_p";
    } else if (receipt_finish_name(r->finish) == NULL) {
        wrong = "finish reason";
    } else if (r->started_ms > LEDGER_TIME_LIMIT || r->finished_ms > LEDGER_TIME_LIMIT) {
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

bool receipt_may_have_been_cut(const receipt *r) {
    return r->finish != RECEIPT_FINISH_STOP && r->completion_tokens != r->max_tokens;
}

#include "ledger/finding.h"

#include "coder_internal.h"

static const char label[] = "cellule finding v1";

static void code_fields(coder *c, finding *f) {
    coder_u32(c, &f->version);
    coder_bytes(c, f->pool_id, sizeof f->pool_id);
    coder_bytes(c, f->check_id, sizeof f->check_id);
    coder_bytes(c, f->worker_id, sizeof f->worker_id);
    coder_bytes(c, f->model_digest, sizeof f->model_digest);
    coder_profile(c, f->engine_profile);
    coder_bytes(c, f->prompt_hash, sizeof f->prompt_hash);
    coder_float(c, &f->temperature);
    coder_float(c, &f->top_p);
    coder_u32(c, &f->max_tokens);
    coder_bytes(c, f->stop_hash, sizeof f->stop_hash);
    coder_u64(c, &f->seed);
    coder_bytes(c, f->token_hash, sizeof f->token_hash);
    coder_u32(c, &f->claimed_tokens);
    coder_u32(c, &f->prompt_tokens);
    coder_u32(c, &f->agreed);
    coder_bool(c, &f->complete);
    coder_bool(c, &f->has_expected);
    coder_u32(c, &f->expected);
    coder_bytes(c, f->commitment, sizeof f->commitment);
    coder_u64(c, &f->started_ms);
    coder_u64(c, &f->finished_ms);
}

/* Agreement and what was expected instead can't contradict each other. */
static bool result_is_good(const finding *f) {
    bool all = f->agreed == f->claimed_tokens;
    return f->agreed <= f->claimed_tokens && (all || !f->complete) && (!all || !f->has_expected) &&
           f->expected <= (f->has_expected ? FINDING_TOKEN_MAX : 0);
}

/* What both directions demand, so that only what can be encoded is decoded. */
static bool check(const finding *f, error_code code, error *err) {
    const char *wrong = NULL;
    if (f->version != FINDING_VERSION) {
        return error_set(err, ERROR_UNSUPPORTED, "this finding has version %u and only version %d is known",
                         (unsigned)f->version, FINDING_VERSION);
    }
    if (!coder_profile_is_good(f->engine_profile)) {
        wrong = "engine profile";
    } else if (!coder_temperature_is_good(f->temperature)) {
        wrong = "temperature";
    } else if (!coder_top_p_is_good(f->top_p)) {
        wrong = "top_p";
    } else if (!result_is_good(f)) {
        wrong = "result";
    } else if (f->started_ms > LEDGER_TIME_LIMIT || f->finished_ms > LEDGER_TIME_LIMIT) {
        wrong = "time";
    }
    return wrong == NULL || error_set(err, code, "the %s of this finding is out of range", wrong);
}

bool finding_encode(const finding *f, buffer *out, error *err) {
    if (!check(f, ERROR_INTERNAL, err)) {
        return false;
    }
    finding copy = *f;
    coder c = {.out = out};
    envelope_begin(out, label);
    code_fields(&c, &copy);
    return !buffer_failed(out) || error_memory(err);
}

bool finding_decode(slice bytes, finding *f, error *err) {
    memset(f, 0, sizeof *f);
    envelope_reader in = envelope_open(bytes, label);
    coder c = {.in = &in};
    code_fields(&c, f);
    bool good = envelope_close(&in)
                    ? check(f, ERROR_CORRUPT, err)
                    : error_set(err, ERROR_CORRUPT, "this is not a finding, or a damaged one");
    if (!good) {
        memset(f, 0, sizeof *f);
    }
    return good;
}

static bool check_worker_id(const finding *f, const uint8_t key[SIGN_PUBLIC_SIZE], error *err) {
    uint8_t id[RECEIPT_WORKER_SIZE];
    return receipt_worker_id(key, id, err) &&
           (hash_equal(id, f->worker_id, sizeof id) ||
            error_set(err, ERROR_CORRUPT, "the worker named in the finding is not the one that signed it"));
}

bool finding_sign_worker(signed_finding *s, const sign_key *worker, error *err) {
    buffer encoded = buffer_make(FINDING_ENCODED_LIMIT);
    bool good = check_worker_id(&s->fields, sign_key_public(worker), err) &&
                finding_encode(&s->fields, &encoded, err) &&
                sign_bytes(worker, buffer_slice(&encoded), s->worker_signature, err);
    slice bytes = buffer_slice(&encoded);
    if (good && bytes.data != NULL) {
        s->length = bytes.length;
        memcpy(s->bytes, bytes.data, bytes.length);
        memcpy(s->worker_key, sign_key_public(worker), SIGN_PUBLIC_SIZE);
    }
    buffer_free(&encoded);
    return good;
}

bool finding_verify_worker(signed_finding *s, error *err) {
    if (s->length > sizeof s->bytes) {
        return error_set(err, ERROR_CORRUPT, "this finding is too long");
    }
    slice bytes = slice_of(s->bytes, s->length);
    if (!finding_decode(bytes, &s->fields, err) || !check_worker_id(&s->fields, s->worker_key, err)) {
        return false;
    }
    return sign_verify(s->worker_key, bytes, s->worker_signature) ||
           error_set(err, ERROR_CORRUPT, "the worker's signature does not match the finding");
}

bool finding_is_about(const finding *f, const receipt *r) {
    return memcmp(f->pool_id, r->pool_id, HASH_SIZE) == 0 &&
           memcmp(f->model_digest, r->model_digest, HASH_SIZE) == 0 &&
           strcmp(f->engine_profile, r->engine_profile) == 0 &&
           memcmp(f->prompt_hash, r->prompt_hash, HASH_SIZE) == 0 &&
           coder_floats_are_same(f->temperature, r->temperature) &&
           coder_floats_are_same(f->top_p, r->top_p) && f->max_tokens == r->max_tokens &&
           memcmp(f->stop_hash, r->stop_hash, HASH_SIZE) == 0 && f->seed == r->seed &&
           memcmp(f->token_hash, r->token_hash, HASH_SIZE) == 0 && f->claimed_tokens == r->completion_tokens;
}

#include "codec/base64.h"
#include "codec/json.h"
#include "codec/json_writer.h"
#include "ledger/receipt.h"
#include "receipt_internal.h"

#include <stdio.h>
#include <stdlib.h>

static const char object_name[] = "cellule.receipt";
static const json_limits limits = {.size = RECEIPT_JSON_LIMIT, .depth = 4};

static void add_hex(json_writer *w, const char *name, const uint8_t *bytes, size_t length) {
    char text[HASH_HEX_SIZE];
    hex_encode(slice_of(bytes, length), text);
    json_add_text(w, name, slice_of_text(text));
}

/* 0.7, not 0.699999988079071: the shortest that reads back as the same binary32. */
static void add_float(json_writer *w, const char *name, float value) {
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) {
            break;
        }
    }
    json_write_key(w, name);
    json_write_raw(w, slice_of_text(text));
}

static void write_fields(json_writer *w, const receipt *r) {
    json_write_object_begin(w);
    json_add_u64(w, "version", r->version);
    add_hex(w, "pool", r->pool_id, sizeof r->pool_id);
    add_hex(w, "job", r->job_id, sizeof r->job_id);
    add_hex(w, "worker", r->worker_id, sizeof r->worker_id);
    add_hex(w, "model_digest", r->model_digest, sizeof r->model_digest);
    json_add_text(w, "engine_profile", slice_of_text(r->engine_profile));
    add_hex(w, "prompt_hash", r->prompt_hash, sizeof r->prompt_hash);
    add_hex(w, "answer_hash", r->answer_hash, sizeof r->answer_hash);
    add_float(w, "temperature", r->temperature);
    add_float(w, "top_p", r->top_p);
    json_add_u64(w, "max_tokens", r->max_tokens);
    add_hex(w, "stop_hash", r->stop_hash, sizeof r->stop_hash);
    json_add_u64_text(w, "seed", r->seed);
    add_hex(w, "token_hash", r->token_hash, sizeof r->token_hash);
    add_hex(w, "commitment", r->commitment, sizeof r->commitment);
    json_add_u64(w, "prompt_tokens", r->prompt_tokens);
    json_add_u64(w, "completion_tokens", r->completion_tokens);
    json_add_text(w, "finish_reason", slice_of_text(receipt_finish_name(r->finish)));
    json_add_u64(w, "started_ms", r->started_ms);
    json_add_u64(w, "finished_ms", r->finished_ms);
    json_write_object_end(w);
}

bool receipt_write_json(const signed_receipt *s, buffer *out, error *err) {
    receipt fields;
    if (s->length > sizeof s->bytes) {
        return error_set(err, ERROR_INTERNAL, "this receipt is too long");
    }
    if (!receipt_decode(slice_of(s->bytes, s->length), &fields, err)) {
        return false;
    }
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_text(&w, "object", slice_of_text(object_name));
    json_add_bytes(&w, "receipt", slice_of(s->bytes, s->length));
    json_add_bytes(&w, "worker_key", slice_of(s->worker_key, sizeof s->worker_key));
    json_add_bytes(&w, "worker_signature", slice_of(s->worker_signature, sizeof s->worker_signature));
    json_add_bytes(&w, "pool_key", slice_of(s->pool_key, sizeof s->pool_key));
    json_add_bytes(&w, "pool_signature", slice_of(s->pool_signature, sizeof s->pool_signature));
    json_add_bytes(&w, "salt", slice_of(s->salt, sizeof s->salt));
    json_write_key(&w, "fields");
    write_fields(&w, &fields);
    json_write_object_end(&w);
    return !buffer_failed(out) || error_memory(err);
}

/* The copies must be just what the signed bytes say; a receipt without copies says nothing wrong. */
static bool check_copies(const json_value *root, const receipt *fields, error *err) {
    const json_value *copies = NULL;
    if (!json_get_object_or(root, "fields", &copies, err)) {
        return false;
    }
    if (copies == NULL) {
        return true;
    }
    buffer text = buffer_make(RECEIPT_JSON_LIMIT);
    json_writer w = json_writer_make(&text);
    write_fields(&w, fields);
    json_value *expected = buffer_failed(&text) ? NULL : json_parse(buffer_slice(&text), limits, err);
    bool good = expected != NULL || error_memory(err);
    good = good &&
           (json_values_equal(expected, copies) ||
            error_set(err, ERROR_CORRUPT, "the readable \"fields\" say something else than what is signed"));
    json_free(expected);
    buffer_free(&text);
    return good;
}

static bool read_members(const json_value *root, signed_receipt *s, error *err) {
    slice text;
    if (!json_get_text(root, "object", &text, err)) {
        return false;
    }
    if (!slice_equal_text(text, object_name)) {
        return error_set(err, ERROR_INVALID, "\"object\" must be \"%s\"", object_name);
    }
    if (!json_get_text(root, "receipt", &text, err)) {
        return false;
    }
    if (!base64url_decode(text, s->bytes, sizeof s->bytes, &s->length)) {
        return error_set(err, ERROR_INVALID,
                         "\"receipt\" must be at most %d bytes in base64url without padding",
                         RECEIPT_ENCODED_LIMIT);
    }
    return json_get_bytes(root, "worker_key", s->worker_key, sizeof s->worker_key, err) &&
           json_get_bytes(root, "worker_signature", s->worker_signature, sizeof s->worker_signature, err) &&
           json_get_bytes(root, "pool_key", s->pool_key, sizeof s->pool_key, err) &&
           json_get_bytes(root, "pool_signature", s->pool_signature, sizeof s->pool_signature, err) &&
           json_get_bytes(root, "salt", s->salt, sizeof s->salt, err) &&
           receipt_decode(slice_of(s->bytes, s->length), &s->fields, err) &&
           check_copies(root, &s->fields, err);
}

bool receipt_read_json(slice json, signed_receipt *s, error *err) {
    memset(s, 0, sizeof *s);
    json_value *root = json_parse(json, limits, err);
    bool good = root != NULL && read_members(root, s, err);
    json_free(root);
    if (!good) {
        memset(s, 0, sizeof *s);
    }
    return good;
}

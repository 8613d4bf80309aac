#include "codec/base64.h"
#include "codec/json.h"
#include "codec/json_writer.h"
#include "copies_internal.h"
#include "ledger/receipt.h"
#include "receipt_internal.h"

static const char object_name[] = "cellule.receipt";
static const json_limits limits = {.size = RECEIPT_JSON_LIMIT, .depth = 4};

static void write_fields(json_writer *w, const void *fields) {
    const receipt *r = fields;
    json_write_object_begin(w);
    json_add_u64(w, "version", r->version);
    copies_add_hex(w, "pool", r->pool_id, sizeof r->pool_id);
    copies_add_hex(w, "job", r->job_id, sizeof r->job_id);
    copies_add_hex(w, "worker", r->worker_id, sizeof r->worker_id);
    copies_add_hex(w, "model_digest", r->model_digest, sizeof r->model_digest);
    json_add_text(w, "engine_profile", slice_of_text(r->engine_profile));
    copies_add_hex(w, "prompt_hash", r->prompt_hash, sizeof r->prompt_hash);
    copies_add_hex(w, "answer_hash", r->answer_hash, sizeof r->answer_hash);
    copies_add_float(w, "temperature", r->temperature);
    copies_add_float(w, "top_p", r->top_p);
    json_add_u64(w, "max_tokens", r->max_tokens);
    copies_add_hex(w, "stop_hash", r->stop_hash, sizeof r->stop_hash);
    json_add_u64_text(w, "seed", r->seed);
    copies_add_hex(w, "token_hash", r->token_hash, sizeof r->token_hash);
    copies_add_hex(w, "commitment", r->commitment, sizeof r->commitment);
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

bool receipt_read_value(const json_value *root, signed_receipt *s, error *err) {
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
           copies_check(root, write_fields, &s->fields, err);
}

bool receipt_read_json(slice json, signed_receipt *s, error *err) {
    memset(s, 0, sizeof *s);
    json_value *root = json_parse(json, limits, err);
    bool good = root != NULL && receipt_read_value(root, s, err);
    json_free(root);
    if (!good) {
        memset(s, 0, sizeof *s);
    }
    return good;
}

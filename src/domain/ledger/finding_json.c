#include "codec/base64.h"
#include "codec/json.h"
#include "codec/json_writer.h"
#include "copies_internal.h"
#include "finding_internal.h"

static const char object_name[] = "cellule.finding";
static const json_limits limits = {.size = FINDING_JSON_LIMIT, .depth = 4};

static void write_fields(json_writer *w, const void *fields) {
    const finding *f = fields;
    json_write_object_begin(w);
    json_add_u64(w, "version", f->version);
    copies_add_hex(w, "pool", f->pool_id, sizeof f->pool_id);
    copies_add_hex(w, "check", f->check_id, sizeof f->check_id);
    copies_add_hex(w, "worker", f->worker_id, sizeof f->worker_id);
    copies_add_hex(w, "model_digest", f->model_digest, sizeof f->model_digest);
    json_add_text(w, "engine_profile", slice_of_text(f->engine_profile));
    copies_add_hex(w, "prompt_hash", f->prompt_hash, sizeof f->prompt_hash);
    copies_add_float(w, "temperature", f->temperature);
    copies_add_float(w, "top_p", f->top_p);
    json_add_u64(w, "max_tokens", f->max_tokens);
    copies_add_hex(w, "stop_hash", f->stop_hash, sizeof f->stop_hash);
    json_add_u64_text(w, "seed", f->seed);
    copies_add_hex(w, "token_hash", f->token_hash, sizeof f->token_hash);
    json_add_u64(w, "claimed_tokens", f->claimed_tokens);
    json_add_u64(w, "prompt_tokens", f->prompt_tokens);
    json_add_u64(w, "agreed", f->agreed);
    json_add_bool(w, "complete", f->complete);
    if (f->has_expected) {
        json_add_u64(w, "expected", f->expected);
    }
    copies_add_hex(w, "commitment", f->commitment, sizeof f->commitment);
    json_add_u64(w, "started_ms", f->started_ms);
    json_add_u64(w, "finished_ms", f->finished_ms);
    json_write_object_end(w);
}

bool finding_write_json(const signed_finding *s, buffer *out, error *err) {
    finding fields;
    if (s->length > sizeof s->bytes) {
        return error_set(err, ERROR_INTERNAL, "this finding is too long");
    }
    if (!finding_decode(slice_of(s->bytes, s->length), &fields, err)) {
        return false;
    }
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_text(&w, "object", slice_of_text(object_name));
    json_add_bytes(&w, "finding", slice_of(s->bytes, s->length));
    json_add_bytes(&w, "worker_key", slice_of(s->worker_key, sizeof s->worker_key));
    json_add_bytes(&w, "worker_signature", slice_of(s->worker_signature, sizeof s->worker_signature));
    json_write_key(&w, "fields");
    write_fields(&w, &fields);
    json_write_object_end(&w);
    return !buffer_failed(out) || error_memory(err);
}

bool finding_read_value(const json_value *root, signed_finding *s, error *err) {
    slice text;
    if (!json_get_text(root, "object", &text, err)) {
        return false;
    }
    if (!slice_equal_text(text, object_name)) {
        return error_set(err, ERROR_INVALID, "\"object\" must be \"%s\"", object_name);
    }
    if (!json_get_text(root, "finding", &text, err)) {
        return false;
    }
    if (!base64url_decode(text, s->bytes, sizeof s->bytes, &s->length)) {
        return error_set(err, ERROR_INVALID,
                         "\"finding\" must be at most %d bytes in base64url without padding",
                         FINDING_ENCODED_LIMIT);
    }
    return json_get_bytes(root, "worker_key", s->worker_key, sizeof s->worker_key, err) &&
           json_get_bytes(root, "worker_signature", s->worker_signature, sizeof s->worker_signature, err) &&
           finding_decode(slice_of(s->bytes, s->length), &s->fields, err) &&
           copies_check(root, write_fields, &s->fields, err);
}

bool finding_read_json(slice json, signed_finding *s, error *err) {
    memset(s, 0, sizeof *s);
    json_value *root = json_parse(json, limits, err);
    bool good = root != NULL && finding_read_value(root, s, err);
    json_free(root);
    if (!good) {
        memset(s, 0, sizeof *s);
    }
    return good;
}

#include "succession_internal.h"

#include "codec/json.h"
#include "coder_internal.h"
#include "copies_internal.h"

static const char object_name[] = "cellule.succession";
static const json_limits limits = {
    .size = SUCCESSION_JSON_LIMIT, .depth = 4, .values = 16 + 6 * SUCCESSION_MAX};

bool succession_write_json(const succession *s, buffer *out, error *err) {
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_text(&w, "object", slice_of_text(object_name));
    copies_add_hex(&w, "pool", s->pool_id, sizeof s->pool_id);
    json_add_bytes(&w, "first_key", slice_of(s->first_key, sizeof s->first_key));
    json_write_key(&w, "steps");
    json_write_array_begin(&w);
    for (size_t i = 0; i < s->count; i++) {
        const succession_step *step = &s->steps[i];
        json_write_object_begin(&w);
        json_add_bytes(&w, "key", slice_of(step->key, sizeof step->key));
        json_add_u64(&w, "made_ms", step->made_ms);
        json_add_bytes(&w, "former_signature", slice_of(step->former_signature, SIGN_SIGNATURE_SIZE));
        json_add_bytes(&w, "signature", slice_of(step->signature, SIGN_SIGNATURE_SIZE));
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    return !buffer_failed(out) || error_memory(err);
}

static bool read_step(const json_value *value, succession_step *step, error *err) {
    return json_get_bytes(value, "key", step->key, sizeof step->key, err) &&
           json_get_u64(value, "made_ms", 0, LEDGER_TIME_LIMIT, &step->made_ms, err) &&
           json_get_bytes(value, "former_signature", step->former_signature, SIGN_SIGNATURE_SIZE, err) &&
           json_get_bytes(value, "signature", step->signature, SIGN_SIGNATURE_SIZE, err);
}

static bool read_members(const json_value *root, succession *s, error *err) {
    const json_value *list = NULL;
    slice text = {0};
    if (!json_get_text(root, "object", &text, err)) {
        return false;
    }
    if (!slice_equal_text(text, object_name)) {
        return error_set(err, ERROR_INVALID, "\"object\" must be \"%s\"", object_name);
    }
    if (!json_get_text(root, "pool", &text, err)) {
        return false;
    }
    if (!hex_decode(text, s->pool_id, sizeof s->pool_id)) {
        return error_set(err, ERROR_INVALID, "\"pool\" must be %d hexadecimal digits", 2 * HASH_SIZE);
    }
    if (!json_get_bytes(root, "first_key", s->first_key, sizeof s->first_key, err) ||
        !json_get_array(root, "steps", &list, err)) {
        return false;
    }
    if (json_count(list) > SUCCESSION_MAX) {
        return error_set(err, ERROR_LIMIT, "\"steps\" may have at most %d elements", SUCCESSION_MAX);
    }
    bool good = true;
    for (; good && s->count < json_count(list); s->count++) {
        good = read_step(json_at(list, s->count), &s->steps[s->count], err) ||
               error_context(err, "the pool's key number %zu", s->count + 2);
    }
    return good;
}

bool succession_read_json(slice json, const uint8_t pool_id[HASH_SIZE], succession *s, error *err) {
    memset(s, 0, sizeof *s);
    json_value *root = json_parse(json, limits, err);
    bool good = root != NULL && read_members(root, s, err) && succession_verify(s, pool_id, err);
    json_free(root);
    if (!good) {
        memset(s, 0, sizeof *s);
    }
    return good;
}

#include "auth/jws.h"

#include "codec/base64.h"
#include "codec/json.h"
#include "codec/json_writer.h"

enum { HEADER_SIZE_MAX = 2048, HEADER_DEPTH = 4, HEADER_VALUES = 32 };

static bool not_a_token(error *err) {
    return error_set(err, ERROR_DENIED, "this is not a signed token");
}

const char *auth_jws_algorithm_name(public_key_algorithm algorithm) {
    switch (algorithm) {
    case PUBLIC_KEY_EDDSA:
        return "EdDSA";
    case PUBLIC_KEY_ES256:
        return "ES256";
    case PUBLIC_KEY_RS256:
        return "RS256";
    }
    return "";
}

static bool decode_part(slice text, arena *a, slice *bytes, error *err) {
    size_t length = 0;
    uint8_t *place = arena_allocate(a, text.length + 1);
    if (place == NULL) {
        return error_memory(err);
    }
    if (!base64url_decode(text, place, text.length, &length)) {
        return not_a_token(err);
    }
    *bytes = slice_of(place, length);
    return true;
}

static bool copy_texts(const json_value *root, arena *a, auth_jws *jws, error *err) {
    slice algorithm;
    slice key_id;
    slice type;
    if (json_find(root, "crit") != NULL || json_find(root, "b64") != NULL ||
        !json_get_text(root, "alg", &algorithm, err) ||
        !json_get_text_or(root, "kid", (slice){0}, &key_id, err) ||
        !json_get_text_or(root, "typ", (slice){0}, &type, err)) {
        return not_a_token(err);
    }
    return (arena_copy(a, algorithm, &jws->algorithm) && arena_copy(a, key_id, &jws->key_id) &&
            arena_copy(a, type, &jws->type)) ||
           error_memory(err);
}

static bool read_header(slice json, arena *a, auth_jws *jws, error *err) {
    json_limits limits = {.size = HEADER_SIZE_MAX, .depth = HEADER_DEPTH, .values = HEADER_VALUES};
    json_value *root = json_parse(json, limits, err);
    if (root == NULL) {
        return err->code == ERROR_MEMORY ? false : not_a_token(err);
    }
    bool good = copy_texts(root, a, jws, err);
    json_free(root);
    return good;
}

bool auth_jws_parse(slice text, arena *a, auth_jws *jws, error *err) {
    memset(jws, 0, sizeof *jws);
    size_t first = slice_find(text, '.');
    if (text.length > AUTH_JWS_SIZE_MAX || first == SIZE_MAX) {
        return not_a_token(err);
    }
    slice rest = slice_after(text, first + 1);
    size_t second = slice_find(rest, '.');
    if (second == SIZE_MAX) {
        return not_a_token(err);
    }
    slice header = {NULL, 0};
    jws->signed_text = slice_part(text, 0, first + 1 + second);
    return decode_part(slice_part(text, 0, first), a, &header, err) &&
           decode_part(slice_part(rest, 0, second), a, &jws->payload, err) &&
           decode_part(slice_after(rest, second + 1), a, &jws->signature, err) &&
           read_header(header, a, jws, err);
}

bool auth_jws_verify(const auth_jws *jws, const public_key *key, error *err) {
    return (slice_equal_text(jws->algorithm, auth_jws_algorithm_name(public_key_algorithm_of(key))) &&
            public_key_verify(key, jws->signed_text, jws->signature)) ||
           error_set(err, ERROR_DENIED, "the token's signature isn't by the key of its issuer");
}

bool auth_jws_sign(slice payload, const char *type, slice key_id, const sign_key *key, buffer *out,
                   error *err) {
    uint8_t signature[SIGN_SIGNATURE_SIZE];
    buffer header = buffer_make(HEADER_SIZE_MAX);
    buffer token = buffer_make(AUTH_JWS_SIZE_MAX);
    json_writer w = json_writer_make(&header);
    json_write_object_begin(&w);
    json_add_text(&w, "alg", SLICE_LITERAL("EdDSA"));
    json_add_text(&w, "kid", key_id);
    json_add_text(&w, "typ", slice_of_text(type));
    json_write_object_end(&w);
    bool good = !buffer_failed(&header) && base64url_append(&token, buffer_slice(&header)) &&
                buffer_append_byte(&token, '.') && base64url_append(&token, payload);
    good = (good || error_memory(err)) && sign_bytes(key, buffer_slice(&token), signature, err);
    good = good && ((buffer_append_byte(&token, '.') &&
                     base64url_append(&token, slice_of(signature, sizeof signature)) &&
                     buffer_append(out, buffer_slice(&token))) ||
                    error_memory(err));
    buffer_free(&header);
    buffer_wipe(&token);
    return good;
}

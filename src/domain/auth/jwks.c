#include "auth/jwks.h"

#include "auth/jws.h"
#include "base/memory.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/json_writer.h"

enum { SET_DEPTH = 6, SET_VALUES = 4096, NUMBER_MAX = 1024 /* bytes of an RSA modulus */ };

typedef struct member {
    public_key *key;
    char id[AUTH_KEY_ID_MAX + 1];
    size_t id_length;
} member;

struct auth_jwks {
    size_t count;
    member members[AUTH_JWKS_KEYS_MAX];
};

void auth_jwks_free(auth_jwks *set) {
    for (size_t i = 0; set != NULL && i < set->count; i++) {
        public_key_free(set->members[i].key);
    }
    memory_free(set);
}

size_t auth_jwks_count(const auth_jwks *set) {
    return set->count;
}

/* A number of a key. */
typedef struct number {
    uint8_t bytes[NUMBER_MAX];
    size_t length;
} number;

static bool read_number(const json_value *object, const char *name, number *n) {
    const json_value *value = json_find(object, name);
    return json_kind_of(value) == JSON_KIND_TEXT &&
           base64url_decode(json_text_of(value), n->bytes, sizeof n->bytes, &n->length);
}

static bool has_text(const json_value *object, const char *name, const char *text) {
    const json_value *value = json_find(object, name);
    return json_kind_of(value) == JSON_KIND_TEXT && slice_equal_text(json_text_of(value), text);
}

/* NULL with ERROR_MEMORY, or with another code for a key that is passed over. */
static public_key *read_key(const json_value *object, error *err) {
    number first;
    number second;
    error_set(err, ERROR_UNSUPPORTED, "a key of another kind");
    if (has_text(object, "kty", "OKP") && has_text(object, "crv", "Ed25519") &&
        read_number(object, "x", &first)) {
        return public_key_eddsa(slice_of(first.bytes, first.length), err);
    }
    if (has_text(object, "kty", "EC") && has_text(object, "crv", "P-256") &&
        read_number(object, "x", &first) && read_number(object, "y", &second)) {
        return public_key_es256(slice_of(first.bytes, first.length), slice_of(second.bytes, second.length),
                                err);
    }
    if (has_text(object, "kty", "RSA") && read_number(object, "n", &first) &&
        read_number(object, "e", &second)) {
        return public_key_rs256(slice_of(first.bytes, first.length), slice_of(second.bytes, second.length),
                                err);
    }
    return NULL;
}

/* Whether the issuer itself says that it is for something else. */
static bool is_for_signatures(const json_value *object, public_key_algorithm algorithm) {
    return (json_find(object, "use") == NULL || has_text(object, "use", "sig")) &&
           (json_find(object, "alg") == NULL || has_text(object, "alg", auth_jws_algorithm_name(algorithm)));
}

static bool add_key(auth_jwks *set, const json_value *object, unsigned algorithms, error *err) {
    slice id = json_text_of(json_find(object, "kid"));
    if (id.length > AUTH_KEY_ID_MAX) {
        return true;
    }
    public_key *key = read_key(object, err);
    if (key == NULL) {
        return err->code != ERROR_MEMORY;
    }
    public_key_algorithm algorithm = public_key_algorithm_of(key);
    if ((algorithms & AUTH_ALGORITHM_BIT(algorithm)) == 0 || !is_for_signatures(object, algorithm)) {
        public_key_free(key);
        return true;
    }
    member *m = &set->members[set->count++];
    m->key = key;
    m->id_length = id.length;
    if (id.length > 0) {
        memcpy(m->id, id.data, id.length);
    }
    return true;
}

static bool add_keys(auth_jwks *set, const json_value *keys, unsigned algorithms, error *err) {
    if (json_count(keys) > AUTH_JWKS_KEYS_MAX) {
        return error_set(err, ERROR_INVALID, "a key set of more than %d keys", AUTH_JWKS_KEYS_MAX);
    }
    for (size_t i = 0; i < json_count(keys); i++) {
        if (!add_key(set, json_at(keys, i), algorithms, err)) {
            return false;
        }
    }
    return true;
}

auth_jwks *auth_jwks_parse(slice json, unsigned algorithms, error *err) {
    json_limits limits = {.size = AUTH_JWKS_SIZE_MAX, .depth = SET_DEPTH, .values = SET_VALUES};
    const json_value *keys;
    json_value *root = json_parse(json, limits, err);
    if (root == NULL || !json_get_array(root, "keys", &keys, err)) {
        json_free(root);
        (void)error_context(err, "the issuer's key set");
        return NULL;
    }
    auth_jwks *set = memory_allocate_zeroed(1, sizeof *set);
    bool good = set == NULL ? error_memory(err) : add_keys(set, keys, algorithms, err);
    json_free(root);
    if (!good) {
        auth_jwks_free(set);
        return NULL;
    }
    return set;
}

const public_key *auth_jwks_find(const auth_jwks *set, slice key_id, slice algorithm) {
    const public_key *found = NULL;
    for (size_t i = 0; i < set->count; i++) {
        const member *m = &set->members[i];
        bool fits = slice_equal_text(algorithm, auth_jws_algorithm_name(public_key_algorithm_of(m->key))) &&
                    (key_id.length == 0 || slice_equal(key_id, slice_of(m->id, m->id_length)));
        if (fits && key_id.length > 0) {
            return m->key;
        }
        if (fits && found != NULL) {
            return NULL;
        }
        found = fits ? m->key : found;
    }
    return found;
}

void auth_jwks_write_key(const uint8_t key[SIGN_PUBLIC_SIZE], slice key_id, buffer *json) {
    json_writer w = json_writer_make(json);
    json_write_object_begin(&w);
    json_add_text(&w, "kty", SLICE_LITERAL("OKP"));
    json_add_text(&w, "crv", SLICE_LITERAL("Ed25519"));
    json_add_bytes(&w, "x", slice_of(key, SIGN_PUBLIC_SIZE));
    json_add_text(&w, "kid", key_id);
    json_add_text(&w, "use", SLICE_LITERAL("sig"));
    json_add_text(&w, "alg", SLICE_LITERAL("EdDSA"));
    json_write_object_end(&w);
}

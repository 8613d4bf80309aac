#include "privilege/vault.h"

#include "auth/key_ring.h"
#include "codec/base64.h"
#include "crypto/hash.h"
#include "crypto/seal.h"
#include "crypto/secret.h"
#include "os/random.h"

static const char table[] = "session_keys";

struct vault {
    uint8_t seal_key[SEAL_KEY_SIZE];
    bool is_open;
    sign_key *keys[VAULT_KEYS_MAX];
};

vault *vault_new(error *err) {
    return secret_allocate(sizeof(vault), err);
}

void vault_free(vault *v) {
    for (size_t i = 0; v != NULL && i < VAULT_KEYS_MAX; i++) {
        sign_key_free(v->keys[i]);
    }
    secret_free(v);
}

bool vault_row_of(const char *ring_id, uint8_t id[VAULT_ID_SIZE], error *err) {
    uint8_t thumbprint[HASH_SIZE];
    if (!base64url_decode_exact(slice_of_text(ring_id), thumbprint, sizeof thumbprint)) {
        return error_set(err, ERROR_INTERNAL, "a session key without an id");
    }
    memcpy(id, thumbprint, VAULT_ID_SIZE);
    return true;
}

/* A sealed key is bound to its row. */
static slice place_of(const uint8_t id[VAULT_ID_SIZE], uint8_t place[sizeof table + VAULT_ID_SIZE]) {
    memcpy(place, table, sizeof table);
    memcpy(place + sizeof table, id, VAULT_ID_SIZE);
    return slice_of(place, sizeof table + VAULT_ID_SIZE);
}

static bool free_number(const vault *v, size_t *number, error *err) {
    *number = 0;
    while (*number < VAULT_KEYS_MAX && v->keys[*number] != NULL) {
        ++*number;
    }
    return *number < VAULT_KEYS_MAX || error_set(err, ERROR_LIMIT, "too many keys of session tokens");
}

/* Takes `key` over. */
static bool keep(vault *v, sign_key *key, slice sealed, buffer *answer, error *err) {
    size_t number = 0;
    bool kept = free_number(v, &number, err) &&
                ((buffer_append_byte(answer, (uint8_t)number) &&
                  buffer_append(answer, slice_of(sign_key_public(key), SIGN_PUBLIC_SIZE)) &&
                  buffer_append(answer, sealed)) ||
                 error_memory(err));
    if (kept) {
        v->keys[number] = key;
    } else {
        sign_key_free(key);
    }
    return kept;
}

static bool draw(vault *v, buffer *answer, error *err) {
    uint8_t seed[SIGN_SEED_SIZE];
    uint8_t id[VAULT_ID_SIZE];
    uint8_t place[sizeof table + VAULT_ID_SIZE];
    char ring_id[AUTH_RING_ID_LENGTH + 1];
    buffer sealed = buffer_make(SIGN_SEED_SIZE + SEAL_OVERHEAD);
    sign_key *key = random_bytes(seed, sizeof seed, err) ? sign_key_from_seed(seed, err) : NULL;
    bool drawn = key != NULL && auth_key_ring_id(key, ring_id, err) && vault_row_of(ring_id, id, err) &&
                 seal(v->seal_key, place_of(id, place), slice_of(seed, sizeof seed), &sealed, err);
    if (drawn) {
        drawn = keep(v, key, buffer_slice(&sealed), answer, err);
    } else {
        sign_key_free(key);
    }
    secret_wipe(seed, sizeof seed);
    buffer_free(&sealed);
    return drawn;
}

static bool take(vault *v, slice question, buffer *answer, error *err) {
    uint8_t place[sizeof table + VAULT_ID_SIZE];
    buffer seed = buffer_make(SIGN_SEED_SIZE);
    if (question.length < VAULT_ID_SIZE + SEAL_OVERHEAD) {
        return error_set(err, ERROR_CORRUPT, "a session key in the database is no key");
    }
    bool opened = (buffer_reserve(&seed, SIGN_SEED_SIZE) != NULL || error_memory(err)) &&
                  seal_open(v->seal_key, place_of(question.data, place), slice_after(question, VAULT_ID_SIZE),
                            &seed, err);
    if (opened && buffer_length(&seed) != SIGN_SEED_SIZE) {
        opened = error_set(err, ERROR_CORRUPT, "a session key in the database is no key");
    }
    sign_key *key = opened ? sign_key_from_seed(buffer_slice(&seed).data, err) : NULL;
    buffer_wipe(&seed);
    return key != NULL && keep(v, key, (slice){NULL, 0}, answer, err);
}

static bool has(const vault *v, slice question, error *err) {
    return (question.length > 0 && question.data[0] < VAULT_KEYS_MAX && v->keys[question.data[0]] != NULL) ||
           error_set(err, ERROR_NOT_FOUND, "there is no such key of session tokens");
}

static bool sign(const vault *v, slice question, buffer *answer, error *err) {
    uint8_t signature[SIGN_SIGNATURE_SIZE];
    if (!has(v, question, err)) {
        return false;
    }
    if (question.length > 1 + VAULT_MESSAGE_MAX) {
        return error_set(err, ERROR_LIMIT, "too long for a session token");
    }
    return sign_bytes(v->keys[question.data[0]], slice_after(question, 1), signature, err) &&
           (buffer_append(answer, slice_of(signature, sizeof signature)) || error_memory(err));
}

static bool drop(vault *v, slice question, error *err) {
    if (!has(v, question, err)) {
        return false;
    }
    sign_key_free(v->keys[question.data[0]]);
    v->keys[question.data[0]] = NULL;
    return true;
}

static bool open_vault(vault *v, slice question, error *err) {
    if (v->is_open || question.length != SEAL_KEY_SIZE) {
        return error_set(err, ERROR_INVALID, "the keys of session tokens have their seal");
    }
    memcpy(v->seal_key, question.data, SEAL_KEY_SIZE);
    v->is_open = true;
    return true;
}

bool vault_answer(vault *v, uint8_t what, slice question, buffer *answer, error *err) {
    if (what == VAULT_OPEN) {
        return open_vault(v, question, err);
    }
    if (!v->is_open) {
        return error_set(err, ERROR_INVALID, "the keys of session tokens have no seal yet");
    }
    switch (what) {
    case VAULT_DRAW:
        return draw(v, answer, err);
    case VAULT_TAKE:
        return take(v, question, answer, err);
    case VAULT_SIGN:
        return sign(v, question, answer, err);
    case VAULT_DROP:
        return drop(v, question, err);
    default:
        return error_set(err, ERROR_INVALID, "the signer doesn't do this");
    }
}

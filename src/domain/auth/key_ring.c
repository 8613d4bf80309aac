#include "auth/key_ring.h"

#include "auth/jwks.h"
#include "codec/base64.h"
#include "codec/json_writer.h"
#include "crypto/hash.h"

enum { THUMBPRINT_INPUT = 256 };

static void free_key(auth_ring_key *key) {
    sign_key_free(key->own);
    public_key_free(key->trusted);
    *key = (auth_ring_key){.own = NULL};
}

void auth_key_ring_free(auth_key_ring *ring) {
    for (size_t i = 0; i < ring->count; i++) {
        free_key(&ring->keys[i]);
    }
    ring->count = 0;
}

/* RFC 7638 §3, RFC 8037 §2: these members, in this order. */
bool auth_key_ring_id(const sign_key *key, char id[AUTH_RING_ID_LENGTH + 1], error *err) {
    uint8_t digest[HASH_SIZE];
    buffer json = buffer_make(THUMBPRINT_INPUT);
    json_writer w = json_writer_make(&json);
    json_write_object_begin(&w);
    json_add_text(&w, "crv", SLICE_LITERAL("Ed25519"));
    json_add_text(&w, "kty", SLICE_LITERAL("OKP"));
    json_add_bytes(&w, "x", slice_of(sign_key_public(key), SIGN_PUBLIC_SIZE));
    json_write_object_end(&w);
    bool made = buffer_failed(&json) ? error_memory(err) : hash_sha256(buffer_slice(&json), digest, err);
    buffer_free(&json);
    if (made) {
        base64url_encode(slice_of(digest, sizeof digest), id);
    }
    return made;
}

bool auth_key_ring_add(auth_key_ring *ring, sign_key *own, uint64_t begins_ms, error *err) {
    auth_ring_key key = {.own = own, .begins_ms = begins_ms};
    bool made = ring->count < AUTH_RING_MAX ||
                error_set(err, ERROR_LIMIT, "there are %d session keys already; wait until one has ended",
                          (int)AUTH_RING_MAX);
    if (made) {
        key.trusted = public_key_eddsa(slice_of(sign_key_public(own), SIGN_PUBLIC_SIZE), err);
        made = key.trusted != NULL && auth_key_ring_id(own, key.id, err);
    }
    if (!made) {
        free_key(&key);
        return false;
    }
    size_t place = ring->count;
    for (; place > 0 && ring->keys[place - 1].begins_ms > begins_ms; place--) {
        ring->keys[place] = ring->keys[place - 1];
    }
    ring->keys[place] = key;
    ring->count++;
    return true;
}

const auth_ring_key *auth_key_ring_signer(const auth_key_ring *ring, uint64_t now_ms) {
    size_t place = ring->count;
    while (place > 1 && ring->keys[place - 1].begins_ms > now_ms) {
        place--;
    }
    return place == 0 ? NULL : &ring->keys[place - 1];
}

static bool has_ended(const auth_key_ring *ring, size_t place, uint64_t now_ms) {
    if (place + 1 >= ring->count) {
        return false;
    }
    uint64_t next = ring->keys[place + 1].begins_ms;
    return now_ms >= next && now_ms - next >= ring->keep_ms;
}

const auth_ring_key *auth_key_ring_find(const auth_key_ring *ring, slice id, uint64_t now_ms) {
    for (size_t i = 0; i < ring->count; i++) {
        if (slice_equal_text(id, ring->keys[i].id)) {
            return has_ended(ring, i, now_ms) ? NULL : &ring->keys[i];
        }
    }
    return NULL;
}

bool auth_key_ring_drop_ended(auth_key_ring *ring, uint64_t now_ms, char id[AUTH_RING_ID_LENGTH + 1]) {
    if (!has_ended(ring, 0, now_ms)) {
        return false;
    }
    memcpy(id, ring->keys[0].id, AUTH_RING_ID_LENGTH + 1);
    free_key(&ring->keys[0]);
    ring->count--;
    memmove(&ring->keys[0], &ring->keys[1], ring->count * sizeof ring->keys[0]);
    ring->keys[ring->count] = (auth_ring_key){.own = NULL};
    return true;
}

void auth_key_ring_write(const auth_key_ring *ring, uint64_t now_ms, buffer *json) {
    bool first = true;
    buffer_append_text(json, "{\"keys\":[");
    for (size_t i = 0; i < ring->count; i++) {
        if (has_ended(ring, i, now_ms)) {
            continue;
        }
        buffer_append_text(json, first ? "" : ",");
        auth_jwks_write_key(sign_key_public(ring->keys[i].own), slice_of_text(ring->keys[i].id), json);
        first = false;
    }
    buffer_append_text(json, "]}");
}

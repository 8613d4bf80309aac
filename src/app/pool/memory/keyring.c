#include "keyring_internal.h"

#include "base/memory.h"
#include "crypto/hash.h"
#include "recovery/requests.h"

keyring *keyring_new(pool *p, error *err) {
    keyring *ring = memory_allocate_zeroed(1, sizeof *ring);
    if (ring == NULL) {
        error_memory(err);
        return NULL;
    }
    list_init(&ring->openings);
    list_init(&ring->ties);
    ring->pool = p;
    ring->slots = slots_new(err);
    ring->derivations = ring->slots == NULL ? NULL : derive_queue_new(p->loop, err);
    ring->vaults = ring->derivations == NULL ? NULL : map_new(p->map_seed);
    if (ring->vaults == NULL) {
        error_memory(err);
        keyring_free(ring);
        return NULL;
    }
    return ring;
}

slots *keyring_slots(keyring *ring) {
    return ring->slots;
}

static slice key_of(const uint64_t *user_id) {
    return slice_of(user_id, sizeof *user_id);
}

open_vault *keyring_vault_of(const keyring *ring, uint64_t user_id) {
    return map_get(ring->vaults, key_of(&user_id));
}

static void free_vault(open_vault *v) {
    slots_give(v->ring->slots, (uint8_t *)(uintptr_t)v->data_key);
    memory_free(v);
}

static void drop_proof(open_vault *v, keyring_proof *proof) {
    list_remove(&proof->node);
    memory_free(proof);
    v->proof_count--;
}

static void drop_attached(open_vault *v) {
    if (v->detach != NULL) {
        v->detach(v->attached);
        v->detach = NULL;
        v->attached = NULL;
    }
}

static void close_vault(open_vault *v) {
    map_remove(v->ring->vaults, key_of(&v->user_id));
    v->closed = true;
    while (!list_is_empty(&v->proofs)) {
        drop_proof(v, LIST_ENTRY(list_first(&v->proofs), keyring_proof, node));
    }
    drop_attached(v);
    if (v->holders == 0) {
        free_vault(v);
    }
}

void keyring_hold(open_vault *v) {
    v->holders++;
}

bool keyring_hold_for_request(open_vault *v, error *err) {
    if (v->holders >= KEYRING_HOLDERS_MAX) {
        return error_set(err, ERROR_LIMIT,
                         "too many requests of yours about what you keep are under way; ask again when some "
                         "have been answered");
    }
    keyring_hold(v);
    return true;
}

void keyring_give_back(open_vault *v) {
    if (--v->holders == 0 && v->closed) {
        free_vault(v);
    }
}

void keyring_attach(open_vault *v, void *attached, void (*detach)(void *attached)) {
    v->attached = attached;
    v->detach = detach;
}

/* Two tokens of a user open the same key; one of a vault that was erased meanwhile opens another. */
open_vault *keyring_put(keyring *ring, uint64_t user_id, const uint8_t salt[WRAP_SALT_SIZE],
                        uint8_t *data_key, error *err) {
    open_vault *v = keyring_vault_of(ring, user_id);
    if (v != NULL && hash_equal(v->data_key, data_key, RECORD_KEY_SIZE)) {
        slots_give(ring->slots, data_key);
        return v;
    }
    if (v != NULL) {
        close_vault(v);
    }
    v = memory_allocate_zeroed(1, sizeof *v);
    if (v == NULL || !map_put(ring->vaults, key_of(&user_id), v)) {
        memory_free(v);
        slots_give(ring->slots, data_key);
        error_memory(err);
        return NULL;
    }
    *v = (open_vault){.user_id = user_id, .data_key = data_key, .ring = ring};
    memcpy(v->salt, salt, sizeof v->salt);
    list_init(&v->proofs);
    return v;
}

static keyring_proof *find_proof(const open_vault *v, uint64_t key_id, uint64_t login) {
    for (list_node *node = v->proofs.next; node != &v->proofs; node = node->next) {
        keyring_proof *proof = LIST_ENTRY(node, keyring_proof, node);
        if (proof->login == login && (login != 0 || proof->key_id == key_id)) {
            return proof;
        }
    }
    return NULL;
}

bool keyring_prove(open_vault *v, uint64_t key_id, uint64_t login, error *err) {
    keyring_proof *proof = find_proof(v, key_id, login);
    if (proof == NULL) {
        proof = memory_allocate(sizeof *proof);
        if (proof == NULL) {
            if (v->proof_count == 0) {
                close_vault(v);
            }
            return error_memory(err);
        }
        if (v->proof_count == KEYRING_PROOFS_MAX) {
            drop_proof(v, LIST_ENTRY(list_first(&v->proofs), keyring_proof, node));
        }
        list_init(&proof->node);
        v->proof_count++;
    }
    uint64_t now = ev_now_ms(v->ring->pool->loop);
    proof->key_id = key_id;
    proof->login = login;
    proof->since_ms = now;
    proof->used_ms = now;
    list_remove(&proof->node);
    list_append(&v->proofs, &proof->node);
    return true;
}

static bool is_over(const keyring_proof *proof, uint64_t now_ms) {
    return now_ms - proof->used_ms >= KEYRING_IDLE_MS || now_ms - proof->since_ms >= KEYRING_LONGEST_MS;
}

static void forget_proof(open_vault *v, keyring_proof *proof) {
    drop_proof(v, proof);
    if (v->proof_count == 0) {
        close_vault(v);
    }
}

open_vault *keyring_find(keyring *ring, const account *who) {
    open_vault *v = keyring_vault_of(ring, who->user_id);
    keyring_proof *proof = v == NULL ? NULL : find_proof(v, who->key_id, who->login);
    uint64_t now = ev_now_ms(ring->pool->loop);
    if (proof == NULL) {
        return NULL;
    }
    if (is_over(proof, now)) {
        forget_proof(v, proof);
        return NULL;
    }
    proof->used_ms = now;
    list_remove(&proof->node);
    list_append(&v->proofs, &proof->node);
    return v;
}

void keyring_lock(keyring *ring, uint64_t user_id, uint64_t key_id, uint64_t login) {
    open_vault *v = keyring_vault_of(ring, user_id);
    keyring_proof *proof = v == NULL ? NULL : find_proof(v, key_id, login);
    if (proof != NULL) {
        forget_proof(v, proof);
    }
}

void keyring_lock_user(keyring *ring, uint64_t user_id) {
    recoveries_end(ring->pool->recoveries, user_id);
    open_vault *v = keyring_vault_of(ring, user_id);
    if (v != NULL) {
        close_vault(v);
    }
}

void keyring_detach_all(keyring *ring) {
    slice key;
    void *v = NULL;
    for (size_t i = 0; map_next(ring->vaults, &i, &key, &v);) {
        drop_attached(v);
    }
}

void keyring_erase_user(keyring *ring, uint64_t user_id) {
    open_vault *v = keyring_vault_of(ring, user_id);
    if (v != NULL) {
        v->erased = true;
        close_vault(v);
    }
    keyring_void_openings(ring, user_id);
    for (list_node *node = ring->ties.next; node != &ring->ties; node = node->next) {
        vault_tie *tie = LIST_ENTRY(node, vault_tie, node);
        tie->erased = tie->erased || tie->user_id == user_id;
    }
}

void keyring_tie(keyring *ring, vault_tie *tie, uint64_t user_id) {
    *tie = (vault_tie){.user_id = user_id};
    list_init(&tie->node);
    list_append(&ring->ties, &tie->node);
}

void keyring_untie(vault_tie *tie) {
    if (tie->node.next != NULL) {
        list_remove(&tie->node);
    }
}

/* Any vault; a map isn't changed while it is gone through. */
static open_vault *first_vault(const keyring *ring) {
    size_t position = 0;
    slice key;
    void *v = NULL;
    return map_next(ring->vaults, &position, &key, &v) ? v : NULL;
}

void keyring_lock_all(keyring *ring) {
    recoveries_end(ring->pool->recoveries, 0);
    for (open_vault *v = first_vault(ring); v != NULL; v = first_vault(ring)) {
        close_vault(v);
    }
}

static void drop_what_is_over(open_vault *v, uint64_t now_ms) {
    for (list_node *node = v->proofs.next, *next = NULL; node != &v->proofs; node = next) {
        keyring_proof *proof = LIST_ENTRY(node, keyring_proof, node);
        next = node->next;
        if (is_over(proof, now_ms)) {
            drop_proof(v, proof);
        }
    }
}

static open_vault *first_unproved(const keyring *ring, uint64_t now_ms) {
    slice key;
    void *v = NULL;
    for (size_t i = 0; map_next(ring->vaults, &i, &key, &v);) {
        drop_what_is_over(v, now_ms);
        if (((open_vault *)v)->proof_count == 0) {
            return v;
        }
    }
    return NULL;
}

void keyring_keep_house(keyring *ring) {
    uint64_t now = ev_now_ms(ring->pool->loop);
    for (open_vault *v = first_unproved(ring, now); v != NULL; v = first_unproved(ring, now)) {
        close_vault(v);
    }
}

size_t keyring_count(const keyring *ring) {
    return map_count(ring->vaults);
}

void keyring_free(keyring *ring) {
    if (ring == NULL) {
        return;
    }
    keyring_free_openings(ring);
    if (ring->vaults != NULL) {
        keyring_lock_all(ring);
    }
    map_free(ring->vaults);
    derive_queue_free(ring->derivations);
    slots_free(ring->slots);
    memory_free(ring);
}

#include "audit/audit.h"
#include "base/log.h"
#include "base/memory.h"
#include "crypto/secret.h"
#include "ledger/note.h"
#include "os/clock.h"
#include "os/random.h"
#include "secrets/pool_key.h"
#include "secrets/secrets_internal.h"

/* Another key for the pool, while it serves. */

enum { AGAIN_MS = 100, ATTEMPTS_MAX = 100 };

typedef struct succeeding {
    pool *pool;
    char folder[SITE_PATH_SIZE];
    uint8_t transfer[SEAL_KEY_SIZE]; /* where there is no keeper */
    buffer checkpoint;
    pool_key_issued issued;
    error failure;
    bool made;
    bool unsure;    /* or it may be */
    ev_timer again; /* where memory was out once the new key was on the disk */
    unsigned attempts;
    store_done *done;
    void *context;
} succeeding;

/* In a thread of the loop's. */
static void make(void *context) {
    succeeding *s = context;
    helper *keeper = s->pool->privilege.keeper;
    slice text = buffer_slice(&s->checkpoint);
    s->made = keeper != NULL ? keeper_exchange_key(keeper, text, &s->issued, &s->unsure, &s->failure)
                             : random_bytes(s->transfer, sizeof s->transfer, &s->failure) &&
                                   pool_key_exchange(s->folder, clock_unix_ms(), text, s->transfer,
                                                     &s->issued, &s->failure);
}

static sign_key *take_key(const succeeding *s, const uint8_t public_key[SIGN_PUBLIC_SIZE], error *err) {
    helper *signer = s->pool->privilege.signer;
    slice sealed = buffer_slice(&s->issued.sealed);
    return signer != NULL ? signer_take(signer, public_key, sealed, err)
                          : pool_key_unseal(sealed, s->transfer, err);
}

/* What signs in memory is what the disk says. Before the signer has taken the key the one before signs; after
 * it nothing fails. */
static bool swap(succeeding *s, error *err) {
    pool *p = s->pool;
    succession *keys = memory_allocate(sizeof *keys);
    bool read = keys == NULL
                    ? error_memory(err)
                    : succession_read_json(buffer_slice(&s->issued.keys), p->site.pool_id, keys, err);
    sign_key *key = read ? take_key(s, succession_current(keys), err) : NULL;
    if (keys != NULL && key != NULL) {
        buffer former = p->secrets->keys;
        sign_key_free(p->site.key);
        p->site.key = key;
        p->site.keys = *keys;
        p->secrets->keys = s->issued.keys;
        s->issued.keys = former;
        p->secrets->is_signed = false;
        ev_timer_start(p->loop, &p->secrets->timer, 0);
    }
    memory_free(keys);
    return key != NULL;
}

static void enter(pool *p) {
    char hex[HASH_HEX_SIZE];
    uint8_t digest[HASH_SIZE];
    error err = {0};
    if (hash_sha256(slice_of(succession_current(&p->site.keys), SIGN_PUBLIC_SIZE), digest, &err)) {
        hex_encode(slice_of(digest, sizeof digest), hex);
        audit_note_event(p, "pool_rekeyed", slice_of_text(hex), "SHA-256 of the key that signs from now on");
    } else {
        log_error("the pool's new key isn't in the audit log", LOG_CAUSE(&err));
    }
}

static void end(succeeding *s, const error *failure) {
    s->pool->secrets->busy = false;
    s->pool->secrets->succeeding = NULL;
    s->done(s->context, failure);
    buffer_free(&s->checkpoint);
    pool_key_issued_free(&s->issued);
    secret_wipe(s->transfer, sizeof s->transfer);
    memory_free(s);
}

/* What the key before would sign from now on wouldn't hold: the checkpoint beside the database stays held. */
static void stop(pool *p, bool unsure, error *err) {
    error_context(err, unsure ? "the pool's new key may be on the disk"
                              : "the pool's new key is on the disk, but can't be used yet");
    log_error("the pool stops", LOG_CAUSE(err));
    error_set(&p->start_failure, err->code, "%s; start the pool again", err->text);
    ev_loop_stop(p->loop);
}

static void made(void *context) {
    succeeding *s = context;
    pool *p = s->pool;
    error err = s->failure;
    bool good = s->made && swap(s, &err);
    if (s->made && !good && err.code == ERROR_MEMORY && ++s->attempts < ATTEMPTS_MAX) {
        p->secrets->succeeding = s;
        ev_timer_start(p->loop, &s->again, AGAIN_MS);
        return;
    }
    if (s->unsure || (s->made && !good)) {
        stop(p, s->unsure, &err);
    } else {
        audit_release(p, good);
    }
    if (good) {
        enter(p);
    }
    end(s, good ? NULL : &err);
}

void secrets_end_succeeding(secrets *own) {
    struct succeeding *s = own->succeeding;
    error err = {0};
    if (s != NULL) {
        ev_timer_stop(&s->again);
        error_set(&err, ERROR_CONFLICT, "the pool is stopping");
        end(s, &err);
    }
}

/* Nobody else writes the checkpoint beside the database. */
static void begin(void *context) {
    succeeding *s = context;
    pool *p = s->pool;
    error err = {0};
    bool begun = p->audit != NULL || error_set(&err, ERROR_CONFLICT, "the pool is stopping");
    slice text = begun ? audit_checkpoint(p->audit) : (slice){NULL, 0};
    begun = begun && (text.length == 0 || buffer_append(&s->checkpoint, text) || error_memory(&err)) &&
            ev_work(p->loop, make, made, s, &err);
    if (!begun) {
        audit_release(p, false);
        end(s, &err);
    }
}

bool secrets_succeed(pool *p, store_done *done, void *context, error *err) {
    if (p->secrets->busy) {
        return error_set(err, ERROR_CONFLICT, "a secret is being exchanged already; try again in a moment");
    }
    if (p->site.keys.count == SUCCESSION_MAX) {
        return error_set(err, ERROR_CONFLICT,
                         "the pool's key has been exchanged %d times, which is all it can be",
                         (int)SUCCESSION_MAX);
    }
    succeeding *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        return error_memory(err);
    }
    *s = (succeeding){.pool = p,
                      .checkpoint = buffer_make(NOTE_SIZE_MAX),
                      .issued = pool_key_issued_make(),
                      .done = done,
                      .context = context};
    memcpy(s->folder, p->site.folder, sizeof s->folder);
    ev_timer_init(&s->again, made, s);
    p->secrets->busy = true;
    audit_hold(p, begin, s);
    return true;
}

#include "audit/audit.h"
#include "base/log.h"
#include "base/memory.h"
#include "crypto/secret.h"
#include "logins_internal.h"
#include "os/clock.h"
#include "os/random.h"

enum { HOUR_MS = 60 * CLOCK_MINUTE_MS };

/* A session that is being made or refreshed, until the store has answered. */
typedef struct granting {
    pool *pool;
    uint8_t id[STORE_SESSION_ID_SIZE];
    uint8_t refresh_hash[HASH_SIZE];
    login_grant grant;
    login_granted *done;
    void *context;
} granting;

static granting *granting_new(pool *p, const uint8_t *id, uint8_t refresh_hash[HASH_SIZE],
                              login_granted *done, void *context, error *err) {
    uint8_t secret[AUTH_SECRET_SIZE];
    granting *g = memory_allocate_zeroed(1, sizeof *g);
    if (g == NULL) {
        error_memory(err);
        return NULL;
    }
    *g = (granting){.pool = p, .done = done, .context = context};
    bool drawn = random_bytes(secret, sizeof secret, err);
    if (id != NULL) {
        memcpy(g->id, id, sizeof g->id);
    } else {
        drawn = drawn && random_bytes(g->id, sizeof g->id, err);
    }
    drawn = drawn && hash_sha256(slice_of(secret, sizeof secret), refresh_hash, err);
    auth_refresh_make(g->id, secret, g->grant.refresh);
    secret_wipe(secret, sizeof secret);
    memcpy(g->refresh_hash, refresh_hash, HASH_SIZE);
    if (!drawn) {
        memory_free(g);
        return NULL;
    }
    return g;
}

static granting take(void *context) {
    granting copy = *(granting *)context;
    secret_wipe(context, sizeof copy);
    memory_free(context);
    return copy;
}

static bool make_access(const pool *p, const login *l, login_grant *grant, error *err) {
    uint8_t id[AUTH_SESSION_ID_SIZE];
    uint64_t now_s = clock_unix_ms() / 1000;
    uint64_t session_s = l->expires_ms / 1000;
    auth_session_token token = {.user_name = slice_of_text(l->account.user_name),
                                .role = l->account.role,
                                .issued_s = now_s,
                                .expires_s = now_s + p->settings.session_token_seconds};
    if (session_s < token.expires_s) {
        token.expires_s = session_s;
    }
    memcpy(token.session_id, l->id, sizeof token.session_id);
    buffer text = buffer_make(AUTH_SESSION_TOKEN_MAX);
    bool made = (buffer_reserve(&text, AUTH_SESSION_TOKEN_MAX) != NULL || error_memory(err)) &&
                random_bytes(id, sizeof id, err) &&
                auth_session_token_make(&token, id, p->site.pool_id_hex, &p->logins->ring, &text, err);
    slice whole = buffer_slice(&text);
    if (made && whole.data != NULL) {
        memcpy(grant->access, whole.data, whole.length);
        grant->access[whole.length] = '\0';
        grant->expires_in_s = token.expires_s > now_s ? token.expires_s - now_s : 0;
    }
    buffer_wipe(&text);
    return made;
}

/* Tells of the session of that id, if it goes on. */
static void give(granting *g) {
    error err = {0};
    g->grant.session = logins_find(g->pool->logins, g->id);
    bool made = g->grant.session == NULL
                    ? error_set(&err, ERROR_DENIED, "the session has ended; log in again")
                    : g->grant.access[0] != '\0' || make_access(g->pool, g->grant.session, &g->grant, &err);
    g->done(g->context, made ? &g->grant : NULL, made ? NULL : &err);
    secret_wipe(g, sizeof *g);
}

static void session_added(void *context, const store_session *stored, const error *failure) {
    granting g = take(context);
    error err = {0};
    if (failure == NULL && !logins_put(g.pool->logins, stored, &err)) {
        failure = &err;
    }
    if (failure != NULL) {
        g.done(g.context, NULL, failure);
        secret_wipe(&g, sizeof g);
        return;
    }
    log_info("session made", LOG_SLICE("user", stored->user_name), LOG_U64("key", stored->key_id),
             LOG_SLICE("issuer", stored->issuer));
    give(&g);
}

static bool has_room(const pool *p, uint64_t user_id, error *err) {
    const login_person *person = logins_find_person(p->logins, user_id);
    return person == NULL || person->count < LOGINS_OF_USER_MAX ||
           error_set(err, ERROR_LIMIT, "this user has %d sessions; end one, or wait until one has expired",
                     (int)LOGINS_OF_USER_MAX);
}

bool logins_add(pool *p, const login_wish *wish, login_granted *done, void *context, error *err) {
    uint64_t now = clock_unix_ms();
    store_new_session fresh = {.user_id = wish->user_id,
                               .key_id = wish->key_id,
                               .issuer = wish->issuer,
                               .subject = wish->subject,
                               .provider_session = wish->provider_session,
                               .created_ms = now,
                               .expires_ms = now + p->settings.session_hours * HOUR_MS};
    if (wish->not_after_ms != 0 && wish->not_after_ms < fresh.expires_ms) {
        fresh.expires_ms = wish->not_after_ms;
    }
    if (!has_room(p, wish->user_id, err)) {
        return false;
    }
    granting *g = granting_new(p, NULL, fresh.refresh_hash, done, context, err);
    if (g == NULL) {
        return false;
    }
    memcpy(fresh.id, g->id, sizeof fresh.id);
    if (!store_session_add(p->store, &fresh, session_added, g, err)) {
        (void)take(g);
        return false;
    }
    return true;
}

/* Somebody has a copy of what was spent: whoever it is, neither goes on. */
static void end_reused(pool *p, const uint8_t id[STORE_SESSION_ID_SIZE]) {
    char id_hex[LOGIN_ID_HEX_SIZE];
    const login *l = logins_find(p->logins, id);
    hex_encode(slice_of(id, STORE_SESSION_ID_SIZE), id_hex);
    log_warning("a refresh token was used twice: its session is ended", LOG_TEXT("session", id_hex));
    audit_note(p,
               &(audit_record){.outcome = AUDIT_NOTED,
                               .action = "session_reused",
                               .target = slice_of_text(id_hex),
                               .person = l == NULL ? (slice){NULL, 0} : slice_of_text(l->account.user_name),
                               .detail = "a refresh token was used twice"});
    (void)logins_end(p, id);
}

static void session_refreshed(void *context, store_refresh result, const error *failure) {
    granting g = take(context);
    error err = {0};
    if (failure == NULL && result == STORE_REFRESHED) {
        logins_set_refresh(g.pool->logins, g.id, g.refresh_hash);
        give(&g);
        return;
    }
    if (failure == NULL && result == STORE_REFRESH_REUSED) {
        end_reused(g.pool, g.id);
    }
    if (failure == NULL) {
        error_set(&err, ERROR_DENIED, "this refresh token is no longer good; log in again");
    }
    g.done(g.context, NULL, failure == NULL ? &err : failure);
    secret_wipe(&g, sizeof g);
}

bool logins_refresh(pool *p, slice refresh, login_granted *done, void *context, error *err) {
    uint8_t id[STORE_SESSION_ID_SIZE];
    uint8_t from[HASH_SIZE];
    uint8_t to[HASH_SIZE];
    if (!auth_refresh_read(refresh, id, from, err)) {
        return false;
    }
    const login *l = logins_find(p->logins, id);
    if (l == NULL) { /* strangers don't reach the database */
        return error_set(err, ERROR_DENIED, "the session has ended; log in again");
    }
    granting *g = granting_new(p, id, to, done, context, err);
    if (g == NULL) {
        return false;
    }
    /* Before the old token is spent: who got nothing may ask once more. */
    if (!make_access(p, l, &g->grant, err) ||
        !store_session_refresh(p->store, id, from, to, clock_unix_ms(), session_refreshed, g, err)) {
        (void)take(g);
        return false;
    }
    return true;
}

#include "logins_internal.h"

#include "base/log.h"
#include "base/memory.h"
#include "job.h"
#include "memory/keyring.h"
#include "os/clock.h"

#include <stdio.h>

enum { SCRATCH_LIMIT = 65536, DELETED_AT_ONCE = 500 };

static const uint64_t over_kept_ms = (uint64_t)7 * CLOCK_DAY_MS;

static slice user_key(const uint64_t *user_id) {
    return slice_of(user_id, sizeof *user_id);
}

static slice id_key(const uint8_t id[STORE_SESSION_ID_SIZE]) {
    return slice_of(id, STORE_SESSION_ID_SIZE);
}

static logins *logins_new(const uint8_t seed[MAP_SEED_SIZE], error *err) {
    logins *all = memory_allocate_zeroed(1, sizeof *all);
    if (all == NULL) {
        error_memory(err);
        return NULL;
    }
    all->by_id = map_new(seed);
    all->by_user = map_new(seed);
    all->by_token = map_new(seed);
    all->scratch = arena_new(SCRATCH_LIMIT);
    all->ring.keep_ms = (AUTH_SESSION_SECONDS_MAX + 60) * 1000;
    if (all->by_id == NULL || all->by_user == NULL || all->by_token == NULL || all->scratch == NULL) {
        logins_free(all);
        error_memory(err);
        return NULL;
    }
    return all;
}

static void forget_token(logins *all, login_token *token) {
    map_remove(all->by_token, slice_of(token->digest, sizeof token->digest));
    list_remove(&token->node);
    token->session->token_count--;
    memory_free(token);
}

void logins_forget_tokens(logins *all) {
    void *value = NULL;
    for (size_t i = 0; map_next(all->by_token, &i, NULL, &value);) {
        forget_token(all, value);
    }
}

void logins_remove(logins *all, login *l) {
    login_person *person = logins_find_person(all, l->account.user_id);
    for (list_node *node = list_first(&l->tokens); node != NULL; node = list_first(&l->tokens)) {
        forget_token(all, LIST_ENTRY(node, login_token, node));
    }
    map_remove(all->by_id, id_key(l->id));
    list_remove(&l->node);
    if (person != NULL && --person->count == 0) {
        map_remove(all->by_user, user_key(&person->user_id));
        memory_free(person);
    }
    memory_free(l->provider);
    memory_free(l);
}

void logins_free(logins *all) {
    if (all == NULL) {
        return;
    }
    void *value = NULL;
    for (size_t i = 0; all->by_id != NULL && map_next(all->by_id, &i, NULL, &value);) {
        logins_remove(all, value);
    }
    map_free(all->by_id);
    map_free(all->by_user);
    map_free(all->by_token);
    arena_free(all->scratch);
    auth_key_ring_free(&all->ring);
    memory_free(all);
}

login_person *logins_find_person(const logins *all, uint64_t user_id) {
    return map_get(all->by_user, user_key(&user_id));
}

static login_person *make_person(logins *all, uint64_t user_id, error *err) {
    login_person *person = logins_find_person(all, user_id);
    if (person != NULL) {
        return person;
    }
    person = memory_allocate_zeroed(1, sizeof *person);
    if (person == NULL || !map_put(all->by_user, user_key(&user_id), person)) {
        memory_free(person);
        error_memory(err);
        return NULL;
    }
    person->user_id = user_id;
    list_init(&person->logins);
    return person;
}

/* The three texts in one block. */
static bool keep_provider(login *l, const store_session *stored, error *err) {
    const slice texts[] = {stored->issuer, stored->subject, stored->provider_session};
    slice *kept[] = {&l->issuer, &l->subject, &l->provider_session};
    size_t size = 3 + texts[0].length + texts[1].length + texts[2].length;
    l->provider = memory_allocate_zeroed(1, size);
    if (l->provider == NULL) {
        return error_memory(err);
    }
    char *place = l->provider;
    for (size_t i = 0; i < 3; i++) {
        if (texts[i].length > 0) {
            memcpy(place, texts[i].data, texts[i].length);
        }
        *kept[i] = slice_of(place, texts[i].length);
        place += texts[i].length + 1;
    }
    return true;
}

static bool fill_account(account *a, const store_session *stored, error *err) {
    auth_role role = AUTH_EMPLOYEE;
    if (!auth_role_parse(stored->role, &role) || stored->user_name.length > STORE_NAME_MAX ||
        stored->verify_mode.length >= ACCOUNT_MODE_SIZE) {
        return error_set(err, ERROR_CORRUPT,
                         "the database gives the user %.*s a role or a mode that doesn't exist",
                         SLICE_FORMAT(stored->user_name));
    }
    *a = (account){
        .key_id = stored->key_id, .user_id = stored->user_id, .role = role, .expires_ms = stored->expires_ms};
    snprintf(a->user_name, sizeof a->user_name, "%.*s", SLICE_FORMAT(stored->user_name));
    snprintf(a->verify_mode, sizeof a->verify_mode, "%.*s", SLICE_FORMAT(stored->verify_mode));
    return true;
}

static login *make_login(const store_session *stored, error *err) {
    login *l = memory_allocate_zeroed(1, sizeof *l);
    if (l == NULL) {
        error_memory(err);
        return NULL;
    }
    list_init(&l->node);
    list_init(&l->tokens);
    memcpy(l->id, stored->id, sizeof l->id);
    memcpy(l->refresh_hash, stored->refresh_hash, sizeof l->refresh_hash);
    l->created_ms = stored->created_ms;
    l->expires_ms = stored->expires_ms;
    l->by_provider = stored->key_id == 0;
    if (!fill_account(&l->account, stored, err) || !keep_provider(l, stored, err)) {
        memory_free(l);
        return NULL;
    }
    return l;
}

bool logins_put(logins *all, const store_session *stored, error *err) {
    if (logins_find(all, stored->id) != NULL) {
        return error_set(err, ERROR_CONFLICT, "there is a session of this id already");
    }
    login *l = make_login(stored, err);
    if (l == NULL) {
        return false;
    }
    login_person *person = make_person(all, stored->user_id, err);
    if (person == NULL || !map_put(all->by_id, id_key(l->id), l)) {
        if (person != NULL && person->count == 0) {
            map_remove(all->by_user, user_key(&person->user_id));
            memory_free(person);
        }
        memory_free(l->provider);
        memory_free(l);
        return error_memory(err);
    }
    l->account.login = ++all->last_number;
    list_append(&person->logins, &l->node);
    person->count++;
    return true;
}

typedef struct loading {
    logins *all;
    uint64_t now_ms;
    error failure;
} loading;

static void sessions_loaded(void *context, const store_session *sessions, size_t count,
                            const error *failure) {
    loading *l = context;
    if (failure != NULL) {
        l->failure = *failure;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (sessions[i].expires_ms > l->now_ms && !logins_put(l->all, &sessions[i], &l->failure)) {
            return;
        }
    }
}

bool logins_load(pool *p, store *database, error *err) {
    loading l = {.now_ms = clock_unix_ms()};
    p->logins = logins_new(p->map_seed, err);
    l.all = p->logins;
    if (p->logins == NULL || !login_keys_load(p, database, err) ||
        !store_load_sessions(database, sessions_loaded, &l, err)) {
        return false;
    }
    if (l.failure.code != ERROR_NONE) {
        *err = l.failure;
        return false;
    }
    return true;
}

static bool ended(error *err) {
    return error_set(err, ERROR_DENIED, "the session has ended; log in again");
}

static const account *find_known(logins *all, const uint8_t digest[HASH_SIZE], uint64_t now_ms, error *err) {
    login_token *known = map_get(all->by_token, slice_of(digest, HASH_SIZE));
    if (known == NULL) {
        return NULL;
    }
    if (now_ms / 1000 >= known->expires_s) {
        forget_token(all, known);
        error_set(err, ERROR_DENIED, "the session token has expired; refresh it");
        return NULL;
    }
    if (now_ms >= known->session->expires_ms) {
        (void)ended(err);
        return NULL;
    }
    return &known->session->account;
}

/* To verify it anew is all that comes of memory being out. */
static void remember(logins *all, login *l, const uint8_t digest[HASH_SIZE], uint64_t expires_s) {
    if (l->token_count == LOGIN_TOKENS_MAX) {
        forget_token(all, LIST_ENTRY(list_first(&l->tokens), login_token, node));
    }
    login_token *token = memory_allocate_zeroed(1, sizeof *token);
    if (token == NULL || !map_put(all->by_token, slice_of(digest, HASH_SIZE), token)) {
        memory_free(token);
        return;
    }
    memcpy(token->digest, digest, HASH_SIZE);
    token->session = l;
    token->expires_s = expires_s;
    list_append(&l->tokens, &token->node);
    l->token_count++;
}

const account *logins_find_token(pool *p, slice text, error *err) {
    logins *all = p->logins;
    uint64_t now_ms = clock_unix_ms();
    uint8_t digest[HASH_SIZE];
    auth_session_token token;
    if (text.length > AUTH_SESSION_TOKEN_MAX) {
        error_set(err, ERROR_DENIED, "this is neither a key nor a session token");
        return NULL;
    }
    if (!hash_sha256(text, digest, err)) {
        return NULL;
    }
    err->code = ERROR_NONE;
    const account *known = find_known(all, digest, now_ms, err);
    if (known != NULL || err->code != ERROR_NONE) {
        return known;
    }
    bool good =
        auth_session_token_read(text, p->site.pool_id_hex, &all->ring, now_ms, all->scratch, &token, err);
    arena_reset(all->scratch);
    if (!good) {
        return NULL;
    }
    login *l = map_get(all->by_id, id_key(token.session_id));
    if (l == NULL || now_ms >= l->expires_ms) {
        (void)ended(err);
        return NULL;
    }
    remember(all, l, digest, token.expires_s);
    return &l->account;
}

static void end_login(pool *p, login *l) {
    uint64_t number = l->account.login;
    uint64_t user_id = l->account.user_id;
    logins_remove(p->logins, l);
    job_end_login(p, number);
    keyring_lock(p->keyring, user_id, 0, number);
}

size_t logins_end(pool *p, const uint8_t id[STORE_SESSION_ID_SIZE]) {
    login *l = map_get(p->logins->by_id, id_key(id));
    if (l != NULL) {
        end_login(p, l);
    }
    return l != NULL;
}

static bool is_of_key(const login *l, const void *by) {
    return l->account.key_id == *(const uint64_t *)by;
}

bool logins_are_named(slice named_subject, slice named_session, slice subject, slice provider_session) {
    bool may_be_it = named_session.length == 0 || slice_equal(provider_session, named_session) ||
                     (named_subject.length > 0 && provider_session.length == 0);
    return may_be_it && (named_subject.length == 0 || slice_equal(subject, named_subject));
}

static bool is_provided(const login *l, const void *by) {
    const store_session_choice *choice = by;
    return l->by_provider && slice_equal(l->issuer, choice->issuer) &&
           logins_are_named(choice->subject, choice->provider_session, l->subject, l->provider_session);
}

/* Each is found anew: to end one may end others. */
static size_t end_selected(pool *p, bool (*selected)(const login *l, const void *by), const void *by) {
    size_t count = 0;
    void *value = NULL;
    for (size_t i = 0; map_next(p->logins->by_id, &i, NULL, &value);) {
        if (selected(value, by)) {
            end_login(p, value);
            count++;
        }
    }
    return count;
}

size_t logins_end_key(pool *p, uint64_t key_id) {
    return key_id == 0 ? 0 : end_selected(p, is_of_key, &key_id);
}

size_t logins_end_provided(pool *p, slice issuer, slice subject, slice provider_session) {
    store_session_choice choice = {
        .issuer = issuer, .subject = subject, .provider_session = provider_session};
    bool named = subject.length > 0 || provider_session.length > 0;
    return named ? end_selected(p, is_provided, &choice) : 0;
}

static bool is_another(const login *l, const void *by) {
    return l->account.login != *(const uint64_t *)by;
}

size_t logins_end_all_but(pool *p, uint64_t kept) {
    return end_selected(p, is_another, &kept);
}

size_t logins_end_user(pool *p, uint64_t user_id) {
    size_t count = 0;
    for (login_person *person = logins_find_person(p->logins, user_id); person != NULL;
         person = logins_find_person(p->logins, user_id)) {
        end_login(p, LIST_ENTRY(list_first(&person->logins), login, node));
        count++;
    }
    return count;
}

void logins_set_role(logins *all, uint64_t user_id, auth_role role) {
    login_person *person = logins_find_person(all, user_id);
    for (list_node *node = person == NULL ? NULL : person->logins.next;
         node != NULL && node != &person->logins; node = node->next) {
        LIST_ENTRY(node, login, node)->account.role = role;
    }
}

void logins_set_refresh(logins *all, const uint8_t id[STORE_SESSION_ID_SIZE],
                        const uint8_t refresh_hash[STORE_HASH_SIZE]) {
    login *l = map_get(all->by_id, id_key(id));
    if (l != NULL) {
        memcpy(l->refresh_hash, refresh_hash, STORE_HASH_SIZE);
    }
}

const login *logins_find(const logins *all, const uint8_t id[STORE_SESSION_ID_SIZE]) {
    return map_get(all->by_id, id_key(id));
}

const login *logins_next(const logins *all, size_t *position) {
    void *value = NULL;
    return map_next(all->by_id, position, NULL, &value) ? value : NULL;
}

const account *logins_find_user(const logins *all, slice user_name) {
    const login *l = NULL;
    for (size_t i = 0; (l = logins_next(all, &i)) != NULL;) {
        if (slice_equal_text(user_name, l->account.user_name)) {
            return &l->account;
        }
    }
    return NULL;
}

void logins_end_expired(pool *p, uint64_t now_ms) {
    void *value = NULL;
    for (size_t i = 0; map_next(p->logins->by_id, &i, NULL, &value);) {
        login *l = value;
        if (now_ms >= l->expires_ms) {
            end_login(p, l);
        }
    }
}

static void over_deleted(void *context, size_t count, const error *failure) {
    (void)context;
    (void)count;
    if (failure != NULL) {
        log_warning("sessions that are over stay in the database", LOG_CAUSE(failure));
    }
}

void logins_keep_house(pool *p) {
    uint64_t now = clock_unix_ms();
    error err = {0};
    logins_end_expired(p, now);
    login_keys_keep_house(p, now);
    if (now > over_kept_ms &&
        !store_sessions_delete_before(p->store, now - over_kept_ms, DELETED_AT_ONCE, over_deleted, p, &err)) {
        over_deleted(p, 0, &err);
    }
}

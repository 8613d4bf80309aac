#ifndef POOL_LOGINS_H
#define POOL_LOGINS_H

#include "auth/session_token.h"
#include "state.h"
#include "store/sessions.h"

/* Sessions of people and services that go on: each has short-lived tokens (auth/session_token.h), which are
 * good only while it goes on, and one refresh token, which changes each time it is used. Kept in memory so
 * that a request asks no database; a token that was verified is known by its SHA-256 until it expires. Loop
 * thread. */
typedef struct logins logins;

enum { LOGIN_ID_HEX_SIZE = 2 * STORE_SESSION_ID_SIZE + 1, LOGINS_OF_USER_MAX = 200 };

typedef struct login {
    account account; /* first: key_id is that of the key it was made with, or 0; `login` is its number */
    uint8_t id[STORE_SESSION_ID_SIZE];
    uint8_t refresh_hash[STORE_HASH_SIZE]; /* of the secret that the next refresh must bring */
    uint64_t created_ms;
    uint64_t expires_ms;
    bool by_provider;
    list_node node;   /* of its user's */
    list_node tokens; /* verified ones, oldest first */
    size_t token_count;
    char *provider; /* issuer, subject and the provider's session, each with a closing zero */
    slice issuer;
    slice subject;
    slice provider_session;
} login;

/* Reads sessions and the keys that sign their tokens from a store without a loop; makes the first key.
 * Blocks. */
MUST_CHECK bool logins_load(pool *p, store *database, error *err);
void logins_free(logins *all); /* NULL is allowed */
/* Changes the signing key when it is due, forgets what is over. Every minute. */
void logins_keep_house(pool *p);

/* Whose session token this is. NULL: nobody's, with ERROR_DENIED and why; or memory is out. */
const account *logins_find_token(pool *p, slice text, error *err);

/* What a new session is made with. */
typedef struct login_wish {
    uint64_t user_id;
    uint64_t key_id;       /* 0: by a provider */
    uint64_t not_after_ms; /* 0: no bound but the site's */
    slice issuer;
    slice subject;
    slice provider_session;
} login_wish;

/* The tokens of a session, to be shown once. Wiped by logins_wipe_grant. */
typedef struct login_grant {
    const login *session; /* valid during the callback */
    char access[AUTH_SESSION_TOKEN_MAX + 1];
    char refresh[AUTH_REFRESH_LENGTH + 1];
    uint64_t expires_in_s; /* of the access token */
} login_grant;

/* `done` comes once, on the loop; `grant` is NULL on failure and wiped after it returns. False: the same, at
 * once, and no call to come. ERROR_LIMIT: the user has LOGINS_OF_USER_MAX sessions. */
typedef void login_granted(void *context, const login_grant *grant, const error *failure);
MUST_CHECK bool logins_add(pool *p, const login_wish *wish, login_granted *done, void *context, error *err);
/* A refresh token for new tokens. ERROR_DENIED: it isn't one of a session that goes on. Using one a second
 * time ends its session. */
MUST_CHECK bool logins_refresh(pool *p, slice refresh, login_granted *done, void *context, error *err);

/* Ends them at once, with what they ask; the store is told by whoever calls. How many. */
size_t logins_end(pool *p, const uint8_t id[STORE_SESSION_ID_SIZE]);
void logins_end_expired(pool *p, uint64_t now_ms);
size_t logins_end_user(pool *p, uint64_t user_id);
size_t logins_end_key(pool *p, uint64_t key_id);
/* Everybody's, but the one of this number (account.login; 0: without exception). */
size_t logins_end_all_but(pool *p, uint64_t kept);
/* Of a provider; `subject` or `provider_session` may be empty. Where both are given, the subject's sessions
 * of which the provider named none end too. */
size_t logins_end_provided(pool *p, slice issuer, slice subject, slice provider_session);
/* Whether that names a session of this subject and session of the provider's. */
bool logins_are_named(slice named_subject, slice named_session, slice subject, slice provider_session);

/* Of all sessions of a user, from now on. */
void logins_set_role(logins *all, uint64_t user_id, auth_role role);

/* Notes that the next refresh must bring another secret. */
void logins_set_refresh(logins *all, const uint8_t id[STORE_SESSION_ID_SIZE],
                        const uint8_t refresh_hash[STORE_HASH_SIZE]);
/* NULL: no such session goes on. */
const login *logins_find(const logins *all, const uint8_t id[STORE_SESSION_ID_SIZE]);
/* for (size_t i = 0; (l = logins_next(all, &i)) != NULL;) in the order in which they were made; none is to be
 * ended meanwhile. */
const login *logins_next(const logins *all, size_t *position);
/* The account of any session of a user. NULL: none goes on. Looks through all. */
const account *logins_find_user(const logins *all, slice user_name);

/* The key set that others verify our tokens with. */
void logins_write_keys(const pool *p, buffer *json);
/* Makes a new signing key. `at_once`: it alone counts from now on, so that every token made before is
 * refused; sessions go on with their refresh tokens. Else it is published first, and the one before is kept
 * until its tokens have expired. */
MUST_CHECK bool logins_rotate_key(pool *p, bool at_once, store_done *done, void *context, error *err);

#endif

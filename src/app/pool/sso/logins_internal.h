#ifndef POOL_LOGINS_INTERNAL_H
#define POOL_LOGINS_INTERNAL_H

#include "sso/logins.h"

enum {
    LOGIN_TOKENS_MAX = 8,              /* verified ones known of a session */
    LOGIN_KEY_LEAD_MS = 10 * 60 * 1000 /* a key is published for this long before it signs */
};

/* Whoever has sessions. */
typedef struct login_person {
    uint64_t user_id;
    list_node logins; /* login.node */
    size_t count;
} login_person;

typedef struct login_token {
    list_node node; /* in login.tokens */
    login *session;
    uint8_t digest[HASH_SIZE];
    uint64_t expires_s;
} login_token;

struct logins {
    map *by_id;
    map *by_user;  /* login_person, by the 8 bytes of the user's id */
    map *by_token; /* login_token, by digest */
    auth_key_ring ring;
    arena *scratch; /* a token being read */
    uint64_t last_number;
    bool is_rotating;
};

/* ERROR_CONFLICT: there is one of this id. */
MUST_CHECK bool logins_put(logins *all, const store_session *stored, error *err);
void logins_remove(logins *all, login *l);
/* Every token is to be verified anew. */
void logins_forget_tokens(logins *all);
login_person *logins_find_person(const logins *all, uint64_t user_id);

/* login_keys.c */
MUST_CHECK bool login_keys_load(pool *p, store *database, error *err);
void login_keys_keep_house(pool *p, uint64_t now_ms);

#endif

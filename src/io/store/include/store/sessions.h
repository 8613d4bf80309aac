#ifndef STORE_SESSIONS_H
#define STORE_SESSIONS_H

#include "store/store.h"

/* Sessions of people and services, and the keys that sign their tokens. Writes are synced to the disk before
 * they are answered. Dates are Unix milliseconds. */
enum {
    STORE_SESSION_ID_SIZE = 16,
    STORE_SUBJECT_MAX = 255, /* bytes of issuer, subject and the provider's session, each */
    STORE_SESSION_KEY_MAX = 1024
};

typedef struct store_new_session {
    uint8_t id[STORE_SESSION_ID_SIZE];
    uint8_t refresh_hash[STORE_HASH_SIZE];
    uint64_t user_id;
    uint64_t key_id; /* that it is made with; 0: by a provider, which is named then */
    slice issuer;
    slice subject;
    slice provider_session; /* may be empty */
    uint64_t created_ms;
    uint64_t expires_ms;
} store_new_session;

typedef struct store_session {
    uint8_t id[STORE_SESSION_ID_SIZE];
    uint8_t refresh_hash[STORE_HASH_SIZE];
    uint64_t user_id;
    uint64_t key_id;
    slice user_name;
    slice role;
    slice verify_mode; /* of the key; "off" without */
    slice issuer;
    slice subject;
    slice provider_session;
    uint64_t created_ms;
    uint64_t expires_ms;
} store_session;

/* So that whoever may log in can't fill the disk: of a user, over or not, as long as they are kept; and of a
 * session, after which somebody has to log in again. */
enum { STORE_SESSIONS_OF_USER_MAX = 5000, STORE_REFRESHES_MAX = 2000 };

/* ERROR_DENIED: the user is disabled, or the key revoked. ERROR_NOT_FOUND: there is no such user. ERROR_LIMIT
 * beyond STORE_SESSIONS_OF_USER_MAX. */
typedef void store_session_added(void *context, const store_session *session, const error *failure);
MUST_CHECK bool store_session_add(store *s, const store_new_session *session, store_session_added *done,
                                  void *context, error *err);

/* Changes the secret that the next refresh must bring. */
typedef enum store_refresh {
    STORE_REFRESHED,
    STORE_REFRESH_REUSED, /* `from` was changed before: somebody has a copy, and the session has ended now */
    STORE_REFRESH_REFUSED /* never a secret of it; or the session, its user or its key has ended; or it was
                             changed STORE_REFRESHES_MAX times */
} store_refresh;
typedef void store_session_refreshed(void *context, store_refresh result, const error *failure);
MUST_CHECK bool store_session_refresh(store *s, const uint8_t id[STORE_SESSION_ID_SIZE],
                                      const uint8_t from[STORE_HASH_SIZE], const uint8_t to[STORE_HASH_SIZE],
                                      uint64_t now_ms, store_session_refreshed *done, void *context,
                                      error *err);

/* Somebody whom a provider names has logged in: finds the user that is bound to this issuer and subject,
 * gives it the role, or makes a user of that name. ERROR_DENIED: the user is disabled. ERROR_CONFLICT:
 * another user has the name; nobody becomes somebody else by being called alike. */
typedef struct store_person {
    slice issuer;
    slice subject;
    slice name; /* of a user that is made; as the provider says: it may be none */
    slice role;
    uint64_t now_ms;
} store_person;
typedef struct store_known_person {
    uint64_t user_id;
    slice user_name;
    bool is_new;
    bool role_changed;
} store_known_person;
typedef void store_person_known(void *context, const store_known_person *person, const error *failure);
MUST_CHECK bool store_person_log_in(store *s, const store_person *person, store_person_known *done,
                                    void *context, error *err);

/* Whom a provider knows here. */
typedef struct store_identity {
    uint64_t user_id;
    slice user_name;
    slice subject;
    bool active; /* not shut out by anybody */
} store_identity;
typedef struct store_identity_choice {
    slice issuer;
    uint64_t user_id; /* 0: any; so with the next two if they are empty */
    slice user_name;
    slice subject;
    uint64_t skip; /* so many come before */
    size_t limit;  /* 1 to STORE_LIST_MAX */
} store_identity_choice;
/* By user id. `total`: how many there are, unless none is given. */
typedef void store_identities_listed(void *context, const store_identity *identities, size_t count,
                                     size_t total, const error *failure);
MUST_CHECK bool store_identity_list(store *s, const store_identity_choice *choice,
                                    store_identities_listed *done, void *context, error *err);
/* A provider shuts its person out: the user is disabled, its keys are revoked, its sessions end, for good. Or
 * it lets the person in again, if nobody else has shut the user out. ERROR_NOT_FOUND: nobody whom it knows.
 */
MUST_CHECK bool store_identity_set_active(store *s, slice issuer, uint64_t user_id, bool active,
                                          uint64_t now_ms, store_done *done, void *context, error *err);

/* Whose sessions end: exactly one of these is given. */
typedef struct store_session_choice {
    const uint8_t *id; /* STORE_SESSION_ID_SIZE bytes */
    uint64_t user_id;
    uint64_t key_id;
    slice issuer; /* with at least one of the next two; with both, also the subject's that have no session of
                     the provider's */
    slice subject;
    slice provider_session;
} store_session_choice;

/* Ends them; none is no error. */
MUST_CHECK bool store_sessions_end(store *s, const store_session_choice *choice, uint64_t now_ms,
                                   store_done *done, void *context, error *err);

/* Deletes sessions that were over before, at most `limit` (1..STORE_LIST_MAX) in one call; tells how many. */
typedef void store_sessions_deleted(void *context, size_t count, const error *failure);
MUST_CHECK bool store_sessions_delete_before(store *s, uint64_t before_ms, size_t limit,
                                             store_sessions_deleted *done, void *context, error *err);

/* Every session that goes on: not ended, nor its user disabled or its key revoked; expired ones too. */
typedef void store_sessions_loaded(void *context, const store_session *sessions, size_t count,
                                   const error *failure);
MUST_CHECK bool store_load_sessions(store *s, store_sessions_loaded *done, void *context, error *err);

/* A key that signs tokens, sealed by the caller. */
typedef struct store_session_key {
    uint8_t id[STORE_SESSION_ID_SIZE];
    uint64_t begins_ms;
    slice sealed; /* 1 to STORE_SESSION_KEY_MAX bytes */
} store_session_key;

/* Adds a key; where `only`, deletes all others with it. */
MUST_CHECK bool store_session_key_add(store *s, const store_session_key *key, bool only, store_done *done,
                                      void *context, error *err);
/* One that isn't there is no error. It leaves the file as a wiped payload does. */
MUST_CHECK bool store_session_key_delete(store *s, const uint8_t id[STORE_SESSION_ID_SIZE], store_done *done,
                                         void *context, error *err);
typedef void store_session_keys_loaded(void *context, const store_session_key *keys, size_t count,
                                       const error *failure);
MUST_CHECK bool store_load_session_keys(store *s, store_session_keys_loaded *done, void *context, error *err);

#endif

#ifndef POOL_PROVIDERS_H
#define POOL_PROVIDERS_H

#include "auth/oidc.h"
#include "http/client.h"
#include "state.h"

/* The identity providers that the site's sso.yaml names: what they publish is fetched when it is needed, off
 * the loop's way, and kept for a while. Without the file there are none, and keys alone count. Loop thread.
 */
typedef struct providers providers;

enum {
    PROVIDERS_MAX = 16,
    PROVIDER_NAME_MAX = 32,
    PROVIDER_KEYS_MS = 10 * 60 * 1000, /* a key set is fetched anew after so long */
    PROVIDER_REFETCH_MS = 60 * 1000,   /* and for a key that isn't in it no more often than this */
    PROVIDER_METADATA_MS = 60 * 60 * 1000
};

typedef struct provider {
    char name[PROVIDER_NAME_MAX + 1]; /* a-z, 0-9 and '-': in addresses here */
    char *scopes;
    auth_oidc_client client;      /* whom it is for, and what its groups may do */
    unsigned algorithms;          /* AUTH_ALGORITHM_BIT */
    bool has_scim;                /* it may say who is active: sso/scim.h */
    uint8_t scim_hash[HASH_SIZE]; /* of the token that it brings then */
    char *secret;                 /* the client's, in secret memory; NULL: a public client */
    buffer ca_pem;                /* whom to trust; empty: the system's CAs */
    arena *texts;                 /* what stands in the file */

    arena *published; /* holds `metadata` */
    auth_oidc_metadata metadata;
    uint64_t metadata_ms; /* monotonic, when it came; 0: not yet */
    auth_jwks *keys;
    uint64_t keys_ms;
    uint64_t asked_ms; /* when the key set was last asked for */
    bool is_fetching;
    list_node waiting; /* for the fetch under way */
    size_t waiting_count;
    providers *all;
} provider;

/* Reads sso.yaml of the site's folder, if there is one. Blocks. ERROR_INVALID names what is wrong. */
MUST_CHECK bool providers_load(pool *p, error *err);
/* No more is asked of any, and who waits for one is told so: while store and sessions are still there. NULL
 * is allowed. */
void providers_stop(providers *all);
/* After the store: a login that it is still to answer names its provider. NULL is allowed. */
void providers_free(providers *all);
pool *provider_pool(const provider *one);
size_t providers_count(const providers *all);
/* By name; empty: the first. NULL: there is none. */
provider *providers_find(providers *all, slice name);
provider *providers_find_issuer(providers *all, slice issuer);
provider *providers_at(providers *all, size_t index);

/* Has metadata and keys fetched if they are missing or old, or if `key_id` (may be empty) isn't among the
 * keys. `done` comes once, perhaps from inside the call: `failure` NULL if there is something to go by. */
typedef void provider_ready(void *context, provider *from, const error *failure);
void provider_prepare(provider *from, slice key_id, provider_ready *done, void *context);

/* Posts a form with the client's own credentials added. `done` as http_client_request's. False: not sent, and
 * no call to come. */
MUST_CHECK bool provider_post(provider *to, slice url, buffer *form,
                              void (*done)(void *context, const http_client_answer *answer), void *context,
                              error *err);
/* Asks with a bearer token. */
MUST_CHECK bool provider_get(provider *from, slice url, slice token,
                             void (*done)(void *context, const http_client_answer *answer), void *context,
                             error *err);

#endif

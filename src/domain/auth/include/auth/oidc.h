#ifndef AUTH_OIDC_H
#define AUTH_OIDC_H

#include "auth/jwks.h"
#include "auth/jwt.h"
#include "auth/role.h"

/* What a relying party must check of an identity provider (OpenID Connect Core 1.0, Discovery 1.0,
 * Back-Channel Logout 1.0). Nothing a provider says chooses another provider, key or algorithm. All texts
 * live in the arena that is given. */
enum { AUTH_OIDC_URL_MAX = 1024, AUTH_OIDC_DOCUMENT_MAX = 65536, AUTH_OIDC_GROUPS_MAX = 512 };

/* Where a provider takes what; texts end with a zero. Empty: it has no such place. */
typedef struct auth_oidc_metadata {
    slice authorization_endpoint;
    slice token_endpoint;
    slice jwks_uri;
    slice device_endpoint;
    slice userinfo_endpoint;
    bool names_issuer;   /* every answer to the browser has "iss" (RFC 9207): one without is refused */
    bool secret_in_body; /* takes the client's secret as a field alone, not by HTTP Basic */
} auth_oidc_metadata;

/* ERROR_DENIED: it speaks of another issuer, or has a place that isn't https (of an issuer on loopback:
 * http). */
MUST_CHECK bool auth_oidc_metadata_parse(slice json, slice issuer, arena *a, auth_oidc_metadata *metadata,
                                         error *err);
/* An address that tokens and secrets may go to: https, or http on loopback; no user, no fragment. */
bool auth_oidc_url_is_safe(slice url);

/* The first rule whose group the person is in gives the role. */
typedef struct auth_oidc_rule {
    slice group;
    auth_role role;
} auth_oidc_rule;

typedef struct auth_oidc_client {
    slice issuer;
    slice client_id;
    slice name_claim;   /* what the user is called here */
    slice groups_claim; /* a text or an array of texts */
    const auth_oidc_rule *rules;
    size_t rule_count;
    auth_role default_role; /* without a rule; AUTH_ROLE_COUNT: none */
} auth_oidc_client;

typedef struct auth_oidc_person {
    slice subject;
    slice provider_session; /* "sid"; may be empty */
    slice name;             /* lower case; empty: the token doesn't say */
    auth_role role;         /* AUTH_ROLE_COUNT: none */
    bool groups_are_known;  /* the claim was there */
} auth_oidc_person;

/* The ID token of a login: `nonce` empty where there was none to be given (device flow). ERROR_DENIED. */
MUST_CHECK bool auth_oidc_read_id_token(slice token, const auth_oidc_client *client, const auth_jwks *keys,
                                        slice nonce, uint64_t now_s, arena *a, auth_oidc_person *person,
                                        error *err);
/* Takes name and groups, where the ID token had none, from the userinfo endpoint's answer, which must be
 * about the same person. */
MUST_CHECK bool auth_oidc_read_userinfo(slice json, const auth_oidc_client *client, arena *a,
                                        auth_oidc_person *person, error *err);

/* Whose sessions end. At least one of the first two is there. */
typedef struct auth_oidc_logout {
    slice subject;
    slice provider_session;
    slice id; /* "jti": to be refused a second time */
    uint64_t expires_s;
} auth_oidc_logout;
/* Back-Channel Logout 1.0 §2.6. ERROR_DENIED. */
MUST_CHECK bool auth_oidc_read_logout_token(slice token, const auth_oidc_client *client,
                                            const auth_jwks *keys, uint64_t now_s, arena *a,
                                            auth_oidc_logout *logout, error *err);

/* The key id that a token names, so that its key set can be fetched anew; empty if it names none or is none.
 */
slice auth_oidc_key_id(slice token, arena *a);
/* The issuer that a token names, to choose by whose keys it is verified: that must then agree. Empty if it
 * names none or is none. */
slice auth_oidc_issuer(slice token, arena *a);

#endif

#include "auth/oidc.h"
#include "auth/scim.h"
#include "auth/session_token.h"
#include "crypto/start.h"

#include <stdlib.h>

/* What strangers bring as tokens, and what providers say: nothing of it crashes, and nothing that wasn't
 * signed is taken. */
enum { MEMORY = 1 << 20, NOW_S = 1800000000 };

#define ISSUER "https://login.example"

static const char pool_id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const auth_oidc_rule rules[] = {{SLICE_LITERAL("staff"), AUTH_EMPLOYEE}};
static const auth_oidc_client client = {.issuer = SLICE_LITERAL(ISSUER),
                                        .client_id = SLICE_LITERAL("cellule"),
                                        .name_claim = SLICE_LITERAL("preferred_username"),
                                        .groups_claim = SLICE_LITERAL("groups"),
                                        .rules = rules,
                                        .rule_count = 1,
                                        .default_role = AUTH_ROLE_COUNT};
static auth_key_ring ring;
static auth_jwks *keys;

static void start(void) {
    error err;
    uint8_t seed[SIGN_SEED_SIZE] = {1};
    json_start(1);
    sign_key *own = crypto_start(&err) ? sign_key_from_seed(seed, &err) : NULL;
    buffer json = buffer_make(4096);
    buffer_append_text(&json, "{\"keys\":[");
    if (own != NULL) {
        auth_jwks_write_key(sign_key_public(own), SLICE_LITERAL("k1"), &json);
    }
    buffer_append_text(&json, "]}");
    keys = auth_jwks_parse(buffer_slice(&json), AUTH_ALGORITHMS_ALL, &err);
    buffer_free(&json);
    if (own == NULL || keys == NULL || !auth_key_ring_add(&ring, own, 1, &err)) {
        abort();
    }
}

static void check_claims(slice text, arena *a) {
    error err;
    auth_jwt jwt;
    auth_jws jws = {.payload = text};
    auth_jwt_expected expected = {
        .issuer = client.issuer, .audience = client.client_id, .now_s = NOW_S, .leeway_s = AUTH_JWT_LEEWAY_S};
    if (auth_jwt_check(&jws, &expected, &jwt, &err)) {
        if (jwt.expires_s + AUTH_JWT_LEEWAY_S <= NOW_S || jwt.issued_s > NOW_S + AUTH_JWT_LEEWAY_S) {
            abort();
        }
        json_free(jwt.root);
    }
    auth_oidc_person person = {.subject = SLICE_LITERAL("s"), .role = AUTH_ROLE_COUNT};
    if (auth_oidc_read_userinfo(text, &client, a, &person, &err) && !slice_equal_text(person.subject, "s")) {
        abort();
    }
}

static void check_documents(slice text, arena *a) {
    error err;
    auth_oidc_metadata metadata;
    if (auth_oidc_metadata_parse(text, client.issuer, a, &metadata, &err) &&
        (!auth_oidc_url_is_safe(metadata.token_endpoint) || !auth_oidc_url_is_safe(metadata.jwks_uri))) {
        abort();
    }
    auth_jwks *set = auth_jwks_parse(text, AUTH_ALGORITHMS_ALL, &err);
    if (set != NULL && auth_jwks_count(set) > AUTH_JWKS_KEYS_MAX) {
        abort();
    }
    auth_jwks_free(set);
}

static void check_scim(slice text, arena *a) {
    error err;
    auth_scim_active active;
    auth_scim_filter filter;
    (void)!auth_scim_read_patch(text, &active, &err);
    (void)!auth_scim_read_resource(text, &active, &err);
    if (auth_scim_read_filter(text, a, &filter, &err) && filter.user_name.length > 0 &&
        filter.external_id.length > 0) {
        abort();
    }
}

static void check_token(slice text, arena *a) {
    error err;
    auth_jws jws;
    auth_oidc_person person;
    auth_oidc_logout logout;
    auth_session_token token;
    if (auth_jws_parse(text, a, &jws, &err) &&
        (jws.signed_text.length >= text.length || jws.signed_text.data != text.data)) {
        abort();
    }
    (void)auth_oidc_key_id(text, a);
    (void)auth_oidc_issuer(text, a);
    if (auth_oidc_read_id_token(text, &client, keys, (slice){NULL, 0}, NOW_S, a, &person, &err) ||
        auth_oidc_read_logout_token(text, &client, keys, NOW_S, a, &logout, &err) ||
        auth_session_token_read(text, pool_id, &ring, (uint64_t)NOW_S * 1000, a, &token, &err)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    slice text = slice_of(data, size);
    if (keys == NULL) {
        start();
    }
    arena *a = arena_new(MEMORY);
    if (a == NULL) {
        return 0;
    }
    check_token(text, a);
    check_claims(text, a);
    check_documents(text, a);
    check_scim(text, a);
    arena_free(a);
    return 0;
}

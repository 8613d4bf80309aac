#include "auth/oidc.h"

#include "auth/token.h"

enum {
    DOCUMENT_DEPTH = 16,
    DOCUMENT_VALUES = 4096,
    ID_TOKEN_AGE_S = 600,
    LOGOUT_AGE_S = 600,
    SUBJECT_MAX = 255,
    NAME_MAX = 64
};

static const char logout_event[] = "http://schemas.openid.net/event/backchannel-logout";

static bool is_loopback(slice host) {
    return slice_equal_text(host, "localhost") || slice_equal_text(host, "127.0.0.1") ||
           slice_equal_text(host, "::1");
}

static bool authority_is_safe(slice authority, bool loopback_alone) {
    slice host = authority;
    uint16_t port = 0;
    if (!auth_address_split(authority, &host, &port)) {
        char padded[300];
        if (authority.length == 0 || authority.length > 256) {
            return false;
        }
        memcpy(padded, authority.data, authority.length);
        memcpy(padded + authority.length, ":443", 4);
        if (!auth_address_split(slice_of(padded, authority.length + 4), &host, &port)) {
            return false;
        }
        return !loopback_alone || is_loopback(slice_of(host.data, host.length));
    }
    return !loopback_alone || is_loopback(host);
}

bool auth_oidc_url_is_safe(slice url) {
    static const slice secure = SLICE_LITERAL("https://");
    static const slice plain = SLICE_LITERAL("http://");
    bool is_secure = slice_starts_with(url, secure);
    if (url.length > AUTH_OIDC_URL_MAX || (!is_secure && !slice_starts_with(url, plain))) {
        return false;
    }
    for (size_t i = 0; i < url.length; i++) {
        uint8_t c = url.data[i];
        if (c <= ' ' || c >= 0x7F || c == '#' || c == '\\' || c == '"' || c == '<' || c == '>') {
            return false;
        }
    }
    slice rest = slice_after(url, is_secure ? secure.length : plain.length);
    size_t end = 0;
    while (end < rest.length && rest.data[end] != '/' && rest.data[end] != '?') {
        end++;
    }
    return authority_is_safe(slice_part(rest, 0, end), !is_secure);
}

static bool take_url(const json_value *root, const char *name, bool needed, arena *a, slice *url,
                     error *err) {
    slice text = json_text_of(json_find(root, name));
    *url = (slice){NULL, 0};
    if (text.length == 0 && !needed) {
        return true;
    }
    if (!auth_oidc_url_is_safe(text)) {
        return error_set(err, ERROR_DENIED, "the provider's \"%s\" is missing or isn't an https address",
                         name);
    }
    return arena_copy(a, text, url) || error_memory(err);
}

static bool lists(const json_value *array, const char *text) {
    for (size_t i = 0; i < json_count(array); i++) {
        if (slice_equal_text(json_text_of(json_at(array, i)), text)) {
            return true;
        }
    }
    return false;
}

static bool read_metadata(const json_value *root, slice issuer, arena *a, auth_oidc_metadata *m, error *err) {
    const json_value *methods = json_find(root, "token_endpoint_auth_methods_supported");
    if (issuer.length == 0 || !slice_equal(json_text_of(json_find(root, "issuer")), issuer)) {
        return error_set(err, ERROR_DENIED, "the provider says that it is another issuer than %.*s",
                         SLICE_FORMAT(issuer));
    }
    m->names_issuer = json_to_bool(json_find(root, "authorization_response_iss_parameter_supported"));
    m->secret_in_body =
        methods != NULL && !lists(methods, "client_secret_basic") && lists(methods, "client_secret_post");
    return take_url(root, "authorization_endpoint", true, a, &m->authorization_endpoint, err) &&
           take_url(root, "token_endpoint", true, a, &m->token_endpoint, err) &&
           take_url(root, "jwks_uri", true, a, &m->jwks_uri, err) &&
           take_url(root, "device_authorization_endpoint", false, a, &m->device_endpoint, err) &&
           take_url(root, "userinfo_endpoint", false, a, &m->userinfo_endpoint, err);
}

static json_value *parse_document(slice json, error *err) {
    return json_parse(
        json,
        (json_limits){.size = AUTH_OIDC_DOCUMENT_MAX, .depth = DOCUMENT_DEPTH, .values = DOCUMENT_VALUES},
        err);
}

bool auth_oidc_metadata_parse(slice json, slice issuer, arena *a, auth_oidc_metadata *metadata, error *err) {
    *metadata = (auth_oidc_metadata){.names_issuer = false};
    json_value *root = parse_document(json, err);
    if (root == NULL) {
        return error_context(err, "the provider's metadata");
    }
    bool good = read_metadata(root, issuer, a, metadata, err);
    json_free(root);
    return good;
}

static bool is_in_group(const json_value *groups, slice group) {
    if (json_kind_of(groups) == JSON_KIND_TEXT) {
        return slice_equal(json_text_of(groups), group);
    }
    for (size_t i = 0; json_kind_of(groups) == JSON_KIND_ARRAY && i < json_count(groups); i++) {
        const json_value *one = json_at(groups, i);
        if (i == AUTH_OIDC_GROUPS_MAX) {
            return false;
        }
        if (json_kind_of(one) == JSON_KIND_TEXT && slice_equal(json_text_of(one), group)) {
            return true;
        }
    }
    return false;
}

static auth_role role_of(const json_value *groups, const auth_oidc_client *client) {
    for (size_t i = 0; i < client->rule_count; i++) {
        if (is_in_group(groups, client->rules[i].group)) {
            return client->rules[i].role;
        }
    }
    return client->default_role;
}

/* As users are called here: lower case, and what isn't allowed in a name is for the store to refuse. */
static bool take_name(slice text, arena *a, slice *name, error *err) {
    if (text.length > NAME_MAX) {
        return true;
    }
    uint8_t *place = arena_allocate(a, text.length + 1);
    if (place == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < text.length; i++) {
        uint8_t c = text.data[i];
        place[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
    }
    *name = slice_of(place, text.length);
    return true;
}

static const json_value *find_claim(const json_value *root, slice name) {
    char text[128];
    if (name.length == 0 || name.length >= sizeof text) {
        return NULL;
    }
    memcpy(text, name.data, name.length);
    text[name.length] = '\0';
    return json_find(root, text);
}

static bool take_claims(const json_value *root, const auth_oidc_client *client, arena *a,
                        auth_oidc_person *person, error *err) {
    const json_value *groups = find_claim(root, client->groups_claim);
    if (!person->groups_are_known) {
        person->groups_are_known = groups != NULL;
        person->role = role_of(groups, client);
    }
    return person->name.length > 0 ||
           take_name(json_text_of(find_claim(root, client->name_claim)), a, &person->name, err);
}

/* Verified by a key of the set that is of the algorithm that the token names. */
static bool verify(slice token, const auth_jwks *keys, arena *a, auth_jws *jws, error *err) {
    if (!auth_jws_parse(token, a, jws, err)) {
        return false;
    }
    const public_key *key = auth_jwks_find(keys, jws->key_id, jws->algorithm);
    if (key == NULL) {
        return error_set(
            err, ERROR_DENIED,
            "the token isn't signed with a key of its issuer and an algorithm that is allowed for it");
    }
    return auth_jws_verify(jws, key, err);
}

bool auth_oidc_read_id_token(slice token, const auth_oidc_client *client, const auth_jwks *keys, slice nonce,
                             uint64_t now_s, arena *a, auth_oidc_person *person, error *err) {
    auth_jws jws;
    auth_jwt jwt;
    auth_jwt_expected expected = {.issuer = client->issuer,
                                  .audience = client->client_id,
                                  .nonce = nonce,
                                  .now_s = now_s,
                                  .age_s = ID_TOKEN_AGE_S,
                                  .leeway_s = AUTH_JWT_LEEWAY_S};
    *person = (auth_oidc_person){.role = client->default_role};
    if (!verify(token, keys, a, &jws, err) || !auth_jwt_check(&jws, &expected, &jwt, err)) {
        return false;
    }
    slice session = json_text_of(json_find(jwt.root, "sid"));
    bool good = session.length <= SUBJECT_MAX ||
                error_set(err, ERROR_DENIED, "the provider's name of the session is too long");
    good = good && ((arena_copy(a, jwt.subject, &person->subject) &&
                     arena_copy(a, session, &person->provider_session)) ||
                    error_memory(err));
    /* A logout token is signed by the same key for the same audience: it must not log anybody in. */
    good = good && (json_find(jwt.root, "events") == NULL ||
                    error_set(err, ERROR_DENIED, "this is not the token of a login"));
    good = good && take_claims(jwt.root, client, a, person, err);
    json_free(jwt.root);
    return good;
}

bool auth_oidc_read_userinfo(slice json, const auth_oidc_client *client, arena *a, auth_oidc_person *person,
                             error *err) {
    json_value *root = parse_document(json, err);
    if (root == NULL) {
        return error_context(err, "what the provider says of the person");
    }
    bool good =
        (person->subject.length > 0 && slice_equal(json_text_of(json_find(root, "sub")), person->subject)) ||
        error_set(err, ERROR_DENIED, "the provider speaks of another person than who has logged in");
    good = good && take_claims(root, client, a, person, err);
    json_free(root);
    return good;
}

static bool read_logout(const json_value *root, arena *a, auth_oidc_logout *logout, error *err) {
    const json_value *event = json_find(json_find(root, "events"), logout_event);
    slice session = json_text_of(json_find(root, "sid"));
    if (json_kind_of(event) != JSON_KIND_OBJECT || json_find(root, "nonce") != NULL ||
        logout->id.length == 0 || logout->id.length > SUBJECT_MAX || session.length > SUBJECT_MAX ||
        (session.length == 0 && logout->subject.length == 0)) {
        return error_set(err, ERROR_DENIED, "this is not a logout token, or it names nobody");
    }
    return (arena_copy(a, session, &logout->provider_session) &&
            arena_copy(a, logout->subject, &logout->subject) && arena_copy(a, logout->id, &logout->id)) ||
           error_memory(err);
}

bool auth_oidc_read_logout_token(slice token, const auth_oidc_client *client, const auth_jwks *keys,
                                 uint64_t now_s, arena *a, auth_oidc_logout *logout, error *err) {
    auth_jws jws;
    auth_jwt jwt;
    auth_jwt_expected expected = {.issuer = client->issuer,
                                  .audience = client->client_id,
                                  .now_s = now_s,
                                  .age_s = LOGOUT_AGE_S,
                                  .leeway_s = AUTH_JWT_LEEWAY_S,
                                  .subject_optional = true};
    *logout = (auth_oidc_logout){.expires_s = 0};
    if (!verify(token, keys, a, &jws, err) || !auth_jwt_check(&jws, &expected, &jwt, err)) {
        return false;
    }
    *logout = (auth_oidc_logout){.subject = jwt.subject, .id = jwt.id, .expires_s = jwt.expires_s};
    bool good = read_logout(jwt.root, a, logout, err);
    json_free(jwt.root);
    return good;
}

slice auth_oidc_key_id(slice token, arena *a) {
    auth_jws jws;
    error ignored;
    return auth_jws_parse(token, a, &jws, &ignored) ? jws.key_id : (slice){NULL, 0};
}

slice auth_oidc_issuer(slice token, arena *a) {
    auth_jws jws;
    error ignored = {0};
    slice issuer = {NULL, 0};
    json_value *root =
        auth_jws_parse(token, a, &jws, &ignored) ? parse_document(jws.payload, &ignored) : NULL;
    if (!arena_copy(a, json_text_of(json_find(root, "iss")), &issuer)) {
        issuer = (slice){NULL, 0};
    }
    json_free(root);
    return issuer;
}

#include "auth/token.h"

#include "codec/base64.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

static const slice key_prefix = {(const uint8_t *)"ck_", 3};
static const slice join_prefix = {(const uint8_t *)"cj_", 3};
static const slice refresh_prefix = {(const uint8_t *)"cr_", 3};

enum { NAME_MAX_LENGTH = 253, IPV6_MAX_LENGTH = 45, PORT_MAX = 65535 };

_Static_assert(AUTH_USER_KEY_LENGTH == 3 + BASE64URL_LENGTH(AUTH_SECRET_SIZE), "ck_ and the secret");
_Static_assert(AUTH_REFRESH_LENGTH == 3 + BASE64URL_LENGTH(AUTH_SESSION_ID_SIZE + AUTH_SECRET_SIZE),
               "cr_, the id and the secret");
_Static_assert(AUTH_JOIN_TOKEN_MAX == 3 + 2 * AUTH_JOIN_ID_SIZE + 1 + BASE64URL_LENGTH(AUTH_SECRET_SIZE) + 1 +
                                          BASE64URL_LENGTH(AUTH_PIN_SIZE) + 1 +
                                          BASE64URL_LENGTH(AUTH_ADDRESS_MAX),
               "cj_ and four parts with dots between");
_Static_assert((int)AUTH_HASH_SIZE == (int)HASH_SIZE, "SHA-256");

void auth_user_key_make(const uint8_t secret[AUTH_SECRET_SIZE], char text[AUTH_USER_KEY_LENGTH + 1]) {
    memcpy(text, key_prefix.data, key_prefix.length);
    base64url_encode(slice_of(secret, AUTH_SECRET_SIZE), text + key_prefix.length);
}

bool auth_user_key_check(slice text) {
    uint8_t secret[AUTH_SECRET_SIZE];
    bool good = slice_starts_with(text, key_prefix) &&
                base64url_decode_exact(slice_after(text, key_prefix.length), secret, sizeof secret);
    secret_wipe(secret, sizeof secret);
    return good;
}

bool auth_user_key_hash(slice text, uint8_t digest[AUTH_HASH_SIZE], error *err) {
    if (!auth_user_key_check(text)) {
        memset(digest, 0, AUTH_HASH_SIZE);
        return error_set(err, ERROR_DENIED, "this is not a key: one looks like ck_ and 43 characters");
    }
    return hash_sha256(text, digest, err);
}

void auth_refresh_make(const uint8_t session_id[AUTH_SESSION_ID_SIZE], const uint8_t secret[AUTH_SECRET_SIZE],
                       char text[AUTH_REFRESH_LENGTH + 1]) {
    uint8_t both[AUTH_SESSION_ID_SIZE + AUTH_SECRET_SIZE];
    memcpy(both, session_id, AUTH_SESSION_ID_SIZE);
    memcpy(both + AUTH_SESSION_ID_SIZE, secret, AUTH_SECRET_SIZE);
    memcpy(text, refresh_prefix.data, refresh_prefix.length);
    base64url_encode(slice_of(both, sizeof both), text + refresh_prefix.length);
    secret_wipe(both, sizeof both);
}

bool auth_refresh_read(slice text, uint8_t session_id[AUTH_SESSION_ID_SIZE], uint8_t digest[AUTH_HASH_SIZE],
                       error *err) {
    uint8_t both[AUTH_SESSION_ID_SIZE + AUTH_SECRET_SIZE];
    bool good = slice_starts_with(text, refresh_prefix) &&
                base64url_decode_exact(slice_after(text, refresh_prefix.length), both, sizeof both);
    memset(session_id, 0, AUTH_SESSION_ID_SIZE);
    memset(digest, 0, AUTH_HASH_SIZE);
    if (!good) {
        return error_set(err, ERROR_DENIED, "this is not a refresh token");
    }
    memcpy(session_id, both, AUTH_SESSION_ID_SIZE);
    good = hash_sha256(slice_of(both + AUTH_SESSION_ID_SIZE, AUTH_SECRET_SIZE), digest, err);
    secret_wipe(both, sizeof both);
    return good;
}

bool auth_join_secret_hash(const uint8_t secret[AUTH_SECRET_SIZE], uint8_t digest[AUTH_HASH_SIZE],
                           error *err) {
    return hash_sha256(slice_of(secret, AUTH_SECRET_SIZE), digest, err);
}

static bool is_alphanumeric(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A host name or an IPv4 address: labels of letters, digits and inner hyphens, one dot between (RFC 1123). */
static bool is_name(slice host) {
    if (host.length == 0 || host.length > NAME_MAX_LENGTH) {
        return false;
    }
    bool at_edge = true;
    for (size_t i = 0; i < host.length; i++) {
        uint8_t c = host.data[i];
        bool next_is_edge = i + 1 == host.length || host.data[i + 1] == '.';
        if (c == '.' ? at_edge : !is_alphanumeric(c) && (c != '-' || at_edge || next_is_edge)) {
            return false;
        }
        at_edge = c == '.';
    }
    return !at_edge;
}

/* The characters of an IPv6 address; whether they are one is for whoever connects. */
static bool is_ipv6(slice host) {
    bool colon = false;
    for (size_t i = 0; i < host.length; i++) {
        uint8_t c = host.data[i];
        colon = colon || c == ':';
        if (c != ':' && c != '.' && !(is_alphanumeric(c) && (c | 0x20) <= 'f')) {
            return false;
        }
    }
    return colon && host.length >= 2 && host.length <= IPV6_MAX_LENGTH;
}

static bool parse_port(slice text, uint16_t *port) {
    uint64_t value = 0;
    bool good = slice_to_u64(text, &value) && value >= 1 && value <= PORT_MAX;
    *port = good ? (uint16_t)value : 0;
    return good;
}

bool auth_address_split(slice address, slice *host, uint16_t *port) {
    bool bracketed = address.length > 0 && address.data[0] == '[';
    size_t end = slice_find(address, bracketed ? ']' : ':');
    *host = slice_of(NULL, 0);
    *port = 0;
    if (end == SIZE_MAX) {
        return false;
    }
    slice name = slice_part(address, bracketed ? 1 : 0, bracketed ? end - 1 : end);
    slice rest = slice_after(address, bracketed ? end + 1 : end);
    if (rest.length == 0 || rest.data[0] != ':' || !(bracketed ? is_ipv6(name) : is_name(name)) ||
        !parse_port(slice_after(rest, 1), port)) {
        return false;
    }
    *host = name;
    return true;
}

bool auth_join_token_make(const auth_join_token *token, char text[AUTH_JOIN_TOKEN_MAX + 1], error *err) {
    size_t length = strnlen(token->address, sizeof token->address);
    slice host;
    uint16_t port = 0;
    text[0] = '\0';
    if (length > AUTH_ADDRESS_MAX || !auth_address_split(slice_of(token->address, length), &host, &port)) {
        return error_set(err, ERROR_INVALID, "the pool's address must be host:port");
    }
    char *at = text;
    memcpy(at, join_prefix.data, join_prefix.length);
    at += join_prefix.length;
    hex_encode(slice_of(token->id, sizeof token->id), at);
    at += 2 * sizeof token->id;
    const slice parts[] = {slice_of(token->secret, sizeof token->secret),
                           slice_of(token->pin, sizeof token->pin), slice_of(token->address, length)};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *at++ = '.';
        base64url_encode(parts[i], at);
        at += BASE64URL_LENGTH(parts[i].length);
    }
    return true;
}

/* Takes the text up to the next dot, or to the end for the last part. */
static slice next_part(slice *rest) {
    size_t dot = slice_find(*rest, '.');
    slice part = slice_part(*rest, 0, dot);
    *rest = dot == SIZE_MAX ? slice_of(NULL, 0) : slice_after(*rest, dot + 1);
    return part;
}

static bool parse_join_token(slice text, auth_join_token *token) {
    slice host;
    uint16_t port = 0;
    slice rest = slice_after(text, join_prefix.length);
    slice id = next_part(&rest);
    slice secret = next_part(&rest);
    slice pin = next_part(&rest);
    size_t length = 0;
    return slice_starts_with(text, join_prefix) && hex_decode(id, token->id, sizeof token->id) &&
           base64url_decode_exact(secret, token->secret, sizeof token->secret) &&
           base64url_decode_exact(pin, token->pin, sizeof token->pin) &&
           base64url_decode(rest, (uint8_t *)token->address, AUTH_ADDRESS_MAX, &length) &&
           auth_address_split(slice_of(token->address, length), &host, &port);
}

bool auth_join_token_parse(slice text, auth_join_token *token, error *err) {
    *token = (auth_join_token){.id = {0}};
    if (parse_join_token(text, token)) {
        return true;
    }
    secret_wipe(token, sizeof *token);
    return error_set(err, ERROR_INVALID,
                     "this is not a join token, or not all of it: paste the whole text that begins with cj_");
}

static bool is_token68(slice token) {
    size_t i = 0;
    while (i < token.length &&
           (is_alphanumeric(token.data[i]) || memchr("-._~+/", token.data[i], 6) != NULL)) {
        i++;
    }
    bool some = i > 0;
    while (i < token.length && token.data[i] == '=') {
        i++;
    }
    return some && i == token.length;
}

bool auth_bearer_parse(slice field_value, slice *token) {
    static const slice scheme = {(const uint8_t *)"Bearer ", 7};
    *token = slice_of(NULL, 0);
    if (!slice_equal_ignore_case(slice_part(field_value, 0, scheme.length), scheme)) {
        return false;
    }
    slice rest = slice_after(field_value, scheme.length);
    while (rest.length > 0 && rest.data[0] == ' ') {
        rest = slice_after(rest, 1);
    }
    if (!is_token68(rest)) {
        return false;
    }
    *token = rest;
    return true;
}

#include "auth/jwt.h"

enum { CLAIMS_SIZE_MAX = AUTH_JWS_SIZE_MAX, CLAIMS_DEPTH = 8, CLAIMS_VALUES = 1024, SUBJECT_MAX = 255 };

static const uint64_t seconds_max = 253402300799; /* the last second of the year 9999 */

static bool wrong(const char *claim, error *err) {
    return error_set(err, ERROR_DENIED,
                     "the token isn't for here and now: its claim \"%s\" is missing or wrong", claim);
}

static bool text_is(const json_value *root, const char *name, slice expected) {
    const json_value *value = json_find(root, name);
    return expected.length > 0 && json_kind_of(value) == JSON_KIND_TEXT &&
           slice_equal(json_text_of(value), expected);
}

/* RFC 7519 §4.1.3; "azp" as OpenID Connect Core §3.1.3.7. */
static bool audience_fits(const json_value *root, slice expected) {
    const json_value *value = json_find(root, "aud");
    if (json_kind_of(value) == JSON_KIND_TEXT) {
        return text_is(root, "aud", expected) &&
               (json_find(root, "azp") == NULL || text_is(root, "azp", expected));
    }
    bool found = false;
    for (size_t i = 0; json_kind_of(value) == JSON_KIND_ARRAY && i < json_count(value); i++) {
        const json_value *one = json_at(value, i);
        if (json_kind_of(one) != JSON_KIND_TEXT) {
            return false;
        }
        found = found || (expected.length > 0 && slice_equal(json_text_of(one), expected));
    }
    return found && (json_find(root, "azp") == NULL || text_is(root, "azp", expected));
}

/* Issuers write whole seconds, some with a fraction: the fraction is dropped. */
static bool read_time(const json_value *root, const char *name, uint64_t *seconds) {
    const json_value *value = json_find(root, name);
    if (json_kind_of(value) != JSON_KIND_NUMBER) {
        return false;
    }
    double number = json_to_double(value);
    if (!(number >= 0) || number > (double)seconds_max) {
        return false;
    }
    *seconds = (uint64_t)number;
    return true;
}

static bool check_times(const json_value *root, const auth_jwt_expected *expected, auth_jwt *jwt,
                        error *err) {
    uint64_t not_before = 0;
    uint64_t latest = expected->now_s + expected->leeway_s;
    if (!read_time(root, "exp", &jwt->expires_s) || jwt->expires_s + expected->leeway_s <= expected->now_s) {
        return wrong("exp", err);
    }
    if (json_find(root, "nbf") != NULL && (!read_time(root, "nbf", &not_before) || not_before > latest)) {
        return wrong("nbf", err);
    }
    if (!read_time(root, "iat", &jwt->issued_s) || jwt->issued_s > latest ||
        (expected->age_s > 0 && jwt->issued_s + expected->age_s + expected->leeway_s < expected->now_s)) {
        return wrong("iat", err);
    }
    return true;
}

static bool check_claims(const json_value *root, const auth_jwt_expected *expected, auth_jwt *jwt,
                         error *err) {
    const json_value *subject = json_find(root, "sub");
    if (json_kind_of(root) != JSON_KIND_OBJECT || !text_is(root, "iss", expected->issuer)) {
        return wrong("iss", err);
    }
    if (!audience_fits(root, expected->audience)) {
        return wrong("aud", err);
    }
    if (expected->nonce.length > 0 && !text_is(root, "nonce", expected->nonce)) {
        return wrong("nonce", err);
    }
    jwt->subject = json_text_of(subject);
    jwt->id = json_text_of(json_find(root, "jti"));
    bool absent = subject == NULL && expected->subject_optional;
    if (!absent && (jwt->subject.length == 0 || jwt->subject.length > SUBJECT_MAX)) {
        return wrong("sub", err);
    }
    return check_times(root, expected, jwt, err);
}

bool auth_jwt_check(const auth_jws *jws, const auth_jwt_expected *expected, auth_jwt *jwt, error *err) {
    json_limits limits = {.size = CLAIMS_SIZE_MAX, .depth = CLAIMS_DEPTH, .values = CLAIMS_VALUES};
    memset(jwt, 0, sizeof *jwt);
    if (expected->type.length > 0 && !slice_equal_ignore_case(jws->type, expected->type)) {
        return wrong("typ", err);
    }
    json_value *root = json_parse(jws->payload, limits, err);
    if (root == NULL) {
        return err->code == ERROR_MEMORY ? false
                                         : error_set(err, ERROR_DENIED, "the token's claims can't be read");
    }
    if (!check_claims(root, expected, jwt, err)) {
        json_free(root);
        memset(jwt, 0, sizeof *jwt);
        return false;
    }
    jwt->root = root;
    return true;
}

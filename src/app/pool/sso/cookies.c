#include "sso/cookies.h"

#include <stdio.h>

bool cookie_get(const http_request *request, const char *name, slice *value) {
    slice field;
    size_t found = 0;
    *value = (slice){NULL, 0};
    if (http_request_header_count(request, "cookie") != 1 ||
        !http_request_header(request, "cookie", &field)) {
        return false;
    }
    while (field.length > 0) {
        size_t end = slice_find(field, ';');
        slice pair = slice_trim(slice_part(field, 0, end));
        size_t equals = slice_find(pair, '=');
        field = end == SIZE_MAX ? (slice){NULL, 0} : slice_after(field, end + 1);
        if (equals != SIZE_MAX && slice_equal_text(slice_part(pair, 0, equals), name)) {
            *value = slice_after(pair, equals + 1);
            found++;
        }
    }
    return found == 1 && value->length > 0;
}

slice cookie_set(char text[COOKIE_TEXT_MAX], const char *name, const char *value, uint64_t seconds) {
    bool is_refresh = strcmp(name, COOKIE_REFRESH) == 0;
    /* The answer of the provider comes by a link from its site. */
    bool is_login = strcmp(name, COOKIE_LOGIN) == 0;
    int length =
        snprintf(text, COOKIE_TEXT_MAX, "%s=%s; Path=%s; Max-Age=%llu; Secure; HttpOnly; SameSite=%s", name,
                 value, is_refresh ? "/auth" : "/", (unsigned long long)seconds, is_login ? "Lax" : "Strict");
    return length < 0 || length >= COOKIE_TEXT_MAX ? (slice){NULL, 0} : slice_of(text, (size_t)length);
}

static bool origin_is_own(const http_request *request) {
    static const slice scheme = SLICE_LITERAL("https://");
    slice origin;
    slice host;
    return http_request_header_count(request, "origin") == 1 &&
           http_request_header(request, "origin", &origin) &&
           http_request_header_count(request, "host") == 1 && http_request_header(request, "host", &host) &&
           slice_starts_with(origin, scheme) && slice_equal(slice_after(origin, scheme.length), host);
}

bool cookie_request_is_own(const http_request *request) {
    slice from;
    if (http_request_header_count(request, "sec-fetch-site") == 0) {
        return origin_is_own(request);
    }
    return http_request_header_count(request, "sec-fetch-site") == 1 &&
           http_request_header(request, "sec-fetch-site", &from) && slice_equal_text(from, "same-origin");
}

#include "public_address.h"

#include <stdio.h>

bool pool_public_address(const pool *p, char address[AUTH_ADDRESS_MAX + 1], error *err) {
    if (p->settings.public_address[0] != '\0') {
        snprintf(address, AUTH_ADDRESS_MAX + 1, "%s", p->settings.public_address);
        return true;
    }
    slice host;
    uint16_t port = 0;
    if (auth_address_split(slice_of_text(p->settings.listen), &host, &port) &&
        !slice_equal_text(host, "0.0.0.0") && !slice_equal_text(host, "::")) {
        bool is_ipv6 = slice_find(host, ':') != SIZE_MAX;
        snprintf(address, AUTH_ADDRESS_MAX + 1, "%s%.*s%s:%u", is_ipv6 ? "[" : "", SLICE_FORMAT(host),
                 is_ipv6 ? "]" : "", p->port);
        return true;
    }
    if (p->host_name[0] == '\0') {
        return error_set(err, ERROR_INVALID,
                         "this machine has no name that workers could dial: set public_address");
    }
    snprintf(address, AUTH_ADDRESS_MAX + 1, "%s:%u", p->host_name, p->port);
    return true;
}

#include "egress_internal.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { WHOLE = 128, MAPPED = 96, NUMBER_TEXT_MAX = 46 };

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

static void map_v4(const void *four_bytes, egress_address *address) {
    memcpy(address->bytes, mapped_prefix, sizeof mapped_prefix);
    memcpy(address->bytes + sizeof mapped_prefix, four_bytes, 4);
}

bool egress_address_of(const struct sockaddr *from, egress_address *address, uint16_t *port) {
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;
        map_v4(&v4->sin_addr, address);
        *port = ntohs(v4->sin_port);
        return true;
    }
    if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;
        memcpy(address->bytes, &v6->sin6_addr, sizeof address->bytes);
        *port = ntohs(v6->sin6_port);
        return true;
    }
    return false;
}

bool egress_address_parse(slice text, egress_address *address) {
    char copy[NUMBER_TEXT_MAX];
    uint8_t v4[4];
    if (text.length == 0 || text.length >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    if (inet_pton(AF_INET, copy, v4) == 1) {
        map_v4(v4, address);
        return true;
    }
    return inet_pton(AF_INET6, copy, address->bytes) == 1;
}

static bool lies_in(const egress_address *address, const uint8_t *network, unsigned bits) {
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;
    return memcmp(address->bytes, network, whole) == 0 &&
           (rest == 0 || (address->bytes[whole] ^ network[whole]) >> (8 - rest) == 0);
}

typedef struct block {
    uint8_t network[16];
    unsigned bits;
    egress_class class;
} block;

#define V4(a, b, c, d, size, class)                                                                          \
    { {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, a, b, c, d}, MAPPED + (size), class }
/* The IANA special-purpose registries (RFC 6890), as far as they aren't simply public; the first that
 * contains an address counts. */
static const block blocks[] = {
    V4(0, 0, 0, 0, 8, EGRESS_NEVER),
    V4(10, 0, 0, 0, 8, EGRESS_PRIVATE),
    V4(100, 64, 0, 0, 10, EGRESS_PRIVATE),
    V4(127, 0, 0, 0, 8, EGRESS_LOOPBACK),
    V4(169, 254, 0, 0, 16, EGRESS_BY_NUMBER),
    V4(172, 16, 0, 0, 12, EGRESS_PRIVATE),
    V4(192, 0, 0, 0, 24, EGRESS_BY_NUMBER),
    V4(192, 168, 0, 0, 16, EGRESS_PRIVATE),
    V4(198, 18, 0, 0, 15, EGRESS_PRIVATE),
    V4(224, 0, 0, 0, 4, EGRESS_NEVER),
    V4(240, 0, 0, 0, 4, EGRESS_NEVER),
    {{0}, 128, EGRESS_NEVER},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, EGRESS_LOOPBACK},
    {{0}, 96, EGRESS_NEVER}, /* IPv4-compatible (RFC 4291 §2.5.5.1) */
    {{0, 0x64, 0xFF, 0x9B, 0, 1}, 48, EGRESS_BY_NUMBER},
    {{0x20, 0x01, 0, 0}, 32, EGRESS_BY_NUMBER},
    {{0xFC}, 7, EGRESS_PRIVATE},
    {{0xFE, 0x80}, 10, EGRESS_BY_NUMBER},
    {{0xFE, 0xC0}, 10, EGRESS_PRIVATE},
    {{0xFF}, 8, EGRESS_NEVER},
};
#undef V4

static egress_class classify(const egress_address *address) {
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        if (lies_in(address, blocks[i].network, blocks[i].bits)) {
            return blocks[i].class;
        }
    }
    return EGRESS_PUBLIC;
}

/* An IPv4 address that a translator or a tunnel takes out of this one: RFC 6052 §2.1, RFC 3056 §2. */
static bool find_inner(const egress_address *address, egress_address *inner) {
    static const uint8_t nat64[12] = {0, 0x64, 0xFF, 0x9B};
    static const uint8_t six_to_four[2] = {0x20, 0x02};
    bool is_nat64 = lies_in(address, nat64, 96);
    if (is_nat64 || lies_in(address, six_to_four, 16)) {
        map_v4(address->bytes + (is_nat64 ? sizeof nat64 : sizeof six_to_four), inner);
        return true;
    }
    return false;
}

egress_class egress_classify(const egress_address *address) {
    egress_address inner;
    if (!find_inner(address, &inner)) {
        return classify(address);
    }
    egress_class class = classify(&inner);
    return class == EGRESS_PUBLIC || class == EGRESS_NEVER ? class : EGRESS_BY_NUMBER;
}

/* A name with a closing dot is the same name. */
static slice bare(slice host) {
    return host.length > 1 && host.data[host.length - 1] == '.' ? slice_part(host, 0, host.length - 1) : host;
}

static bool is_host_name(slice host) {
    bool good = host.length > 0 && host.length <= NET_EGRESS_HOST_MAX;
    for (size_t i = 0; good && i < host.length; i++) {
        uint8_t c = host.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '.' || c == '_';
    }
    return good;
}

bool egress_rule_of_host(slice host, uint16_t port, bool is_public, egress_rule *rule, error *err) {
    *rule = (egress_rule){.port = port, .is_public = is_public};
    host = bare(host);
    if (egress_address_parse(host, &rule->network)) {
        rule->bits = WHOLE;
        return true;
    }
    if (!is_host_name(host)) {
        return error_set(err, ERROR_INVALID, "\"%.*s\" is neither a host's name nor an address",
                         SLICE_FORMAT(host));
    }
    memcpy(rule->host, host.data, host.length);
    return true;
}

static bool parse_network(slice text, size_t slash, egress_rule *rule) {
    uint64_t bits = 0;
    slice number = slice_part(text, 0, slash);
    if (!egress_address_parse(number, &rule->network) || !slice_to_u64(slice_after(text, slash + 1), &bits)) {
        return false;
    }
    bool v4 = slice_find(number, ':') == SIZE_MAX;
    if (bits > (v4 ? 32 : WHOLE)) {
        return false;
    }
    rule->bits = (unsigned)bits + (v4 ? MAPPED : 0);
    return true;
}

/* Cuts ":PORT" off; more than one colon and no bracket is an IPv6 address without one. */
static bool cut_port(slice *text, uint16_t *port) {
    size_t last = SIZE_MAX;
    size_t colons = 0;
    for (size_t i = 0; i < text->length; i++) {
        if (text->data[i] == ']') {
            colons = 0;
            last = SIZE_MAX;
        } else if (text->data[i] == ':') {
            colons++;
            last = i;
        }
    }
    *port = 0;
    if (colons != 1) {
        return colons == 0 || text->data[0] != '[';
    }
    uint64_t number = 0;
    if (!slice_to_u64(slice_after(*text, last + 1), &number) || number == 0 || number > UINT16_MAX) {
        return false;
    }
    *port = (uint16_t)number;
    *text = slice_part(*text, 0, last);
    return true;
}

/* "[2001:db8::]/32" and "[2001:db8::1]" without the brackets; -1 if they don't match. */
static int cut_brackets(slice *text, char copy[NUMBER_TEXT_MAX + 8]) {
    if (text->length == 0 || text->data[0] != '[') {
        return 0;
    }
    size_t end = slice_find(*text, ']');
    bool closed = end != SIZE_MAX && (end + 1 == text->length || text->data[end + 1] == '/');
    if (!closed || text->length - 2 >= NUMBER_TEXT_MAX + 8) {
        return -1;
    }
    memcpy(copy, text->data + 1, end - 1);
    memcpy(copy + end - 1, text->data + end + 1, text->length - end - 1);
    *text = slice_of(copy, text->length - 2);
    return slice_find(*text, ':') == SIZE_MAX ? -1 : 1;
}

bool egress_rule_parse(slice whole, egress_rule *rule, error *err) {
    slice text = slice_trim(whole);
    size_t equals = slice_find(text, '=');
    slice word = equals == SIZE_MAX ? SLICE_LITERAL("public") : slice_trim(slice_after(text, equals + 1));
    uint16_t port = 0;
    char copy[NUMBER_TEXT_MAX + 8];
    text = slice_trim(slice_part(text, 0, equals));
    int brackets = 0;
    if (slice_equal_text(word, "public") && text.length > 0 && cut_port(&text, &port) &&
        (brackets = cut_brackets(&text, copy)) >= 0) {
        size_t slash = slice_find(text, '/');
        *rule = (egress_rule){.port = port, .is_public = equals != SIZE_MAX};
        if (slash != SIZE_MAX ? parse_network(text, slash, rule)
                              : egress_rule_of_host(text, port, equals != SIZE_MAX, rule, err)) {
            return brackets == 0 || rule->host[0] == '\0' ||
                   error_set(err, ERROR_INVALID, "\"%.*s\" is no address", SLICE_FORMAT(text));
        }
    }
    return error_set(
        err, ERROR_INVALID,
        "\"%.*s\" is not HOST, ADDRESS or NETWORK/BITS with maybe :PORT and maybe =public behind it",
        SLICE_FORMAT(slice_trim(whole)));
}

static bool port_fits(const egress_rule *rule, uint16_t port) {
    return rule->port == 0 || rule->port == port;
}

static bool is_named(const egress_rule *rule, slice host) {
    return slice_equal_ignore_case(slice_of_text(rule->host), bare(host));
}

bool egress_rule_allows(const egress_rule *rule, slice host, const egress_address *address, uint16_t port) {
    egress_class class = egress_classify(address);
    if (class == EGRESS_NEVER || rule->is_public != (class == EGRESS_PUBLIC) || !port_fits(rule, port)) {
        return false;
    }
    if (rule->host[0] == '\0') {
        return lies_in(address, rule->network.bytes, rule->bits);
    }
    return class != EGRESS_BY_NUMBER && is_named(rule, host);
}

bool egress_rule_may_concern(const egress_rule *rule, slice host, uint16_t port) {
    return port_fits(rule, port) && (rule->host[0] == '\0' || is_named(rule, host));
}

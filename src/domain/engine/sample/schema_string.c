#include "sample/schema.h"

static const struct {
    const char *name;
    const char *pattern;
} formats[] = {
#define TWO_DIGITS_60 "[0-5][0-9]"
#define OFFSET "(Z|[+-]([01][0-9]|2[0-3]):" TWO_DIGITS_60 ")"
#define TIME "([01][0-9]|2[0-3]):" TWO_DIGITS_60 ":" TWO_DIGITS_60 "(\\.[0-9]{1,9})?" OFFSET
#define LEAP_YEAR "([0-9][0-9](0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
#define DATE                                                                                                 \
    "([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-" \
    "9]|"                                                                                                    \
    "2[0-8]))|" LEAP_YEAR "-02-29)"
#define LABEL "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#define BYTE "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4 BYTE "(\\." BYTE "){3}"
#define GROUP "[0-9A-Fa-f]{1,4}"
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "T" TIME "$"},
    {"duration",
     "^P([0-9]+W|([0-9]+Y([0-9]+M([0-9]+D)?)?|[0-9]+M([0-9]+D)?|[0-9]+D)(T([0-9]+H([0-9]+M([0-9]+S)?)?|"
     "[0-9]+M([0-9]+S)?|[0-9]+S))?|T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S))$"},
    {"uuid", "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
    {"email", "^" ATOM "(\\." ATOM ")*@" LABEL "(\\." LABEL ")*$"},
    {"hostname", "^" LABEL "(\\." LABEL ")*$"},
    {"ipv4", "^" IPV4 "$"},
    {"ipv6", "^((" GROUP ":){7}" GROUP "|(" GROUP ":){1,7}:|(" GROUP ":){1,6}:" GROUP "|(" GROUP
             ":){1,5}(:" GROUP "){2}|(" GROUP ":){1,4}(:" GROUP "){3}|(" GROUP ":){1,3}(:" GROUP
             "){4}|(" GROUP ":){1,2}(:" GROUP "){5}|" GROUP ":(:" GROUP "){6}|:(:" GROUP "){1,7}|::)$"},
};

static piece one_of_bytes(network *n, const char *low_high_pairs) {
    piece p = network_never(n);
    for (const char *c = low_high_pairs; *c != 0; c += 2) {
        network_bytes_edge(n, p.start, (uint8_t)c[0], (uint8_t)c[1], p.end);
    }
    return p;
}

static piece sequence_of(network *n, const char *const *sets, size_t count) {
    piece p = network_nothing(n);
    for (size_t i = 0; i < count; i++) {
        p = network_join(n, p, one_of_bytes(n, sets[i]));
    }
    return p;
}

#define HEX "09afAF"
#define HEX_BUT_0 "19afAF"
/* \uXXXX but for U+0000, which JSON readers refuse, and surrogates that are no pair. */
static piece any_escape(network *n) {
    static const char *const letter[] = {"\\\\", "\"\"\\\\//bbffnnrrtt"};
    static const char *const plain[] = {"\\\\", "uu", "19acefACEF", HEX, HEX, HEX};
    static const char *const d[] = {"\\\\", "uu", "ddDD", "07", HEX, HEX};
    static const char *const low1[] = {"\\\\", "uu", "00", HEX_BUT_0, HEX, HEX};
    static const char *const low2[] = {"\\\\", "uu", "00", "00", HEX_BUT_0, HEX};
    static const char *const low3[] = {"\\\\", "uu", "00", "00", "00", HEX_BUT_0};
    static const char *const pair[] = {"\\\\", "uu", "ddDD", "89abAB", HEX, HEX,
                                       "\\\\", "uu", "ddDD", "cfCF",   HEX, HEX};
    piece p = sequence_of(n, letter, 2);
    p = network_either(n, p, sequence_of(n, plain, 6));
    p = network_either(n, p, sequence_of(n, d, 6));
    p = network_either(n, p, sequence_of(n, low1, 6));
    p = network_either(n, p, sequence_of(n, low2, 6));
    p = network_either(n, p, sequence_of(n, low3, 6));
    return network_either(n, p, sequence_of(n, pair, 12));
}

/* The shortest escape of a character that a string can't hold as it is. */
static piece escape_of(network *n, uint32_t character) {
    static const char letters[] = {'b',  '\b', 'f',  '\f', 'n', '\n', 'r',
                                   '\r', 't',  '\t', '"',  '"', '\\', '\\'};
    static const char digits[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', '0', '0', digits[character >> 4 & 15], digits[character & 15]};
    size_t length = 6;
    for (size_t i = 0; i < sizeof letters; i += 2) {
        if (character == (uint32_t)letters[i + 1]) {
            text[1] = letters[i];
            length = 2;
        }
    }
    return network_literal(n, slice_of(text, length));
}

piece schema_characters(network *n, const characters *set, bool freely) {
    characters plain = *set;
    if (!characters_remove(&plain, 0, 0x1f) || !characters_remove(&plain, '"', '"') ||
        !characters_remove(&plain, '\\', '\\') || !characters_normalise(&plain)) {
        network_fail(n, ERROR_LIMIT, "schema: a class of characters has too many ranges");
    }
    piece p = network_characters(n, &plain);
    if (freely) {
        return network_either(n, p, any_escape(n));
    }
    for (size_t i = 0; i < set->count; i++) {
        for (uint32_t c = set->ranges[i].low; c <= set->ranges[i].high && c <= '\\'; c++) {
            if ((c > 0 && c < 0x20) || c == '"' || c == '\\') {
                p = network_either(n, p, escape_of(n, c));
            }
        }
    }
    return p;
}

piece schema_any_character(network *n) {
    characters all = {0};
    return characters_negate(&all) ? schema_characters(n, &all, true) : network_never(n);
}

static piece quoted(network *n, piece inside, piece begin) {
    return network_join(n, network_join(n, begin, inside), network_literal(n, SLICE_LITERAL("\"")));
}

static piece formatted(schema *s, slice format) {
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (slice_equal_text(format, formats[i].name)) {
            return schema_pattern(&s->net, slice_of_text(formats[i].pattern));
        }
    }
    network_fail(&s->net, ERROR_UNSUPPORTED,
                 "schema: the format '%.*s' is none that this engine follows: leave it out",
                 (int)(format.length < 64 ? format.length : 64), (const char *)format.data);
    return (piece){0};
}

piece schema_string(schema *s, const view *v) {
    const json_value *pattern = schema_keyword(s, v, "pattern");
    const json_value *format = schema_keyword(s, v, "format");
    uint32_t least = schema_count(s, v, "minLength", 0);
    uint32_t most = schema_count(s, v, "maxLength", NETWORK_UNBOUNDED);
    bool by_length = least > 0 || most != NETWORK_UNBOUNDED;
    if ((pattern != NULL) + (format != NULL) + by_length > 1) {
        network_fail(&s->net, ERROR_UNSUPPORTED,
                     "schema: of 'pattern', 'format' and 'minLength' with 'maxLength', one string has one");
        return (piece){0};
    }
    if (least > most) {
        return network_never(&s->net);
    }
    if (pattern == NULL && format == NULL && !by_length) {
        return network_call(&s->net, s->string);
    }
    piece begin = network_literal(&s->net, SLICE_LITERAL("\""));
    if (pattern != NULL) {
        return quoted(&s->net, schema_pattern(&s->net, json_text_of(pattern)), begin);
    }
    if (format != NULL) {
        return quoted(&s->net, formatted(s, json_text_of(format)), begin);
    }
    return quoted(&s->net, network_repeat(&s->net, schema_any_character(&s->net), least, most), begin);
}

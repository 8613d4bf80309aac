#include "value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* As Python writes values: str, repr and json.dumps. */

static void put(text_builder *b, const char *words) {
    text_append_literal(b, words, false);
}

/* The shortest digits that read back the same, without an exponent from 1e-4 up to 1e16 (Python's repr). */
static void put_float(text_builder *b, double number, bool json) {
    char digits[40];
    char words[64];
    if (!isfinite(number)) {
        bool nan = isnan(number);
        put(b, number < 0 ? "-" : "");
        put(b, nan ? json ? "NaN" : "nan" : json ? "Infinity" : "inf");
        return;
    }
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, number);
        if (strtod(digits, NULL) == number) {
            break;
        }
    }
    char *exponent_text = strchr(digits, 'e');
    int exponent = (int)strtol(exponent_text + 1, NULL, 10);
    int precision = (int)(exponent_text - digits) - (digits[0] == '-' ? 3 : 2);
    precision = precision < 0 ? 0 : precision; /* digits behind the first */
    if (exponent < -4 || exponent >= 16) {
        snprintf(words, sizeof words, "%s", digits);
    } else if (precision <= exponent) {
        snprintf(words, sizeof words, "%.1f", number);
    } else {
        snprintf(words, sizeof words, "%.*f", precision - exponent, number);
    }
    put(b, words);
}

static void put_integer(text_builder *b, int64_t number) {
    char words[32];
    snprintf(words, sizeof words, "%" PRId64, number);
    put(b, words);
}

/* Characters that Python's repr escapes, of those that turn up: controls, separators, formats, private use.
 */
static bool is_printable(uint32_t c) {
    static const struct {
        uint32_t first;
        uint32_t last;
    } hidden[] = {
        {0x00, 0x1f},     {0x7f, 0xa0},     {0xad, 0xad},       {0x600, 0x605},     {0x61c, 0x61c},
        {0x6dd, 0x6dd},   {0x70f, 0x70f},   {0x1680, 0x1680},   {0x180e, 0x180e},   {0x2000, 0x200f},
        {0x2028, 0x202f}, {0x205f, 0x206f}, {0x3000, 0x3000},   {0xd800, 0xf8ff},   {0xfeff, 0xfeff},
        {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0x1d173, 0x1d17a}, {0xe0000, 0xe00ff}, {0xf0000, 0x10ffff},
    };
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        if (c >= hidden[i].first && c <= hidden[i].last) {
            return false;
        }
    }
    return true;
}

static void put_escaped(text_builder *b, uint32_t c) {
    char words[16];
    snprintf(words, sizeof words,
             c < 0x100     ? "\\x%02" PRIx32
             : c < 0x10000 ? "\\u%04" PRIx32
                           : "\\U%08" PRIx32,
             c);
    put(b, words);
}

static void put_quoted(text_builder *b, slice bytes) {
    bool doubled = slice_find(bytes, '\'') != SIZE_MAX && slice_find(bytes, '"') == SIZE_MAX;
    char quote = doubled ? '"' : '\'';
    text_append_bytes(b, slice_of(&quote, 1), false);
    for (size_t i = 0; i < bytes.length && !b->failed;) {
        slice rest = slice_after(bytes, i);
        size_t size = text_character_size(rest);
        uint32_t c = text_first_character(rest);
        const char *escapes = "\\\n\r\t";
        const char *found = c != 0 && c < 0x80 ? strchr(escapes, (int)c) : NULL;
        if (found != NULL) {
            static const char *const names[] = {"\\\\", "\\n", "\\r", "\\t"};
            put(b, names[found - escapes]);
        } else if (c == (uint32_t)quote) {
            put(b, "\\'");
        } else if (is_printable(c)) {
            text_append_bytes(b, slice_part(rest, 0, size), false);
        } else {
            put_escaped(b, c);
        }
        i += size;
    }
    text_append_bytes(b, slice_of(&quote, 1), false);
}

static bool put_repr(run *r, const value *v, text_builder *b);

static bool put_list(run *r, const value *v, text_builder *b) {
    put(b, v->kind == VALUE_TUPLE ? "(" : "[");
    for (size_t i = 0; i < v->list.count; i++) {
        put(b, i > 0 ? ", " : "");
        if (!put_repr(r, &v->list.items[i], b)) {
            return false;
        }
    }
    put(b, v->kind == VALUE_LIST ? "]" : v->list.count == 1 ? ",)" : ")");
    return true;
}

static bool put_dict(run *r, const dict *d, text_builder *b) {
    put(b, "{");
    for (size_t i = 0; i < d->count; i++) {
        put(b, i > 0 ? ", " : "");
        if (!put_repr(r, &d->entries[i].key, b)) {
            return false;
        }
        put(b, ": ");
        if (!put_repr(r, &d->entries[i].value, b)) {
            return false;
        }
    }
    put(b, "}");
    return true;
}

static bool put_value(run *r, const value *v, text_builder *b) {
    switch (v->kind) {
    case VALUE_NONE:
        put(b, "None");
        return true;
    case VALUE_BOOL:
        put(b, v->boolean ? "True" : "False");
        return true;
    case VALUE_INTEGER:
        put_integer(b, v->integer);
        return true;
    case VALUE_FLOAT:
        put_float(b, v->number, false);
        return true;
    case VALUE_LIST:
    case VALUE_TUPLE:
        return put_list(r, v, b);
    case VALUE_DICT:
        return put_dict(r, v->dict, b);
    default:
        return run_fail(r, "%s can't be written as text", value_type_name(v));
    }
}

static bool put_repr(run *r, const value *v, text_builder *b) {
    if (!run_enter(r)) {
        return false;
    }
    bool good = true;
    if (v->kind == VALUE_TEXT) {
        put_quoted(b, v->text.bytes);
    } else if (v->kind == VALUE_UNDEFINED) {
        put(b, "Undefined");
    } else {
        good = put_value(r, v, b);
    }
    run_leave(r);
    return good;
}

bool value_print(run *r, const value *v, text_builder *b) {
    if (v->kind == VALUE_TEXT) {
        text_append(b, &v->text);
        return run_step(r, v->text.bytes.length / 64);
    }
    if (v->kind == VALUE_DICT && v->dict->spelling.length > 0) {
        text_append_bytes(b, v->dict->spelling, false);
        return run_step(r, v->dict->spelling.length / 64);
    }
    return v->kind == VALUE_UNDEFINED || put_value(r, v, b);
}

bool value_to_text(run *r, const value *v, text *t) {
    if (v->kind == VALUE_TEXT) {
        *t = v->text;
        return true;
    }
    text_builder b = run_builder(r);
    return value_print(r, v, &b) && run_built(r, &b, t);
}

typedef struct json_printer {
    run *r;
    text_builder *b;
    const json_style *style;
    size_t level;
} json_printer;

static void put_json_text(json_printer *p, slice bytes) {
    static const char escapes[] = "\"\\\n\r\t\b\f";
    static const char names[] = "\"\\nrtbf";
    put(p->b, "\"");
    for (size_t i = 0; i < bytes.length && !p->b->failed;) {
        slice rest = slice_after(bytes, i);
        size_t size = text_character_size(rest);
        uint32_t c = text_first_character(rest);
        const char *found = c != 0 && c < 0x80 ? strchr(escapes, (int)c) : NULL;
        char words[16];
        if (found != NULL) {
            snprintf(words, sizeof words, "\\%c", names[found - escapes]);
            put(p->b, words);
        } else if (c >= 0x10000 && p->style->ascii) {
            uint32_t low = c - 0x10000;
            snprintf(words, sizeof words, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + (low >> 10),
                     0xdc00 + (low & 0x3ff));
            put(p->b, words);
        } else if (c < 0x20 || (c >= 0x7f && p->style->ascii)) {
            snprintf(words, sizeof words, "\\u%04" PRIx32, c);
            put(p->b, words);
        } else {
            text_append_bytes(p->b, slice_part(rest, 0, size), false);
        }
        i += size;
    }
    put(p->b, "\"");
}

static void put_line(json_printer *p) {
    if (p->style->indented) {
        put(p->b, "\n");
        for (size_t i = 0; i < p->level && !p->b->failed; i++) {
            text_append_bytes(p->b, p->style->indentation, false);
        }
    }
}

static bool put_json(json_printer *p, const value *v);

static bool put_json_list(json_printer *p, const value *v) {
    if (v->list.count == 0) {
        put(p->b, "[]");
        return true;
    }
    put(p->b, "[");
    p->level++;
    for (size_t i = 0; i < v->list.count; i++) {
        text_append_bytes(p->b, i > 0 ? p->style->item_separator : (slice){NULL, 0}, false);
        put_line(p);
        if (!put_json(p, &v->list.items[i])) {
            return false;
        }
    }
    p->level--;
    put_line(p);
    put(p->b, "]");
    return true;
}

static bool put_json_key(json_printer *p, const value *key) {
    if (key->kind == VALUE_TEXT) {
        put_json_text(p, key->text.bytes);
        return true;
    }
    if (key->kind != VALUE_NONE && !value_is_number(key)) {
        return run_fail(p->r, "%s can't be a key of JSON", value_type_name(key));
    }
    put(p->b, "\"");
    bool good = put_json(p, key);
    put(p->b, "\"");
    return good;
}

static bool put_json_member(json_printer *p, const dict_entry *entry, bool first) {
    text_append_bytes(p->b, first ? (slice){NULL, 0} : p->style->item_separator, false);
    put_line(p);
    if (!put_json_key(p, &entry->key)) {
        return false;
    }
    text_append_bytes(p->b, p->style->key_separator, false);
    return put_json(p, &entry->value);
}

/* The next of the keys in their order, each larger than the one before: few keys, so a search for each. */
static bool next_sorted(run *r, const dict *d, const dict_entry *before, const dict_entry **next) {
    *next = NULL;
    for (size_t i = 0; i < d->count; i++) {
        int above = 1;
        int below = -1;
        if ((before != NULL && !value_order(r, &d->entries[i].key, &before->key, &above)) ||
            (*next != NULL && !value_order(r, &d->entries[i].key, &(*next)->key, &below))) {
            return false;
        }
        *next = above > 0 && below < 0 ? &d->entries[i] : *next;
    }
    return true;
}

static bool put_json_dict(json_printer *p, const dict *d) {
    if (d->count == 0) {
        put(p->b, "{}");
        return true;
    }
    const dict_entry *entry = NULL;
    put(p->b, "{");
    p->level++;
    for (size_t i = 0; i < d->count; i++) {
        if (!p->style->sorted) {
            entry = &d->entries[i];
        } else if (!next_sorted(p->r, d, entry, &entry)) {
            return false;
        }
        if (entry != NULL && !put_json_member(p, entry, i == 0)) {
            return false;
        }
    }
    p->level--;
    put_line(p);
    put(p->b, "}");
    return true;
}

static bool put_json(json_printer *p, const value *v) {
    if (!run_enter(p->r)) {
        return false;
    }
    bool good = true;
    switch (v->kind) {
    case VALUE_NONE:
        put(p->b, "null");
        break;
    case VALUE_BOOL:
        put(p->b, v->boolean ? "true" : "false");
        break;
    case VALUE_INTEGER:
        put_integer(p->b, v->integer);
        break;
    case VALUE_FLOAT:
        put_float(p->b, v->number, true);
        break;
    case VALUE_TEXT:
        put_json_text(p, v->text.bytes);
        good = run_step(p->r, v->text.bytes.length / 16);
        break;
    case VALUE_LIST:
    case VALUE_TUPLE:
        good = put_json_list(p, v);
        break;
    case VALUE_DICT:
        good = put_json_dict(p, v->dict);
        break;
    default:
        good = run_fail(p->r, "%s can't be written as JSON", value_type_name(v));
    }
    run_leave(p->r);
    return good;
}

bool value_to_json(run *r, const value *v, const json_style *style, text *t) {
    text_builder b = run_builder(r);
    json_printer p = {r, &b, style, 0};
    return put_json(&p, v) && run_built(r, &b, t);
}

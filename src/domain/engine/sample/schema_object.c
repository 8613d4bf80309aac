#include "base/buffer.h"
#include "base/memory.h"
#include "codec/json_writer.h"
#include "sample/schema.h"

/* A view of all that the parts of `v` say of a property; of `properties` in parts before `first` only whether
 * the name is there. */
static bool property_view(const view *v, const char *name, size_t first, view *of) {
    *of = (view){.count = 0};
    for (size_t i = 0; i < v->count; i++) {
        const json_value *value = json_find(json_find(v->parts[i].schema, "properties"), name);
        if (value != NULL && i < first) {
            return false;
        }
        if (value != NULL) {
            of->parts[of->count++].schema = value;
        }
    }
    return true;
}

static bool is_required(const view *v, const char *name) {
    for (size_t i = 0; i < v->count; i++) {
        const json_value *names = json_find(v->parts[i].schema, "required");
        for (size_t j = 0; j < json_count(names); j++) {
            if (slice_equal_text(json_text_of(json_at(names, j)), name)) {
                return true;
            }
        }
    }
    return false;
}

/* Where an object being written stands. */
typedef struct writing {
    uint32_t empty; /* nothing written; NETWORK_NONE: something must have been */
    uint32_t some;  /* something written */
} writing;

/* Where a member may begin: at once in an empty object, behind a comma in another. */
static uint32_t before_member(schema *s, const writing *w) {
    uint32_t before = schema_after_rule(s, schema_after_text(s, w->some, ","), s->space);
    if (w->empty != NETWORK_NONE) {
        network_empty_edge(&s->net, w->empty, before);
    }
    return before;
}

static uint32_t after_value(schema *s, uint32_t key_end, uint32_t rule_id) {
    return schema_after_rule(s, schema_after_rule(s, schema_after_text(s, key_end, ":"), s->space), rule_id);
}

static void add_member(schema *s, writing *w, slice name, uint32_t rule_id, bool required) {
    buffer key = buffer_make(GRAMMAR_TEXT_MAX * 6 + 2);
    json_writer writer = json_writer_make(&key);
    json_write_text(&writer, name);
    if (buffer_failed(&key)) {
        network_fail(&s->net, ERROR_MEMORY, "out of memory");
    }
    uint32_t at = schema_after(s, before_member(s, w), network_literal(&s->net, buffer_slice(&key)));
    buffer_free(&key);
    uint32_t after = after_value(s, at, rule_id);
    if (!required) {
        network_empty_edge(&s->net, w->some, after);
        if (w->empty != NETWORK_NONE) {
            uint32_t still_empty = network_state(&s->net);
            network_empty_edge(&s->net, w->empty, still_empty);
            w->empty = still_empty;
        }
    } else {
        w->empty = NETWORK_NONE;
    }
    w->some = after;
}

/* What a property that isn't named may be; false: there may be none. Where properties are named and nothing
 * is said, there are no others: that is what is meant most of the time, and what is written is valid. */
static bool other_properties(schema *s, const view *v, uint32_t *rule_id) {
    size_t naming = 0;
    for (size_t i = 0; i < v->count; i++) {
        naming += json_find(v->parts[i].schema, "properties") != NULL ? 1 : 0;
    }
    const json_value *others = schema_keyword(s, v, "additionalProperties");
    bool closed = others != NULL && json_kind_of(others) == JSON_KIND_BOOL && !json_to_bool(others);
    if (naming > 1 && others != NULL) {
        network_fail(&s->net, ERROR_UNSUPPORTED,
                     "schema: 'additionalProperties' stands beside properties that allOf, anyOf or $ref "
                     "bring together");
    }
    if (closed || (others == NULL && naming > 0)) {
        return false;
    }
    *rule_id = schema_rule_of_one(s, others);
    return true;
}

static void add_named(schema *s, const view *v, writing *w) {
    for (size_t i = 0; i < v->count; i++) {
        const json_value *properties = json_find(v->parts[i].schema, "properties");
        const json_value *value = NULL;
        if (properties != NULL && json_kind_of(properties) != JSON_KIND_OBJECT) {
            network_fail(&s->net, ERROR_INVALID, "schema: 'properties' is not an object");
        }
        for (const char *name = NULL; !s->net.failed && json_next_member(properties, &name, &value);) {
            view of;
            if (property_view(v, name, i, &of)) {
                add_member(s, w, slice_of_text(name), schema_rule(s, &of), is_required(v, name));
            }
        }
    }
}

/* Properties that are required but not described. False: they can't be there. */
static bool add_required(schema *s, const view *v, writing *w, bool open, uint32_t rule_id) {
    for (size_t i = 0; i < v->count; i++) {
        const json_value *names = json_find(v->parts[i].schema, "required");
        if (names != NULL && json_kind_of(names) != JSON_KIND_ARRAY) {
            return network_fail(&s->net, ERROR_INVALID, "schema: 'required' is not an array");
        }
        for (size_t j = 0; j < json_count(names) && !s->net.failed; j++) {
            slice name = json_text_of(json_at(names, j));
            view of;
            if (json_kind_of(json_at(names, j)) != JSON_KIND_TEXT) {
                return network_fail(&s->net, ERROR_INVALID,
                                    "schema: 'required' names something that isn't a text");
            }
            (void)property_view(v, (const char *)name.data, 0, &of);
            bool again = of.count > 0;
            for (size_t k = 0; k <= i && !again; k++) {
                const json_value *before = json_find(v->parts[k].schema, "required");
                for (size_t l = 0; l < (k < i ? json_count(before) : j); l++) {
                    again = again || slice_equal(json_text_of(json_at(before, l)), name);
                }
            }
            if (!again && !open) {
                return false;
            }
            if (!again) {
                add_member(s, w, name, rule_id, true);
            }
        }
    }
    return true;
}

piece schema_object(schema *s, const view *v) {
    piece p = network_never(&s->net);
    uint32_t begun = schema_after_rule(s, schema_after_text(s, p.start, "{"), s->space);
    writing w = {begun, network_state(&s->net)};
    uint32_t other = 0;
    bool open = other_properties(s, v, &other);
    add_named(s, v, &w);
    if (!add_required(s, v, &w, open, other)) {
        return network_never(&s->net);
    }
    if (open && !s->net.failed) {
        uint32_t after = after_value(s, schema_other_key(s, v, before_member(s, &w)), other);
        network_empty_edge(&s->net, after, w.some);
    }
    uint32_t last = schema_after_rule(s, w.some, s->space);
    if (w.empty != NETWORK_NONE) {
        network_empty_edge(&s->net, w.empty, last);
    }
    network_empty_edge(&s->net, schema_after_text(s, last, "}"), p.end);
    return (piece){p.from, s->net.state_count, p.start, p.end};
}

/* The rule for element `index`; false: there can be none. */
static bool element_rule(schema *s, const json_value *first, const json_value *items, size_t index,
                         uint32_t *rule_id) {
    const json_value *of = index < json_count(first) ? json_at(first, index) : items;
    bool none = of == NULL ? first != NULL : json_kind_of(of) == JSON_KIND_BOOL && !json_to_bool(of);
    if (!none) {
        *rule_id = schema_rule_of_one(s, of);
    }
    return !none;
}

piece schema_array(schema *s, const view *v) {
    const json_value *first = schema_keyword(s, v, "prefixItems");
    const json_value *items = schema_keyword(s, v, "items");
    uint32_t least = schema_count(s, v, "minItems", 0);
    uint32_t most = schema_count(s, v, "maxItems", NETWORK_UNBOUNDED);
    if (first != NULL && json_kind_of(first) != JSON_KIND_ARRAY) {
        network_fail(&s->net, ERROR_INVALID, "schema: 'prefixItems' is not an array");
    }
    piece p = network_never(&s->net);
    uint32_t at = schema_after_rule(s, schema_after_text(s, p.start, "["), s->space);
    uint32_t last = network_state(&s->net); /* before the bracket */
    uint32_t chain = most != NETWORK_UNBOUNDED ? most : least;
    chain = most == NETWORK_UNBOUNDED && json_count(first) > chain ? (uint32_t)json_count(first) : chain;
    for (uint32_t i = 0; !s->net.failed; i++) {
        uint32_t rule_id = 0;
        if (i >= least) {
            network_empty_edge(&s->net, i == 0 ? at : schema_after_rule(s, at, s->space), last);
        }
        if (i >= most || !element_rule(s, first, items, i, &rule_id)) {
            break;
        }
        uint32_t before = i == 0 ? at : schema_after_rule(s, schema_after_text(s, at, ","), s->space);
        uint32_t after = schema_after_rule(s, before, rule_id);
        if (i > 0 && i >= chain && most == NETWORK_UNBOUNDED) {
            network_empty_edge(&s->net, after, at); /* all further ones are alike */
            break;
        }
        at = after;
    }
    network_empty_edge(&s->net, schema_after_text(s, last, "]"), p.end);
    return (piece){p.from, s->net.state_count, p.start, p.end};
}

piece schema_literal(schema *s, const json_value *value) {
    buffer text = buffer_make(GRAMMAR_TEXT_MAX * 6);
    json_writer w = json_writer_make(&text);
    json_write_value(&w, value);
    if (buffer_failed(&text)) {
        network_fail(&s->net, ERROR_MEMORY, "out of memory");
    }
    piece p = network_literal(&s->net, buffer_slice(&text));
    buffer_free(&text);
    return p;
}

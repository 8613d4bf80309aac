#include "sample/schema.h"

#include "base/memory.h"

#include <stdlib.h>

enum { SCHEMA_EXPANDED = 1, SCHEMA_ANY_DONE = 2, SCHEMA_ONE_DONE = 4 };
enum { REFERENCES_MAX = 32, SCHEMA_VALUES_MAX = 65536 };

enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4,
    TYPE_FRACTION = 8,
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPE_ALL = 127,
};

static const struct {
    const char *name;
    unsigned types;
} types[] = {
    {"null", TYPE_NULL},       {"boolean", TYPE_BOOLEAN},
    {"integer", TYPE_INTEGER}, {"number", TYPE_INTEGER | TYPE_FRACTION},
    {"string", TYPE_STRING},   {"array", TYPE_ARRAY},
    {"object", TYPE_OBJECT},
};

/* 0: tells nothing that concerns validity, or is dealt with by itself. Others: the types whose values it
 * bounds. */
static const struct {
    const char *name;
    unsigned bounds;
} keywords[] = {
    {"title", 0},
    {"description", 0},
    {"default", 0},
    {"examples", 0},
    {"deprecated", 0},
    {"readOnly", 0},
    {"writeOnly", 0},
    {"$comment", 0},
    {"$schema", 0},
    {"$id", 0},
    {"$defs", 0},
    {"definitions", 0},
    {"$ref", 0},
    {"allOf", 0},
    {"anyOf", 0},
    {"oneOf", 0},
    {"type", 0},
    {"enum", 0},
    {"const", 0},
    {"properties", TYPE_OBJECT},
    {"required", TYPE_OBJECT},
    {"additionalProperties", TYPE_OBJECT},
    {"items", TYPE_ARRAY},
    {"prefixItems", TYPE_ARRAY},
    {"minItems", TYPE_ARRAY},
    {"maxItems", TYPE_ARRAY},
    {"pattern", TYPE_STRING},
    {"minLength", TYPE_STRING},
    {"maxLength", TYPE_STRING},
    {"format", TYPE_STRING},
    {"minimum", TYPE_INTEGER | TYPE_FRACTION},
    {"maximum", TYPE_INTEGER | TYPE_FRACTION},
    {"exclusiveMinimum", TYPE_INTEGER | TYPE_FRACTION},
    {"exclusiveMaximum", TYPE_INTEGER | TYPE_FRACTION},
    {"multipleOf", TYPE_INTEGER | TYPE_FRACTION},
};

static bool fail(schema *s, error_code code, const char *what, const char *name) {
    return network_fail(&s->net, code, "schema: '%.64s' %s", name, what);
}

/* Which types the schema's keywords bound. */
static unsigned check_keywords(schema *s, const json_value *of) {
    unsigned bounds = 0;
    const json_value *value = NULL;
    for (const char *name = NULL; json_next_member(of, &name, &value);) {
        size_t i = 0;
        while (i < sizeof keywords / sizeof keywords[0] && strcmp(keywords[i].name, name) != 0) {
            i++;
        }
        if (i == sizeof keywords / sizeof keywords[0]) {
            fail(s, ERROR_UNSUPPORTED, "is a keyword that this engine doesn't follow: leave it out", name);
            return 0;
        }
        bounds |= keywords[i].bounds;
    }
    return bounds;
}

static bool same_view(const view *a, const view *b) {
    for (size_t i = 0; i < a->count && a->count == b->count; i++) {
        if (a->parts[i].schema != b->parts[i].schema || a->parts[i].done != b->parts[i].done) {
            return false;
        }
    }
    return a->count == b->count;
}

uint32_t schema_rule(schema *s, const view *v) {
    for (size_t i = 0; i < s->job_count; i++) {
        if (same_view(&s->jobs[i].view, v)) {
            return s->jobs[i].rule;
        }
    }
    if (s->job_count == s->job_capacity) {
        size_t capacity = s->job_capacity == 0 ? 16 : 2 * s->job_capacity;
        schema_job *jobs = memory_resize(s->jobs, capacity * sizeof *jobs);
        if (jobs == NULL) {
            network_fail(&s->net, ERROR_MEMORY, "out of memory");
            return 0;
        }
        s->jobs = jobs;
        s->job_capacity = capacity;
    }
    uint32_t made = network_rule(&s->net);
    if (!s->net.failed) {
        s->jobs[s->job_count++] = (schema_job){*v, made};
    }
    return made;
}

uint32_t schema_rule_of_one(schema *s, const json_value *value) {
    view v = {.parts = {{value, 0}}, .count = 1};
    return value == NULL ? s->value : schema_rule(s, &v);
}

const json_value *schema_keyword(schema *s, const view *v, const char *name) {
    const json_value *found = NULL;
    for (size_t i = 0; i < v->count; i++) {
        const json_value *value = json_find(v->parts[i].schema, name);
        if (value != NULL && found != NULL && !json_values_equal(value, found)) {
            fail(s, ERROR_UNSUPPORTED, "is given twice for one value, by allOf, anyOf or $ref: give it once",
                 name);
        }
        found = value != NULL ? value : found;
    }
    return found;
}

uint32_t schema_count(schema *s, const view *v, const char *name, uint32_t fallback) {
    const json_value *value = schema_keyword(s, v, name);
    uint64_t count = fallback;
    if (value != NULL && !json_to_u64(value, 0, NETWORK_STATES_MAX, &count)) {
        fail(s, ERROR_INVALID, "is not a whole number from 0 to 131072", name);
    }
    return (uint32_t)count;
}

uint32_t schema_after(schema *s, uint32_t state, piece p) {
    network_empty_edge(&s->net, state, p.start);
    return p.end;
}

uint32_t schema_after_text(schema *s, uint32_t state, const char *text) {
    return schema_after(s, state, network_literal(&s->net, slice_of_text(text)));
}

uint32_t schema_after_rule(schema *s, uint32_t state, uint32_t rule_id) {
    uint32_t after = network_state(&s->net);
    network_rule_edge(&s->net, state, rule_id, after);
    return after;
}

/* One step of a JSON pointer (RFC 6901). */
static const json_value *find_step(const json_value *at, slice step) {
    char name[256];
    size_t length = 0;
    for (size_t i = 0; i < step.length && length < sizeof name - 1; i++) {
        char c = (char)step.data[i];
        if (c == '~' && i + 1 < step.length) {
            c = step.data[++i] == '1' ? '/' : '~';
        }
        name[length++] = c;
    }
    name[length] = 0;
    if (length == sizeof name - 1 || strlen(name) != length) {
        return NULL;
    }
    uint64_t index = 0;
    if (json_kind_of(at) == JSON_KIND_ARRAY) {
        return slice_to_u64(slice_of_text(name), &index) && index < SIZE_MAX ? json_at(at, (size_t)index)
                                                                             : NULL;
    }
    return json_find(at, name);
}

static const json_value *find_reference(schema *s, const json_value *reference) {
    slice text = json_text_of(reference);
    const json_value *at = s->root;
    bool local = json_kind_of(reference) == JSON_KIND_TEXT && text.length > 0 && text.data[0] == '#' &&
                 (text.length == 1 || text.data[1] == '/');
    for (size_t i = 2; local && at != NULL && i <= text.length && text.length > 1;) {
        slice rest = slice_after(text, i);
        size_t end = slice_find(rest, '/');
        size_t length = end == SIZE_MAX ? rest.length : end;
        at = find_step(at, slice_part(rest, 0, length));
        i += length + 1;
    }
    if (!local || at == NULL) {
        network_fail(&s->net, ERROR_INVALID, "schema: '$ref' names '%.*s', which isn't a part of this schema",
                     (int)(text.length < 64 ? text.length : 64), (const char *)text.data);
        return NULL;
    }
    return at;
}

/* Adds a schema to the view, with what its $ref and allOf bring. False: no value holds. */
static bool expand(schema *s, view *v, const json_value *of, unsigned depth) {
    if (depth > REFERENCES_MAX || v->count == SCHEMA_PARTS_MAX) {
        return network_fail(&s->net, ERROR_LIMIT,
                            "schema: too many parts are combined by allOf, anyOf and $ref");
    }
    if (json_kind_of(of) == JSON_KIND_BOOL) {
        return json_to_bool(of);
    }
    if (json_kind_of(of) != JSON_KIND_OBJECT) {
        return network_fail(&s->net, ERROR_INVALID,
                            "schema: a schema is neither an object nor true or false");
    }
    for (size_t i = 0; i < v->count; i++) {
        if (v->parts[i].schema == of) {
            return true;
        }
    }
    v->parts[v->count].done = SCHEMA_EXPANDED;
    v->parts[v->count++].schema = of;
    const json_value *reference = json_find(of, "$ref");
    if (reference != NULL) {
        const json_value *target = find_reference(s, reference);
        if (target == NULL || !expand(s, v, target, depth + 1)) {
            return false;
        }
    }
    const json_value *all = json_find(of, "allOf");
    for (size_t i = 0; i < json_count(all); i++) {
        if (!expand(s, v, json_at(all, i), depth + 1)) {
            return false;
        }
    }
    return true;
}

/* The alternatives of the first anyOf or oneOf; false when there is none left. */
static bool choose_alternatives(schema *s, const view *v, piece *choice) {
    for (size_t i = 0; i < v->count; i++) {
        for (unsigned bit = SCHEMA_ANY_DONE; bit <= SCHEMA_ONE_DONE; bit *= 2) {
            const char *name = bit == SCHEMA_ANY_DONE ? "anyOf" : "oneOf";
            const json_value *alternatives = json_find(v->parts[i].schema, name);
            if (alternatives == NULL || (v->parts[i].done & bit) != 0) {
                continue;
            }
            if (json_kind_of(alternatives) != JSON_KIND_ARRAY) {
                fail(s, ERROR_INVALID, "is not an array", name);
            }
            *choice = network_never(&s->net);
            for (size_t j = 0; j < json_count(alternatives) && !s->net.failed; j++) {
                view one = *v;
                one.parts[i].done |= bit;
                if (one.count == SCHEMA_PARTS_MAX) {
                    network_fail(&s->net, ERROR_LIMIT,
                                 "schema: too many parts are combined by allOf, anyOf and $ref");
                    break;
                }
                one.parts[one.count].done = 0;
                one.parts[one.count++].schema = json_at(alternatives, j);
                *choice = network_either(&s->net, *choice, network_call(&s->net, schema_rule(s, &one)));
            }
            return true;
        }
    }
    return false;
}

static unsigned type_named(schema *s, const json_value *name) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (slice_equal_text(json_text_of(name), types[i].name)) {
            return types[i].types;
        }
    }
    fail(s, ERROR_INVALID, "is not the name of a type, or an array of such", "type");
    return 0;
}

/* Those that every part allows. */
static unsigned allowed_types(schema *s, const view *v) {
    unsigned allowed = TYPE_ALL;
    for (size_t i = 0; i < v->count; i++) {
        const json_value *type = json_find(v->parts[i].schema, "type");
        unsigned of_part = type == NULL                            ? TYPE_ALL
                           : json_kind_of(type) == JSON_KIND_ARRAY ? 0
                                                                   : type_named(s, type);
        for (size_t j = 0; j < json_count(type); j++) {
            of_part |= type_named(s, json_at(type, j));
        }
        allowed &= of_part;
    }
    return allowed;
}

static unsigned type_of(const json_value *value) {
    static const unsigned of_kind[] = {[JSON_KIND_NULL] = TYPE_NULL,
                                       [JSON_KIND_BOOL] = TYPE_BOOLEAN,
                                       [JSON_KIND_NUMBER] = TYPE_INTEGER | TYPE_FRACTION,
                                       [JSON_KIND_TEXT] = TYPE_STRING,
                                       [JSON_KIND_ARRAY] = TYPE_ARRAY,
                                       [JSON_KIND_OBJECT] = TYPE_OBJECT};
    return of_kind[json_kind_of(value)];
}

static bool is_among(const json_value *value, const json_value *values) {
    for (size_t i = 0; i < json_count(values); i++) {
        if (json_values_equal(value, json_at(values, i))) {
            return true;
        }
    }
    return false;
}

/* Whether every part's enum and const has the value. */
static bool is_listed(const view *v, const json_value *value) {
    for (size_t i = 0; i < v->count; i++) {
        const json_value *only = json_find(v->parts[i].schema, "const");
        const json_value *values = json_find(v->parts[i].schema, "enum");
        if ((only != NULL && !json_values_equal(value, only)) ||
            (values != NULL && !is_among(value, values))) {
            return false;
        }
    }
    return true;
}

static void add_listed(schema *s, const view *v, const json_value *value, unsigned allowed, piece *choice) {
    if ((type_of(value) & allowed) != 0 && is_listed(v, value)) {
        *choice = network_either(&s->net, *choice, schema_literal(s, value));
    }
}

/* Values that are listed; false when none are. */
static bool choose_listed(schema *s, const view *v, unsigned allowed, unsigned bounds, piece *choice) {
    for (size_t i = 0; i < v->count; i++) {
        const json_value *only = json_find(v->parts[i].schema, "const");
        const json_value *values = json_find(v->parts[i].schema, "enum");
        if (only == NULL && values == NULL) {
            continue;
        }
        if (bounds != 0) {
            fail(s, ERROR_UNSUPPORTED, "stands beside keywords that bound it: leave those out",
                 only != NULL ? "const" : "enum");
        }
        if (values != NULL && json_kind_of(values) != JSON_KIND_ARRAY) {
            fail(s, ERROR_INVALID, "is not an array", "enum");
        }
        *choice = network_never(&s->net);
        if (only != NULL) {
            add_listed(s, v, only, allowed, choice);
        }
        for (size_t j = 0; j < json_count(values) && only == NULL; j++) {
            add_listed(s, v, json_at(values, j), allowed, choice);
        }
        return true;
    }
    return false;
}

static void add(schema *s, piece *choice, piece alternative) {
    *choice = network_either(&s->net, *choice, alternative);
}

static piece choose_types(schema *s, const view *v, unsigned allowed, bool bare) {
    piece choice = network_never(&s->net);
    if (bare && allowed == TYPE_ALL) {
        return network_call(&s->net, s->value);
    }
    if ((allowed & TYPE_NULL) != 0) {
        add(s, &choice, network_literal(&s->net, SLICE_LITERAL("null")));
    }
    if ((allowed & TYPE_BOOLEAN) != 0) {
        add(s, &choice, network_literal(&s->net, SLICE_LITERAL("true")));
        add(s, &choice, network_literal(&s->net, SLICE_LITERAL("false")));
    }
    if ((allowed & (TYPE_INTEGER | TYPE_FRACTION)) != 0) {
        add(s, &choice, schema_number(s, v, (allowed & TYPE_FRACTION) == 0));
    }
    if ((allowed & TYPE_STRING) != 0) {
        add(s, &choice, schema_string(s, v));
    }
    if ((allowed & TYPE_ARRAY) != 0) {
        add(s, &choice, schema_array(s, v));
    }
    if ((allowed & TYPE_OBJECT) != 0) {
        add(s, &choice, schema_object(s, v));
    }
    return choice;
}

static piece compile(schema *s, const view *given) {
    view v = {.count = 0};
    unsigned bounds = 0;
    bool possible = true;
    piece choice = {0};
    for (size_t i = 0; i < given->count && possible; i++) {
        possible = expand(s, &v, given->parts[i].schema, 0);
        for (size_t j = 0; j < v.count; j++) {
            v.parts[j].done |= v.parts[j].schema == given->parts[i].schema ? given->parts[i].done : 0;
        }
    }
    if (!possible) {
        return network_never(&s->net);
    }
    bool typed = false;
    for (size_t i = 0; i < v.count; i++) {
        bounds |= check_keywords(s, v.parts[i].schema);
        typed = typed || json_find(v.parts[i].schema, "type") != NULL;
    }
    if (s->net.failed || choose_alternatives(s, &v, &choice)) {
        return choice;
    }
    unsigned allowed = allowed_types(s, &v);
    if (choose_listed(s, &v, allowed, bounds, &choice)) {
        return choice;
    }
    /* Keywords without a type: what they bound is what is meant. */
    return choose_types(s, &v, !typed && bounds != 0 ? bounds : allowed, bounds == 0);
}

static void read_all(schema *s) {
    uint32_t root = network_rule(&s->net);
    schema_define_common(s);
    bool bare = json_kind_of(s->root) == JSON_KIND_OBJECT && json_count(s->root) == 0;
    network_define(&s->net, root, network_call(&s->net, bare ? s->object : schema_rule_of_one(s, s->root)));
    while (s->next < s->job_count && !s->net.failed) {
        schema_job job = s->jobs[s->next++];
        network_define(&s->net, job.rule, compile(s, &job.view));
    }
}

grammar *grammar_from_schema(slice text, error *err) {
    schema s = {0};
    json_value *root =
        json_parse(text, (json_limits){GRAMMAR_TEXT_MAX, GRAMMAR_DEPTH_MAX, SCHEMA_VALUES_MAX}, err);
    if (root == NULL) {
        error_context(err, "schema");
        return NULL;
    }
    s.root = root;
    read_all(&s);
    grammar *g = grammar_new(&s.net, err);
    memory_free(s.jobs);
    json_free(root);
    return g;
}

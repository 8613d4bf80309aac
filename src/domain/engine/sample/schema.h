#ifndef ENGINE_SAMPLE_SCHEMA_H
#define ENGINE_SAMPLE_SCHEMA_H

#include "codec/json.h"
#include "sample/grammar.h"

/* From a JSON schema to a network. Private to schema*.c and pattern.c. Failure is the network's, sticky. */
enum { SCHEMA_PARTS_MAX = 16 };

/* Schemas that all hold for one value: what allOf and $ref bring together. */
typedef struct view {
    struct {
        const json_value *schema;
        unsigned done; /* what of it has been dealt with: SCHEMA_EXPANDED… */
    } parts[SCHEMA_PARTS_MAX];
    size_t count;
} view;

typedef struct schema_job {
    view view;
    uint32_t rule;
} schema_job;

typedef struct schema {
    network net;
    const json_value *root;
    schema_job *jobs; /* each a rule; from `next` on not compiled yet */
    size_t job_count;
    size_t job_capacity;
    size_t next;
    /* Rules that many use. */
    uint32_t space;
    uint32_t value;
    uint32_t object;
    uint32_t array;
    uint32_t string;
    uint32_t number;
    uint32_t integer;
} schema;

/* The rule for a view, compiled later if it is new. */
uint32_t schema_rule(schema *s, const view *v);
uint32_t schema_rule_of_one(schema *s, const json_value *value);
/* The keyword's value, NULL if it isn't there. Two parts that differ in it are a failure. */
const json_value *schema_keyword(schema *s, const view *v, const char *name);
/* A count, or `fallback`. */
uint32_t schema_count(schema *s, const view *v, const char *name, uint32_t fallback);

/* What a state leads to by a piece, a text, or a rule: the state behind. */
uint32_t schema_after(schema *s, uint32_t state, piece p);
uint32_t schema_after_text(schema *s, uint32_t state, const char *text);
uint32_t schema_after_rule(schema *s, uint32_t state, uint32_t rule_id);

/* The values of each type that hold, as pieces. */
piece schema_object(schema *s, const view *v);
piece schema_array(schema *s, const view *v);
piece schema_string(schema *s, const view *v);
piece schema_number(schema *s, const view *v, bool whole);
/* One value as it is. */
piece schema_literal(schema *s, const json_value *value);
/* The key of a member that no part of the view names; from `from` to behind the closing quote. */
uint32_t schema_other_key(schema *s, const view *v, uint32_t from);

/* A character of a set as a JSON string writes it; `set` is normalised. With `freely`, by any escape too. */
piece schema_characters(network *n, const characters *set, bool freely);
piece schema_any_character(network *n);
/* The inside of a string that a regular expression (ECMA-262, without what isn't regular) matches. */
piece schema_pattern(network *n, slice pattern);
void schema_define_common(schema *s);

#endif

#ifndef SCHEMA_INTERNAL_H
#define SCHEMA_INTERNAL_H

#include "proto/message.h"

/* What each message carries, as a table that the decoder, the encoder and the checks share: so what one of
 * them accepts the other does too. */
typedef enum field_kind {
    FIELD_HEX,      /* uint8_t[most], as lower-case hex */
    FIELD_BYTES,    /* uint8_t[most], as base64url */
    FIELD_TEXT,     /* slice of least..most bytes of UTF-8 without NUL */
    FIELD_CODE,     /* slice of least..most of a-z 0-9 _ */
    FIELD_U32,      /* least..most */
    FIELD_U64,      /* least..most */
    FIELD_U64_TEXT, /* uint64_t as a decimal string */
    FIELD_DOUBLE,   /* least..most */
    FIELD_FLOAT,    /* least..most */
    FIELD_LOGPROB,  /* float, -most..0; an element only */
    FIELD_BOOL,
    FIELD_NAME,   /* an enum, by its place in `names` */
    FIELD_OBJECT, /* the members of `inner` in an object of their own, in the same struct */
    FIELD_ITEMS   /* least..most elements, each as `inner` says */
} field_kind;

typedef struct field field;

typedef struct schema {
    const field *fields;
    size_t count;
} schema;

struct field {
    const char *name; /* NULL: an element that is a bare value */
    size_t offset;    /* in the struct; FIELD_ITEMS: of the array, or of the pointer to it */
    uint64_t least, most;
    const char *const *names; /* NULL behind the last */
    schema inner;
    size_t count_offset; /* FIELD_ITEMS: of the size_t that counts them */
    size_t item_size;
    field_kind kind;
    bool in_place; /* FIELD_ITEMS: the array is in the struct */
    /* Only messages for which this is true have the member; in others it is ignored. It may look at what
     * stands before. NULL: all have it. */
    bool (*applies)(const uint8_t *message);
    /* May be missing: FIELD_ITEMS as none, FIELD_TEXT as empty, FIELD_BYTES as zeros, FIELD_U32 and
     * FIELD_BOOL as the flag says (a boolean's is itself: false is missing). */
    bool optional;
    size_t flag_offset; /* of the bool: it is there */
};

/* Of the struct that proto_payload gives. */
const schema *proto_schema(proto_type type);
/* The union's member for messages of that type. */
void *proto_payload(proto_message *message);

/* True and the type if `name` is one. */
bool proto_type_parse(slice name, proto_type *type);

/* Whether such a message has this member at all. */
static inline bool proto_field_applies(const field *f, const uint8_t *message) {
    return f->applies == NULL || f->applies(message);
}
/* Whether an optional field is missing in the struct. */
bool proto_field_is_absent(const field *f, const uint8_t *message);
/* What holds between the members of a message, beyond the bounds of each: ERROR_INVALID. */
MUST_CHECK bool proto_check_members(const proto_message *message, error *err);

/* The checks of texts that both ways share. */
bool proto_text_is_good(const field *f, slice text);

/* Takes a message in exactly the form that proto_encode writes, if its members are of the kinds that the
 * frequent messages have. False: it is something else, or wrong; the general decoder says what. */
bool proto_canonical_decode(slice text, arena *a, proto_message *out);
/* For any message. */
MUST_CHECK bool proto_general_decode(slice text, arena *a, proto_message *out, error *err);

#endif

#include "schema_internal.h"

#include "proto/vector.h"

#define FIELDS(array)                                                                                        \
    { array, sizeof array / sizeof array[0] }
#define HEX(type, member)                                                                                    \
    {                                                                                                        \
        .name = #member, .kind = FIELD_HEX, .offset = offsetof(type, member),                                \
        .most = sizeof((type *)0)->member                                                                    \
    }
#define BYTES(type, member)                                                                                  \
    {                                                                                                        \
        .name = #member, .kind = FIELD_BYTES, .offset = offsetof(type, member),                              \
        .most = sizeof((type *)0)->member                                                                    \
    }
#define BOUNDED(kind_, type, member, least_, most_)                                                          \
    { .name = #member, .kind = kind_, .offset = offsetof(type, member), .least = least_, .most = most_ }
#define TEXT(type, member, least_, most_) BOUNDED(FIELD_TEXT, type, member, least_, most_)
#define OPTIONAL_TEXT(type, member, most_)                                                                   \
    {                                                                                                        \
        .name = #member, .kind = FIELD_TEXT, .offset = offsetof(type, member), .least = 1, .most = most_,    \
        .optional = true                                                                                     \
    }
#define OPTIONAL_BYTES(type, member)                                                                         \
    {                                                                                                        \
        .name = #member, .kind = FIELD_BYTES, .offset = offsetof(type, member),                              \
        .most = sizeof((type *)0)->member, .optional = true                                                  \
    }
#define CODE(type, member) BOUNDED(FIELD_CODE, type, member, 1, PROTO_PROFILE_MAX)
#define U32(type, member, least_, most_) BOUNDED(FIELD_U32, type, member, least_, most_)
#define U64(type, member) BOUNDED(FIELD_U64, type, member, 0, PROTO_INTEGER_MAX)
#define NAMED(type, member, names_)                                                                          \
    { .name = #member, .kind = FIELD_NAME, .offset = offsetof(type, member), .names = names_ }
#define OBJECT(name_, fields)                                                                                \
    { .name = name_, .kind = FIELD_OBJECT, .inner = FIELDS(fields) }

/* Characters of base64url, of values of 4 bytes. */
#define VECTOR_TEXT_SIZE(dimension) (((dimension)*16 + 2) / 3)

_Static_assert(PROTO_TEXTS_MAX *(VECTOR_TEXT_SIZE(PROTO_DIMENSION_MAX) + 3) + 1024 <= PROTO_MESSAGE_MAX &&
                   PROTO_TEXTS_SIZE_MAX * 6 + 4096 <= PROTO_MESSAGE_MAX,
               "any embed job and its answer fit a message, escaped as badly as can be");

enum { TOKENS_PER_SECOND_MAX = 1000000, SESSION_TIME_MAX_MS = 3600000 };

static const char *const classes[] = {"cpu", "gpu", "npu", NULL};
static const char *const finishes[] = {"stop", "length", "cancelled", NULL};
static const char *const availabilities[] = {"available", "limited", "paused", NULL};
static const char *const kinds[] = {"generate", "score", "embed", NULL};

static const field host_fields[] = {
    TEXT(proto_hello, os, 1, PROTO_PROFILE_MAX),
    TEXT(proto_hello, arch, 1, PROTO_PROFILE_MAX),
    TEXT(proto_hello, isa, 1, PROTO_PROFILE_MAX),
    U32(proto_hello, cores, 1, PROTO_CORES_MAX),
    U64(proto_hello, ram),
    OPTIONAL_BYTES(proto_hello, machine),
};

static const field model_fields[] = {
    TEXT(proto_model, name, 1, PROTO_NAME_MAX),
    BYTES(proto_model, digest),
    U32(proto_model, context, 1, PROTO_COUNT_MAX),
    TEXT(proto_model, profile, 1, PROTO_PROFILE_MAX),
    U32(proto_model, slots, 1, PROTO_SLOTS_MAX),
    BOUNDED(FIELD_DOUBLE, proto_model, tokens_per_second, 0, TOKENS_PER_SECOND_MAX),
    {.name = "kinds",
     .kind = FIELD_ITEMS,
     .offset = offsetof(proto_model, kinds),
     .least = 1,
     .most = PROTO_KIND_COUNT,
     .inner = FIELDS(((const field[]){{.kind = FIELD_NAME, .names = kinds}})),
     .count_offset = offsetof(proto_model, kind_count),
     .item_size = sizeof(proto_kind),
     .in_place = true,
     .optional = true},
    {.name = "dimension",
     .kind = FIELD_U32,
     .offset = offsetof(proto_model, dimension),
     .least = 1,
     .most = PROTO_DIMENSION_MAX,
     .optional = true,
     .flag_offset = offsetof(proto_model, has_dimension)},
};

static const field hello_fields[] = {
    HEX(proto_hello, worker_id),
    BYTES(proto_hello, public_key),
    BYTES(proto_hello, nonce),
    BYTES(proto_hello, build),
    OPTIONAL_TEXT(proto_hello, release, PROTO_RELEASE_MAX),
    OBJECT("host", host_fields),
    OPTIONAL_BYTES(proto_hello, ca),
    NAMED(proto_hello, class, classes),
    {.name = "models",
     .kind = FIELD_ITEMS,
     .offset = offsetof(proto_hello, models),
     .least = 1,
     .most = PROTO_MODELS_MAX,
     .inner = FIELDS(model_fields),
     .count_offset = offsetof(proto_hello, model_count),
     .item_size = sizeof(proto_model),
     .in_place = true},
};

static const field challenge_fields[] = {HEX(proto_challenge, pool_id), BYTES(proto_challenge, nonce)};
static const field proof_fields[] = {BYTES(proto_proof, signature)};

static const field welcome_fields[] = {
    HEX(proto_welcome, session),
    U32(proto_welcome, lease_ms, 1, SESSION_TIME_MAX_MS),
    U32(proto_welcome, beat_ms, 1, SESSION_TIME_MAX_MS),
    TEXT(proto_welcome, keys, 1, PROTO_KEYS_MAX),
    OPTIONAL_BYTES(proto_welcome, build),
    OPTIONAL_TEXT(proto_welcome, release, PROTO_RELEASE_MAX),
    OPTIONAL_TEXT(proto_welcome, checkpoint, PROTO_CHECKPOINT_MAX),
};

static const field refuse_fields[] = {CODE(proto_refuse, code), TEXT(proto_refuse, text, 0, PROTO_TEXT_MAX)};

static const field chat_fields[] = {
    TEXT(proto_chat, role, 1, PROTO_PROFILE_MAX),
    TEXT(proto_chat, content, 0, PROTO_MESSAGE_MAX),
};

static const field params_fields[] = {
    BOUNDED(FIELD_FLOAT, proto_job, temperature, 0, 2),
    BOUNDED(FIELD_FLOAT, proto_job, top_p, 0, 1),
    U32(proto_job, max_tokens, 1, PROTO_COUNT_MAX),
    {.name = "stop",
     .kind = FIELD_ITEMS,
     .offset = offsetof(proto_job, stop),
     .most = PROTO_STOPS_MAX,
     .inner = FIELDS(((const field[]){{.kind = FIELD_TEXT, .least = 1, .most = PROTO_STOP_MAX}})),
     .count_offset = offsetof(proto_job, stop_count),
     .item_size = sizeof(slice),
     .in_place = true},
};

static const field token_fields[] = {{.kind = FIELD_U32, .most = PROTO_TOKEN_ID_MAX}};

static bool has_no_texts(const uint8_t *job) {
    return ((const proto_job *)(const void *)job)->kind != PROTO_EMBED;
}

static bool has_texts(const uint8_t *job) {
    return !has_no_texts(job);
}

static const field text_fields[] = {{.kind = FIELD_TEXT, .least = 1, .most = PROTO_TEXT_SIZE_MAX}};

static const field job_fields[] = {
    HEX(proto_job, id),
    NAMED(proto_job, kind, kinds),
    TEXT(proto_job, model, 1, PROTO_NAME_MAX),
    BYTES(proto_job, digest),
    {.name = "messages",
     .kind = FIELD_ITEMS,
     .offset = offsetof(proto_job, messages),
     .least = 1,
     .most = PROTO_CHATS_MAX,
     .inner = FIELDS(chat_fields),
     .count_offset = offsetof(proto_job, message_count),
     .item_size = sizeof(proto_chat),
     .applies = has_no_texts},
    {.name = "params", .kind = FIELD_OBJECT, .inner = FIELDS(params_fields), .applies = has_no_texts},
    {.name = "seed",
     .kind = FIELD_U64_TEXT,
     .offset = offsetof(proto_job, seed),
     .most = UINT64_MAX,
     .applies = has_no_texts},
    {.name = "nonce",
     .kind = FIELD_BYTES,
     .offset = offsetof(proto_job, nonce),
     .most = PROTO_NONCE_SIZE,
     .applies = has_no_texts},
    {.name = "salt",
     .kind = FIELD_BYTES,
     .offset = offsetof(proto_job, salt),
     .most = PROTO_SALT_SIZE,
     .applies = has_no_texts},
    {.name = "texts",
     .kind = FIELD_ITEMS,
     .offset = offsetof(proto_job, texts),
     .least = 1,
     .most = PROTO_TEXTS_MAX,
     .inner = FIELDS(text_fields),
     .count_offset = offsetof(proto_job, text_count),
     .item_size = sizeof(slice),
     .applies = has_texts},
    U32(proto_job, deadline_ms, 1, PROTO_DEADLINE_MAX_MS),
    {.name = "credit",
     .kind = FIELD_U32,
     .offset = offsetof(proto_job, credit),
     .least = 1,
     .most = PROTO_COUNT_MAX,
     .applies = has_no_texts},
    {.name = "answer",
     .kind = FIELD_ITEMS,
     .offset = offsetof(proto_job, answer),
     .least = 1,
     .most = PROTO_ANSWER_MAX,
     .inner = FIELDS(token_fields),
     .count_offset = offsetof(proto_job, answer_count),
     .item_size = sizeof(uint32_t),
     .optional = true},
    {.name = "logprobs",
     .kind = FIELD_BOOL,
     .offset = offsetof(proto_job, logprobs),
     .optional = true,
     .flag_offset = offsetof(proto_job, logprobs)},
};

static const field logprob_fields[] = {{.kind = FIELD_LOGPROB, .most = PROTO_LOGPROB_MAX}};

static const field delta_fields[] = {
    HEX(proto_delta, id),
    U64(proto_delta, seq),
    TEXT(proto_delta, text, 0, PROTO_MESSAGE_MAX),
    {.name = "tokens",
     .kind = FIELD_ITEMS,
     .offset = offsetof(proto_delta, tokens),
     .most = PROTO_TOKENS_MAX,
     .inner = FIELDS(token_fields),
     .count_offset = offsetof(proto_delta, token_count),
     .item_size = sizeof(uint32_t)},
    {.name = "logprobs",
     .kind = FIELD_ITEMS,
     .offset = offsetof(proto_delta, logprobs),
     .least = 1,
     .most = PROTO_TOKENS_MAX,
     .inner = FIELDS(logprob_fields),
     .count_offset = offsetof(proto_delta, logprob_count),
     .item_size = sizeof(float),
     .optional = true},
};

static const field done_fields[] = {
    HEX(proto_done, id),
    NAMED(proto_done, finish, finishes),
    U32(proto_done, prompt_tokens, 0, PROTO_COUNT_MAX),
    U32(proto_done, completion_tokens, 0, PROTO_COUNT_MAX),
    BYTES(proto_done, commitment),
    U64(proto_done, started_ms),
    U64(proto_done, finished_ms),
    BYTES(proto_done, signature),
};

static const field scored_fields[] = {
    HEX(proto_scored, id),
    U32(proto_scored, prompt_tokens, 0, PROTO_COUNT_MAX),
    U32(proto_scored, agreed, 0, PROTO_ANSWER_MAX),
    {.name = "complete", .kind = FIELD_BOOL, .offset = offsetof(proto_scored, complete)},
    {.name = "expected",
     .kind = FIELD_U32,
     .offset = offsetof(proto_scored, expected),
     .most = PROTO_TOKEN_ID_MAX,
     .optional = true,
     .flag_offset = offsetof(proto_scored, has_expected)},
    BYTES(proto_scored, commitment),
    U64(proto_scored, started_ms),
    U64(proto_scored, finished_ms),
    BYTES(proto_scored, signature),
};

static const field vector_fields[] = {
    {.kind = FIELD_TEXT, .least = VECTOR_TEXT_SIZE(1), .most = VECTOR_TEXT_SIZE(PROTO_DIMENSION_MAX)}};

static const field embedded_fields[] = {
    HEX(proto_embedded, id),
    U32(proto_embedded, prompt_tokens, 0, PROTO_COUNT_MAX),
    U32(proto_embedded, dimension, 1, PROTO_DIMENSION_MAX),
    {.name = "vectors",
     .kind = FIELD_ITEMS,
     .offset = offsetof(proto_embedded, vectors),
     .least = 1,
     .most = PROTO_TEXTS_MAX,
     .inner = FIELDS(vector_fields),
     .count_offset = offsetof(proto_embedded, vector_count),
     .item_size = sizeof(slice)},
};

static const field fail_fields[] = {
    HEX(proto_fail, id),
    CODE(proto_fail, code),
    TEXT(proto_fail, text, 0, PROTO_TEXT_MAX),
    {.name = "retryable", .kind = FIELD_BOOL, .offset = offsetof(proto_fail, retryable)},
};

static const field cancel_fields[] = {HEX(proto_cancel, id)};
static const field credit_fields[] = {HEX(proto_credit, id), U32(proto_credit, tokens, 1, PROTO_COUNT_MAX)};

static const field beat_fields[] = {
    BOUNDED(FIELD_DOUBLE, proto_beat, load, 0, 1),
    U32(proto_beat, running, 0, PROTO_SLOTS_MAX),
    U32(proto_beat, slots, 0, PROTO_SLOTS_MAX),
    NAMED(proto_beat, state, availabilities),
};

static const field revoke_fields[] = {TEXT(proto_revoke, reason, 0, PROTO_TEXT_MAX)};
static const field log_ask_fields[] = {U64(proto_log_ask, from)};
static const field log_proof_fields[] = {
    U64(proto_log_proof, from),
    TEXT(proto_log_proof, checkpoint, 1, PROTO_CHECKPOINT_MAX),
    TEXT(proto_log_proof, hashes, 0, PROTO_HASHES_MAX),
};

static const field rekey_fields[] = {
    U64(proto_rekey, epoch),
    BYTES(proto_rekey, nonce),
};

static const field new_key_fields[] = {
    BYTES(proto_new_key, public_key),
    BYTES(proto_new_key, signature),
    BYTES(proto_new_key, former_signature),
};

static const field rekeyed_fields[] = {HEX(proto_rekeyed, worker_id)};

static const field trust_fields[] = {
    TEXT(proto_trust, ca, 1, PROTO_CA_MAX),
    BYTES(proto_trust, signature),
};

static const field keys_fields[] = {TEXT(proto_keys, keys, 1, PROTO_KEYS_MAX)};

_Static_assert(sizeof(proto_class) == sizeof(unsigned) && sizeof(proto_finish) == sizeof(unsigned) &&
                   sizeof(proto_kind) == sizeof(unsigned) && sizeof(proto_availability) == sizeof(unsigned),
               "FIELD_NAME stores an unsigned");

static const schema schemas[PROTO_TYPE_COUNT] = {
    [PROTO_HELLO] = FIELDS(hello_fields),     [PROTO_CHALLENGE] = FIELDS(challenge_fields),
    [PROTO_PROOF] = FIELDS(proof_fields),     [PROTO_WELCOME] = FIELDS(welcome_fields),
    [PROTO_REFUSE] = FIELDS(refuse_fields),   [PROTO_JOB] = FIELDS(job_fields),
    [PROTO_DELTA] = FIELDS(delta_fields),     [PROTO_DONE] = FIELDS(done_fields),
    [PROTO_SCORED] = FIELDS(scored_fields),   [PROTO_EMBEDDED] = FIELDS(embedded_fields),
    [PROTO_FAIL] = FIELDS(fail_fields),       [PROTO_CANCEL] = FIELDS(cancel_fields),
    [PROTO_CREDIT] = FIELDS(credit_fields),   [PROTO_DRAIN] = {NULL, 0},
    [PROTO_BEAT] = FIELDS(beat_fields),       [PROTO_REVOKE] = FIELDS(revoke_fields),
    [PROTO_LOG_ASK] = FIELDS(log_ask_fields), [PROTO_LOG_PROOF] = FIELDS(log_proof_fields),
    [PROTO_REKEY] = FIELDS(rekey_fields),     [PROTO_NEW_KEY] = FIELDS(new_key_fields),
    [PROTO_REKEYED] = FIELDS(rekeyed_fields), [PROTO_TRUST] = FIELDS(trust_fields),
    [PROTO_KEYS] = FIELDS(keys_fields),
};

const schema *proto_schema(proto_type type) {
    return &schemas[type];
}

/* All members of a union begin where it does. */
void *proto_payload(proto_message *message) {
    return &message->hello;
}

static const char *const type_names[] = {
#define X(type, name, sender) [type] = name,
    PROTO_TYPES(X)
#undef X
};

bool proto_type_parse(slice name, proto_type *type) {
    for (unsigned i = 0; i < PROTO_TYPE_COUNT; i++) {
        if (slice_equal_text(name, type_names[i])) {
            *type = (proto_type)i;
            return true;
        }
    }
    return false;
}

const char *proto_type_name(proto_type type) {
    return (unsigned)type < PROTO_TYPE_COUNT ? type_names[type] : "unknown";
}

bool proto_field_is_absent(const field *f, const uint8_t *message) {
    static const uint8_t zeros[PROTO_MACHINE_SIZE];
    if (f->kind == FIELD_ITEMS) {
        return *(const size_t *)(const void *)(message + f->count_offset) == 0;
    }
    if (f->kind == FIELD_TEXT) {
        return ((const slice *)(const void *)(message + f->offset))->length == 0;
    }
    return f->kind == FIELD_BYTES ? memcmp(message + f->offset, zeros, sizeof zeros) == 0
                                  : !*(const bool *)(message + f->flag_offset);
}

static bool check_job(const proto_job *job, error *err) {
    size_t size = 0;
    if ((job->kind == PROTO_SCORE) != (job->answer_count > 0)) {
        return error_set(err, ERROR_INVALID, "\"answer\" belongs to a job of the kind \"score\" alone");
    }
    if (job->kind != PROTO_GENERATE && job->logprobs) {
        return error_set(err, ERROR_INVALID, "\"logprobs\" belongs to a job of the kind \"generate\" alone");
    }
    for (size_t i = 0; job->kind == PROTO_EMBED && i < job->text_count; i++) {
        size += job->texts[i].length;
    }
    return size <= PROTO_TEXTS_SIZE_MAX ||
           error_set(err, ERROR_INVALID, "\"texts\" may have %d bytes all together", PROTO_TEXTS_SIZE_MAX);
}

bool proto_model_does(const proto_model *model, proto_kind kind) {
    bool does = model->kind_count == 0 && kind != PROTO_EMBED;
    for (size_t i = 0; i < model->kind_count; i++) {
        does = does || model->kinds[i] == kind;
    }
    return does;
}

static bool check_models(const proto_hello *hello, error *err) {
    for (size_t i = 0; i < hello->model_count; i++) {
        const proto_model *model = &hello->models[i];
        if (proto_model_does(model, PROTO_EMBED) != model->has_dimension) {
            return error_set(err, ERROR_INVALID,
                             "\"dimension\" belongs to a model of the kind \"embed\" alone");
        }
    }
    return true;
}

static bool check_vectors(const proto_embedded *embedded, error *err) {
    float values[PROTO_DIMENSION_MAX];
    for (size_t i = 0; i < embedded->vector_count; i++) {
        if (!proto_vector_read(embedded->vectors[i], values, embedded->dimension)) {
            return error_set(err, ERROR_INVALID,
                             "each of \"vectors\" must be \"dimension\" finite numbers in base64url");
        }
    }
    return true;
}

bool proto_check_members(const proto_message *message, error *err) {
    switch (message->type) {
    case PROTO_HELLO:
        return check_models(&message->hello, err);
    case PROTO_JOB:
        return check_job(&message->job, err);
    case PROTO_EMBEDDED:
        return check_vectors(&message->embedded, err);
    case PROTO_DELTA:
        return message->delta.logprob_count == 0 ||
               message->delta.logprob_count == message->delta.token_count ||
               error_set(err, ERROR_INVALID, "\"logprobs\" must be as many as \"tokens\"");
    case PROTO_SCORED:
        return !message->scored.complete || !message->scored.has_expected ||
               error_set(err, ERROR_INVALID, "nothing is \"expected\" in a complete answer");
    default:
        return true;
    }
}

size_t proto_size_limit(const proto_message *message) {
    return message->type == PROTO_JOB && message->job.kind == PROTO_SCORE ? PROTO_JOB_MAX : PROTO_MESSAGE_MAX;
}

static bool is_code(slice text) {
    for (size_t i = 0; i < text.length; i++) {
        uint8_t c = text.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') {
            return false;
        }
    }
    return true;
}

bool proto_text_is_good(const field *f, slice text) {
    return text.length >= f->least && text.length <= f->most && slice_find(text, 0) == SIZE_MAX &&
           (f->kind == FIELD_CODE ? is_code(text) : slice_is_utf8(text));
}

const char *proto_class_name(proto_class class_id) {
    return (unsigned)class_id <= PROTO_NPU ? classes[class_id] : "unknown";
}

bool proto_class_parse(slice name, proto_class *class_id) {
    for (unsigned i = 0; classes[i] != NULL; i++) {
        if (slice_equal_text(name, classes[i])) {
            *class_id = (proto_class)i;
            return true;
        }
    }
    return false;
}

#include "model.h"

#include "base/memory.h"
#include "crypto/hash.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights are read in place: this engine is for little-endian machines"
#endif

static const uint64_t memory_limit_default = UINT64_C(1) << 30;
enum { NAME_LENGTH_MAX = 128 };

static void add_end(engine_model *m, uint32_t id) {
    bool known = m->end_count == SAMPLING_ENDS_MAX;
    for (size_t i = 0; i < m->end_count; i++) {
        known = known || m->ends[i] == id;
    }
    if (!known) {
        m->ends[m->end_count++] = id;
    }
}

static void read_ends(engine_model *m) {
    static const tokenizer_role usual[] = {TOKEN_TURN_END, TOKEN_END};
    uint32_t id = 0;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (tokenizer_find_role(m->tokens, usual[i], &id)) {
            add_end(m, id);
        }
    }
    for (id = 0; id < tokenizer_count(m->tokens); id++) {
        if (tokenizer_is_end(m->tokens, id)) {
            add_end(m, id);
        }
    }
}

/* Without a wish, the model's own context or the largest that fits the memory. */
static bool read_context(engine_model *m, const engine_options *options, error *err) {
    architecture *a = &m->architecture;
    uint32_t slots = options->slots > 0 ? options->slots : 1;
    uint64_t chunk = cache_size(a, CHUNK);
    uint64_t room =
        m->memory_limit / slots / chunk * CHUNK; /* positions; no overflow: chunk is above CHUNK */
    if (options->context > a->context) {
        return error_set(err, ERROR_INVALID, "a context of %u is asked for, the model was made for %u",
                         options->context, a->context);
    }
    if (options->context > 0) {
        a->context = options->context;
    } else if (room > 0 && room < a->context) {
        a->context = (uint32_t)room;
    }
    return cache_size(a, a->context) <= m->memory_limit / slots ||
           error_set(err, ERROR_LIMIT,
                     "%u sequences of %u tokens take more memory than the engine was given: give it more, or "
                     "ask for "
                     "fewer slots or a smaller context",
                     slots, a->context);
}

static void describe(engine_model *m, const kernels *form) {
    error ignored;
    slice name;
    bool named = gguf_has(m->file, "general.name") && gguf_text(m->file, "general.name", &name, &ignored) &&
                 name.length > 0 && name.length <= NAME_LENGTH_MAX && slice_is_utf8(name);
    engine_information *i = &m->information;
    i->name = named ? name : SLICE_LITERAL("unnamed");
    i->context = m->architecture.context;
    i->vocabulary = m->architecture.vocabulary;
    i->parameters = m->architecture.parameters;
    i->sequence_memory = cache_size(&m->architecture, m->architecture.context);
    i->chat_format = chat_format(m->chat);
    i->kernels = form->name;
}

static slice token_text(const void *tokens, uint32_t id) {
    return tokenizer_bytes(tokens, id);
}

static bool open_parts(engine_model *m, slice file, const engine_options *options, error *err) {
    m->file = gguf_open(&file, 1, err);
    if (m->file == NULL || !architecture_read(&m->architecture, m->file, err) ||
        !read_context(m, options, err)) {
        return false;
    }
    m->tokens = tokenizer_new(m->file, err);
    if (m->tokens == NULL) {
        return false;
    }
    if (tokenizer_count(m->tokens) != m->architecture.vocabulary) {
        return error_set(err, ERROR_CORRUPT, "the vocabulary has %u tokens, the embedding %u rows",
                         tokenizer_count(m->tokens), m->architecture.vocabulary);
    }
    const kernels *form = options->plain_kernels ? NULL : kernels_avx2();
    form = form == NULL ? kernels_plain() : form;
    m->forward = forward_new(&m->architecture, form, err);
    if (m->forward == NULL) {
        return false;
    }
    m->chat = chat_new(m->file, m->tokens, err);
    if (m->chat == NULL) {
        return false;
    }
    read_ends(m);
    m->sampling = sampling_new(&(sampling_model){.vocabulary = m->architecture.vocabulary,
                                                 .text = token_text,
                                                 .text_context = m->tokens,
                                                 .ends = m->ends,
                                                 .end_count = m->end_count},
                               err);
    if (m->sampling == NULL) {
        return false;
    }
    describe(m, form);
    return true;
}

engine_model *engine_open(slice file, const uint8_t digest[ENGINE_DIGEST_SIZE], const engine_options *options,
                          error *err) {
    engine_model *m = memory_allocate_zeroed(1, sizeof *m);
    if (m == NULL) {
        error_memory(err);
        return NULL;
    }
    m->memory_limit = options->memory_limit > 0 ? options->memory_limit : memory_limit_default;
    bool good = open_parts(m, file, options, err);
    if (good && digest == NULL) {
        good = hash_sha256(file, m->information.digest, err);
    } else if (good) {
        memcpy(m->information.digest, digest, ENGINE_DIGEST_SIZE);
    }
    if (!good) {
        engine_close(m);
        return NULL;
    }
    return m;
}

void engine_close(engine_model *m) {
    if (m != NULL) {
        sampling_free(m->sampling);
        forward_free(m->forward);
        chat_free(m->chat);
        tokenizer_free(m->tokens);
        architecture_free(&m->architecture);
        gguf_free(m->file);
        memory_free(m);
    }
}

const engine_information *engine_describe(const engine_model *m) {
    return &m->information;
}

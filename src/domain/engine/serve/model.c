#include "serve/model.h"

#include "base/memory.h"
#include "crypto/hash.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights are read in place: this engine is for little-endian machines"
#endif

enum { BATCH_DEFAULT = 512 };
static const uint64_t memory_limit_default = UINT64_C(1) << 30;

engine_threads *engine_threads_new(uint32_t count, error *err) {
    engine_threads *threads = memory_allocate_zeroed(1, sizeof *threads);
    if (threads == NULL) {
        error_memory(err);
        return NULL;
    }
    threads->members = crew_new(count == 0 ? 1 : count, err);
    if (threads->members == NULL) {
        engine_threads_free(threads);
        return NULL;
    }
    return threads;
}

void engine_threads_free(engine_threads *threads) {
    if (threads != NULL) {
        crew_free(threads->members);
        memory_free(threads);
    }
}

static bool choose_kernels(engine_model *m, const char *name, error *err) {
    m->form = name == NULL ? kernels_best() : kernels_find(name);
    return m->form != NULL ||
           error_set(err, ERROR_UNSUPPORTED,
                     "the kernels '%s' aren't in this build, or not for this processor", name);
}

static bool choose_threads(engine_model *m, engine_threads *given, error *err) {
    if (given == NULL) {
        given = m->own_threads = engine_threads_new(1, err);
    }
    m->members = given == NULL ? NULL : given->members;
    return given != NULL;
}

/* Of one file its SHA-256, of several that of their digests one after the other. */
static bool compute_digest(const slice *files, size_t count, uint8_t digest[ENGINE_DIGEST_SIZE], error *err) {
    uint8_t digests[ENGINE_PARTS_MAX * HASH_SIZE];
    for (size_t i = 0; i < count; i++) {
        if (!hash_sha256(files[i], digests + i * HASH_SIZE, err)) {
            return false;
        }
    }
    if (count > 1) {
        return hash_sha256(slice_of(digests, count * HASH_SIZE), digest, err);
    }
    memcpy(digest, digests, HASH_SIZE);
    return true;
}

static bool read_weights(engine_model *m, const gguf *file, const engine_options *options, error *err) {
    architecture_source source = {.file = file,
                                  .crew = m->members,
                                  .progress = options->progress,
                                  .used = options->used,
                                  .context = options->context_of_calls};
    return (options->packed.length == 0 ||
            image_read(options->packed, m->information.digest, &m->image_work, &source.packed, err)) &&
           architecture_read(&m->architecture, &source, err);
}

static bool read_tokens(engine_model *m, const gguf *file, error *err) {
    m->tokens = tokenizer_new(file, err);
    if (m->tokens == NULL) {
        return false;
    }
    if (tokenizer_count(m->tokens) != m->architecture.vocabulary) {
        return error_set(err, ERROR_CORRUPT, "the vocabulary has %u tokens, the embedding %u rows",
                         tokenizer_count(m->tokens), m->architecture.vocabulary);
    }
    m->chat = chat_new(file, m->tokens, err);
    return m->chat != NULL;
}

static uint64_t memory_of(const engine_model *m, uint32_t positions) {
    return ((uint64_t)positions / CHUNK + (positions % CHUNK != 0)) * m->pool.page_size;
}

/* Without a wish, the model's own context or the largest that fits the memory. */
static bool plan_memory(engine_model *m, const engine_options *options, error *err) {
    uint64_t limit = options->memory_limit > 0 ? options->memory_limit : memory_limit_default;
    uint32_t slots = options->slots > 0 ? options->slots : 1;
    uint32_t context = m->architecture.context;
    page_pool_start(&m->pool, &m->architecture, limit);
    uint64_t room =
        limit / slots / m->pool.page_size * CHUNK; /* positions; a page is larger than CHUNK bytes */
    if (options->context > context) {
        return error_set(err, ERROR_INVALID, "a context of %u is asked for, the model was made for %u",
                         options->context, context);
    }
    if (options->context > 0) {
        context = options->context;
    } else if (room > 0 && room < context) {
        context = (uint32_t)room;
    }
    m->information.context = context;
    m->information.sequence_memory = memory_of(m, context);
    return m->information.sequence_memory <= limit / slots ||
           error_set(err, ERROR_LIMIT,
                     "%u sequences of %u tokens take more memory than the engine was given: give it more, or "
                     "ask for "
                     "fewer slots or a smaller context",
                     slots, context);
}

/* An encoder reads a text in one piece. */
static bool start_forward(engine_model *m, const engine_options *options, error *err) {
    m->batch = options->batch > 0 ? options->batch : BATCH_DEFAULT;
    if (!m->architecture.causal && m->batch < m->information.context) {
        m->batch = m->information.context;
    }
    m->forward = forward_new(&m->architecture, m->form, m->members, m->batch, err);
    m->prefixes = m->forward == NULL ? NULL : prefix_new(&m->pool, err);
    return m->prefixes != NULL;
}

static slice token_text(const void *tokens, uint32_t token) {
    return tokenizer_bytes(tokens, token);
}

static bool start_sampling(engine_model *m, error *err) {
    static const tokenizer_role first[] = {TOKEN_TURN_END, TOKEN_END};
    uint32_t ends[SAMPLING_ENDS_MAX];
    size_t count = 0;
    uint32_t usual = ENGINE_NO_TOKEN;
    for (size_t i = 0; i < 2 && usual == ENGINE_NO_TOKEN; i++) {
        uint32_t id = 0;
        if (tokenizer_find_role(m->tokens, first[i], &id) && tokenizer_is_end(m->tokens, id)) {
            usual = ends[count++] = id;
        }
    }
    for (uint32_t id = 0; id < m->architecture.vocabulary && count < SAMPLING_ENDS_MAX; id++) {
        if (id != usual && tokenizer_is_end(m->tokens, id)) {
            ends[count++] = id;
        }
    }
    const uint32_t threads = crew_count(m->members);
    m->sampling =
        sampling_new(&(sampling_model){.vocabulary = m->architecture.vocabulary,
                                       .text = token_text,
                                       .text_context = m->tokens,
                                       .ends = ends,
                                       .end_count = count,
                                       .exponentials = m->form->exponentials,
                                       .hands = threads < SAMPLING_HANDS_MAX ? threads : SAMPLING_HANDS_MAX},
                     err);
    return m->sampling != NULL;
}

static void describe(engine_model *m, const gguf *file) {
    error ignored;
    slice name;
    bool named = gguf_has(file, "general.name") && gguf_text(file, "general.name", &name, &ignored) &&
                 name.length > 0 && name.length <= sizeof m->name && slice_is_utf8(name);
    name = named ? name : SLICE_LITERAL("unnamed");
    memcpy(m->name, name.data, name.length);
    const architecture *a = &m->architecture;
    engine_information *i = &m->information;
    i->name = slice_of(m->name, name.length);
    i->architecture = slice_of_text(a->name);
    i->vocabulary = a->vocabulary;
    i->width = a->width;
    i->parameters = a->parameters;
    i->weights_size = a->weights_size;
    i->chat_format = chat_format(m->chat);
    i->kernels = m->form->name;
    i->can_generate = a->causal && a->head.matrix.tiles != NULL;
    i->can_embed = a->pooling != POOLING_NONE;
}

static bool open_file(engine_model *m, const gguf *file, const engine_options *options, error *err) {
    if (!read_weights(m, file, options, err) || !read_tokens(m, file, err) || !plan_memory(m, options, err) ||
        !start_forward(m, options, err)) {
        return false;
    }
    describe(m, file);
    return !m->information.can_generate || start_sampling(m, err);
}

static bool open_files(engine_model *m, const slice *files, size_t count, const uint8_t *digest,
                       const engine_options *options, error *err) {
    if (count == 0 || count > ENGINE_PARTS_MAX) {
        return error_set(err, ERROR_INVALID, "a model is in 1 to %d files", ENGINE_PARTS_MAX);
    }
    if (!choose_kernels(m, options->kernels, err) || !choose_threads(m, options->threads, err)) {
        return false;
    }
    m->image_work = (image_work){m->members, options->progress, options->context_of_calls};
    if (digest != NULL) {
        memcpy(m->information.digest, digest, ENGINE_DIGEST_SIZE);
    } else if (!compute_digest(files, count, m->information.digest, err)) {
        return false;
    }
    gguf *file = gguf_open(files, count, err);
    bool good = file != NULL && open_file(m, file, options, err);
    gguf_free(file);
    return good;
}

engine_model *engine_open(const slice *files, size_t file_count, const uint8_t digest[ENGINE_DIGEST_SIZE],
                          const engine_options *options, error *err) {
    engine_model *m = memory_allocate_zeroed(1, sizeof *m);
    if (m == NULL) {
        error_memory(err);
        return NULL;
    }
    list_init(&m->sequences);
    if (!open_files(m, files, file_count, digest, options, err)) {
        engine_close(m);
        return NULL;
    }
    return m;
}

void engine_close(engine_model *m) {
    if (m != NULL) {
        prefix_free(m->prefixes);
        forward_free(m->forward);
        sampling_free(m->sampling);
        chat_free(m->chat);
        tokenizer_free(m->tokens);
        architecture_free(&m->architecture);
        engine_threads_free(m->own_threads);
        memory_free(m);
    }
}

const engine_information *engine_describe(const engine_model *m) {
    return &m->information;
}

bool engine_packed(engine_model *m, slice pieces[2], error *err) {
    pieces[0] = slice_of(m->image_header, sizeof m->image_header);
    pieces[1] = architecture_packed(&m->architecture);
    return image_write_header(m->image_header, m->information.digest, pieces[1], &m->image_work, err);
}

bool engine_prompt(const engine_model *m, const engine_message *messages, size_t count, slice tools,
                   uint32_t **tokens, size_t *token_count, error *err) {
    return chat_prompt(m->chat, messages, count, tools, tokens, token_count, err);
}

bool engine_tokenize(const engine_model *m, slice text, uint32_t **tokens, size_t *token_count, error *err) {
    token_list list = {0};
    uint32_t first = 0;
    bool good = true;
    if (!m->architecture.causal) {
        good = tokenizer_encode_spans(m->tokens, &(token_span){text, false}, 1, true, &list, err);
    } else {
        good = (!tokenizer_wants_bos(m->tokens) || !tokenizer_find_role(m->tokens, TOKEN_FIRST, &first) ||
                token_list_append(&list, first, err)) &&
               tokenizer_encode(m->tokens, text, &list, err);
    }
    if (!good) {
        token_list_free(&list);
        return false;
    }
    *tokens = list.ids;
    *token_count = list.count;
    return true;
}

slice engine_token_text(const engine_model *m, uint32_t token) {
    return tokenizer_bytes(m->tokens, token);
}

#include "llamacpp.h"

#include "base/memory.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

/* The structures that pass by value, as version LLAMACPP_VERSION lays them out. */
typedef struct model_parameters {
    void *devices;
    const void *overrides;
    int32_t gpu_layers;
    int32_t split;
    int32_t load;
    int32_t lazy;
    int32_t main_gpu;
    const float *tensor_split;
    void *progress;
    void *progress_context;
    const void *key_overrides;
    bool vocabulary_only;
    bool check_tensors;
    bool use_extra_buffers;
    bool no_host;
    bool no_allocation;
    bool load_further_predictors;
} model_parameters;

typedef struct context_parameters {
    uint32_t context;
    uint32_t batch;
    uint32_t pass;
    uint32_t sequences;
    uint32_t snapshots;
    uint32_t outputs;
    uint32_t outputs_of_sequence;
    int32_t threads;
    int32_t threads_of_batch;
    int32_t kind;
    int32_t rope_scaling;
    int32_t pooling;
    int32_t attention;
    int32_t flash_attention;
    float rope[6];
    uint32_t yarn_context;
    float defragment;
    void *evaluated;
    void *evaluated_context;
    int32_t key_type;
    int32_t value_type;
    void *abort;
    void *abort_context;
    bool embeddings;
    bool offload_keys;
    bool no_times;
    bool offload_operations;
    bool whole_window;
    bool unified;
    void *samplers;
    size_t sampler_count;
    void *other;
} context_parameters;

typedef struct token_batch {
    int32_t count;
    int32_t *tokens;
    float *embeddings;
    int32_t *positions;
    int32_t *sequence_counts;
    int32_t **sequences;
    int8_t *wanted;
} token_batch;

enum {
    TYPE_F16 = 1,
    POOLING_OF_MODEL = -1,
    DEFAULT_CONTEXT = 512,
    DEFAULT_BATCH = 2048,
    LEVEL_ERROR = 4,
    LEVEL_GOES_ON = 5
};
enum { CONTEXT_GRAIN = 256, FORM_SIZE = 64, PATH_SIZE = 4096 };

/* X(result, name, arguments) */
#define FUNCTIONS(X)                                                                                         \
    X(const char *, llama_version, (void))                                                                   \
    X(void, llama_backend_init, (void))                                                                      \
    X(void, llama_log_set, (void (*)(int, const char *, void *), void *))                                    \
    X(model_parameters, llama_model_default_params, (void))                                                  \
    X(context_parameters, llama_context_default_params, (void))                                              \
    X(void *, llama_model_load_from_file, (const char *, model_parameters))                                  \
    X(void, llama_model_free, (void *))                                                                      \
    X(const void *, llama_model_get_vocab, (const void *))                                                   \
    X(int32_t, llama_model_n_embd, (const void *))                                                           \
    X(int32_t, llama_vocab_n_tokens, (const void *))                                                         \
    X(void *, llama_init_from_model, (void *, context_parameters))                                           \
    X(void, llama_free, (void *))                                                                            \
    X(void *, llama_get_memory, (const void *))                                                              \
    X(void, llama_memory_clear, (void *, bool))                                                              \
    X(bool, llama_memory_seq_rm, (void *, int32_t, int32_t, int32_t))                                        \
    X(int32_t, llama_decode, (void *, token_batch))                                                          \
    X(float *, llama_get_logits_ith, (void *, int32_t))                                                      \
    X(float *, llama_get_embeddings_seq, (void *, int32_t))                                                  \
    X(int32_t, llama_tokenize, (const void *, const char *, int32_t, int32_t *, int32_t, bool, bool))

struct llamacpp {
#define X(result, name, arguments) result(*name) arguments;
    FUNCTIONS(X)
#undef X
    void *library;
    void *processors; /* the library in which their forms register */
    char form[FORM_SIZE];
    void *model;
    const void *vocabulary;
    void *context;
    void *memory;
    uint32_t batch;
    int32_t *columns; /* batch each of tokens, positions, sequence counts, sequences */
    int32_t **sequences;
    int8_t *wanted;
};

static void *open_library(const char *folder, const char *name, error *err) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        error_set(err, ERROR_NOT_FOUND, "no llama.cpp there: %s", dlerror());
    }
    return library;
}

/* POSIX wants object and function pointers to be of one size; C has no conversion between them. */
static bool find_function(void *library, const char *name, void *function, error *err) {
    void *found = dlsym(library, name);
    if (found == NULL) {
        return error_set(err, ERROR_UNSUPPORTED, "this llama.cpp has no %s", name);
    }
    memcpy(function, &found, sizeof found);
    return true;
}

static bool find_functions(llamacpp *l, error *err) {
#define X(result, name, arguments)                                                                           \
    if (!find_function(l->library, #name, &l->name, err)) {                                                  \
        return false;                                                                                        \
    }
    FUNCTIONS(X)
#undef X
    if (strcmp(l->llama_version(), LLAMACPP_VERSION) != 0) {
        return error_set(err, ERROR_UNSUPPORTED, "this is llama.cpp %s, and " LLAMACPP_VERSION " is known",
                         l->llama_version());
    }
    context_parameters c = l->llama_context_default_params();
    bool known = c.context == DEFAULT_CONTEXT && c.batch == DEFAULT_BATCH && c.pass == DEFAULT_CONTEXT &&
                 c.pooling == POOLING_OF_MODEL && c.key_type == TYPE_F16 && c.value_type == TYPE_F16 &&
                 c.no_times && c.other == NULL;
    return known || error_set(err, ERROR_UNSUPPORTED, "this llama.cpp has other structures than are known");
}

static void tell_errors(int level, const char *text, void *context) {
    static int last; /* of the line that is going on */
    (void)context;
    last = level == LEVEL_GOES_ON ? last : level;
    if (last == LEVEL_ERROR) {
        fputs(text, stderr);
    }
}

static const char form_prefix[] = "libggml-cpu-";

static int remember_form(struct dl_phdr_info *loaded, size_t size, void *context) {
    llamacpp *l = context;
    (void)size;
    const char *name = strrchr(loaded->dlpi_name, '/');
    if (name == NULL || strncmp(name + 1, form_prefix, sizeof form_prefix - 1) != 0) {
        return 0;
    }
    snprintf(l->form, sizeof l->form, "%s", name + sizeof form_prefix);
    char *end = strstr(l->form, ".so");
    if (end != NULL) {
        *end = 0;
    }
    return 1;
}

/* The library's own choice, or the one that is asked for. */
static bool load_form(llamacpp *l, const llamacpp_setup *setup, error *err) {
    void (*load_all)(const char *) = NULL;
    void *(*load)(const char *) = NULL;
    char path[PATH_SIZE];
    if (!find_function(l->processors, "ggml_backend_load_all_from_path", &load_all, err) ||
        !find_function(l->processors, "ggml_backend_load", &load, err)) {
        return false;
    }
    l->llama_log_set(tell_errors, NULL);
    l->llama_backend_init();
    if (setup->form == NULL) {
        load_all(setup->folder);
    } else {
        snprintf(path, sizeof path, "%s/%s%s.so", setup->folder, form_prefix, setup->form);
        if (load(path) == NULL) {
            return error_set(err, ERROR_UNSUPPORTED, "this machine doesn't run llama.cpp's %s form",
                             setup->form);
        }
    }
    return dl_iterate_phdr(remember_form, l) == 1 ||
           error_set(err, ERROR_UNSUPPORTED, "llama.cpp has no form for this processor in %s", setup->folder);
}

static bool load_libraries(llamacpp *l, const llamacpp_setup *setup, error *err) {
    l->processors = open_library(setup->folder, "libggml.v0.5.0.so", err);
    if (l->processors == NULL) {
        return false;
    }
    l->library = open_library(setup->folder, "libllama.v0.5.0.so", err);
    return l->library != NULL && find_functions(l, err) && load_form(l, setup, err);
}

static bool make_batch(llamacpp *l, uint32_t batch, error *err) {
    l->batch = batch;
    l->columns = memory_allocate_zeroed(4 * (size_t)batch, sizeof *l->columns);
    l->sequences = memory_allocate_zeroed(batch, sizeof *l->sequences);
    l->wanted = memory_allocate_zeroed(batch, sizeof *l->wanted);
    return (l->columns != NULL && l->sequences != NULL && l->wanted != NULL) || error_memory(err);
}

static bool load_model(llamacpp *l, const llamacpp_setup *setup, error *err) {
    model_parameters m = l->llama_model_default_params();
    m.vocabulary_only = setup->vocabulary_only;
    l->model = l->llama_model_load_from_file(setup->model, m);
    if (l->model == NULL) {
        return error_set(err, ERROR_INVALID, "llama.cpp refuses %s", setup->model);
    }
    l->vocabulary = l->llama_model_get_vocab(l->model);
    if (setup->vocabulary_only) {
        return true;
    }
    context_parameters c = l->llama_context_default_params();
    c.context = (setup->context + CONTEXT_GRAIN - 1) / CONTEXT_GRAIN * CONTEXT_GRAIN * setup->sequences;
    c.batch = setup->batch;
    c.pass = setup->batch;
    c.sequences = setup->sequences;
    c.outputs = setup->batch;
    c.outputs_of_sequence = setup->batch;
    c.threads = (int32_t)setup->threads;
    c.threads_of_batch = (int32_t)setup->threads;
    c.embeddings = setup->embeddings;
    l->context = l->llama_init_from_model(l->model, c);
    if (l->context == NULL) {
        return error_set(err, ERROR_INVALID, "llama.cpp refuses to compute with %s", setup->model);
    }
    l->memory = l->llama_get_memory(l->context);
    return make_batch(l, setup->batch, err);
}

llamacpp *llamacpp_open(const llamacpp_setup *setup, error *err) {
    llamacpp *l = memory_allocate_zeroed(1, sizeof *l);
    if (l == NULL) {
        error_memory(err);
        return NULL;
    }
    if (!load_libraries(l, setup, err) || !load_model(l, setup, err)) {
        llamacpp_close(l);
        return NULL;
    }
    return l;
}

/* The libraries stay loaded: they have threads and exit handlers of their own. */
void llamacpp_close(llamacpp *l) {
    if (l == NULL) {
        return;
    }
    if (l->context != NULL) {
        l->llama_free(l->context);
    }
    if (l->model != NULL) {
        l->llama_model_free(l->model);
    }
    memory_free(l->columns);
    memory_free(l->sequences);
    memory_free(l->wanted);
    memory_free(l);
}

const char *llamacpp_form(const llamacpp *l) {
    return l->form;
}

uint32_t llamacpp_vocabulary(const llamacpp *l) {
    return (uint32_t)l->llama_vocab_n_tokens(l->vocabulary);
}

uint32_t llamacpp_width(const llamacpp *l) {
    return (uint32_t)l->llama_model_n_embd(l->model);
}

bool llamacpp_tokenize(const llamacpp *l, slice text, bool first, bool special, uint32_t *tokens,
                       size_t capacity, size_t *count, error *err) {
    if (text.length > INT32_MAX || capacity > INT32_MAX) {
        return error_set(err, ERROR_LIMIT, "a text for llama.cpp has at most %d bytes", INT32_MAX);
    }
    int32_t found = l->llama_tokenize(l->vocabulary, (const char *)text.data, (int32_t)text.length,
                                      (int32_t *)tokens, (int32_t)capacity, first, special);
    if (found < 0) {
        return error_set(err, ERROR_LIMIT, "llama.cpp makes more than %zu tokens of a text", capacity);
    }
    *count = (size_t)found;
    return true;
}

void llamacpp_clear(llamacpp *l) {
    if (l->memory != NULL) {
        l->llama_memory_clear(l->memory, false);
    }
}

void llamacpp_cut(llamacpp *l, uint32_t sequence, uint32_t position) {
    if (l->memory != NULL) {
        (void)l->llama_memory_seq_rm(l->memory, (int32_t)sequence, (int32_t)position, -1);
    }
}

bool llamacpp_pass(llamacpp *l, const llamacpp_token *tokens, size_t count, error *err) {
    if (count > l->batch) {
        return error_set(err, ERROR_LIMIT, "a pass has at most %u tokens", l->batch);
    }
    token_batch batch = {.count = (int32_t)count,
                         .tokens = l->columns,
                         .positions = l->columns + l->batch,
                         .sequence_counts = l->columns + 2 * (size_t)l->batch,
                         .sequences = l->sequences,
                         .wanted = l->wanted};
    for (size_t i = 0; i < count; i++) {
        int32_t *sequence = l->columns + 3 * (size_t)l->batch + i;
        batch.tokens[i] = (int32_t)tokens[i].token;
        batch.positions[i] = (int32_t)tokens[i].position;
        batch.sequence_counts[i] = 1;
        *sequence = (int32_t)tokens[i].sequence;
        batch.sequences[i] = sequence;
        batch.wanted[i] = tokens[i].wanted;
    }
    int32_t status = l->llama_decode(l->context, batch);
    return status == 0 || error_set(err, ERROR_INTERNAL, "llama.cpp's pass ends with %d", status);
}

const float *llamacpp_logits(llamacpp *l, size_t index, error *err) {
    const float *logits = l->llama_get_logits_ith(l->context, (int32_t)index);
    if (logits == NULL) {
        error_set(err, ERROR_INTERNAL, "llama.cpp has no logits of token %zu", index);
    }
    return logits;
}

const float *llamacpp_embedding(llamacpp *l, uint32_t sequence, error *err) {
    const float *values = l->llama_get_embeddings_seq(l->context, (int32_t)sequence);
    if (values == NULL) {
        error_set(err, ERROR_INTERNAL, "llama.cpp has no embedding of sequence %u", sequence);
    }
    return values;
}

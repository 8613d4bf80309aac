#include "verbs.h"

#include "app_model/load.h"
#include "app_model/tool.h"
#include "base/memory.h"
#include "codec/json.h"
#include "crypto/hash.h"
#include "crypto/start.h"
#include "options/options.h"
#include "os/random.h"
#include "os/sandbox.h"
#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { MEMORY_MIB_MAX = 1 << 20, MEMORY_MIB_DEFAULT = 1024, BATCH_MAX = 1 << 14 };

typedef struct settings {
    load_options load;
    bool check;
} settings;

static bool parse(int argc, char **argv, settings *s, int *status) {
    *s = (settings){.load = {.slots = 1, .memory_mib = MEMORY_MIB_DEFAULT}};
    load_options *l = &s->load;
    const option_row rows[] = {
        {"model", OPTION_REQUIRED, &l->model, "FILE", "the model, a GGUF file; of a split one the first part",
         0, 0},
        {"slots", OPTION_U64, &l->slots, "N", "answers computed at once", 1, ENGINE_SLOTS_MAX},
        {"context", OPTION_U64, &l->context, "TOKENS", "of a conversation; 0: as the model says", 0,
         ENGINE_CONTEXT_MAX},
        {"memory", OPTION_U64, &l->memory_mib, "MIB", "to compute with, beside the model", 1, MEMORY_MIB_MAX},
        {"threads", OPTION_U64, &l->threads, "N", "that compute; 0: one per core, also the most", 0,
         ENGINE_THREADS_MAX},
        {"batch", OPTION_U64, &l->batch, "TOKENS", "computed in one pass; 0: as is usual", 0, BATCH_MAX},
        {"kernels", OPTION_TEXT, &l->kernels, "NAME",
         "the same bits by another form of the loops; else the fastest", 0, 0},
        {"cache", OPTION_FLAG, &l->cache, NULL, "keep the packed weights beside the model", 0, 0},
        {"check", OPTION_FLAG, &s->check, NULL, "load the model, say what it is, and exit", 0, 0},
    };
    const option_table table = {
        .usage = "cellule engine serve --model FILE [options]",
        .summary = "Loads one model and computes: the worker's child, which speaks over a pipe. By hand, "
                   "only --check\n"
                   "is of use.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    return options_parse(&table, argc, argv, NULL, status);
}

static bool send_loading(void *out, uint32_t percent, error *err) {
    pipe_message m = {.type = PIPE_LOADING, .percent = percent};
    return server_send(out, &m, err);
}

static void print_description(const engine_model *model) {
    char digest[HASH_HEX_SIZE];
    const engine_information *i = engine_describe(model);
    hex_encode(slice_of(i->digest, sizeof i->digest), digest);
    printf(
        "name        %.*s\ndigest      %s\nparameters  %llu\nvocabulary  %u\ncontext     %u\nchat        %s\n"
        "profile     %s\nkernels     %s\n",
        SLICE_FORMAT(i->name), digest, (unsigned long long)i->parameters, i->vocabulary, i->context,
        i->can_generate ? i->chat_format : "none, it computes embeddings", ENGINE_PROFILE, i->kernels);
}

static bool serve(load *l, server *out, error *err) {
    l->progress = send_loading;
    l->context = out;
    engine_model *model = load_model(l, err);
    if (model == NULL) {
        return false;
    }
    const engine_information *i = engine_describe(model);
    pipe_message ready = {.type = PIPE_READY,
                          .ready = {.model = i->name,
                                    .context = i->context,
                                    .slots = (uint32_t)l->options.slots,
                                    .vocabulary = i->vocabulary,
                                    .width = i->width,
                                    .can_generate = i->can_generate,
                                    .can_embed = i->can_embed,
                                    .profile = SLICE_LITERAL(ENGINE_PROFILE)}};
    memcpy(ready.ready.digest, i->digest, sizeof i->digest);
    return server_send(out, &ready, err) && server_run(out, model, ready.ready.slots, err);
}

static bool check(load *l, error *err) {
    engine_model *model = load_model(l, err);
    if (model == NULL) {
        return false;
    }
    print_description(model);
    return tool_written(err);
}

/* The last words on the pipe. If the agent is gone, standard error still has them. */
static void tell(server *out, const error *err) {
    error ignored;
    pipe_message last = {.type = PIPE_FAIL, .fail = {err->code, slice_of_text(err->text), false}};
    if (!server_send(out, &last, &ignored)) {
        fprintf(stderr, "cellule engine: %s\n", ignored.text);
    }
}

/* Everything that reads the file's content comes after the sandbox, threads before it. */
static bool run(const settings *s, error *err) {
    uint64_t seed = 0;
    memory_wipe_freed(); /* conversations go through here */
    if (!crypto_start(err) || !random_bytes(&seed, sizeof seed, err)) {
        return false;
    }
    json_start(seed); /* schemas and tools are JSON */
    server *out = s->check ? NULL : server_new(STDIN_FILENO, STDOUT_FILENO, err);
    if (out == NULL && !s->check) {
        return false;
    }
    load l;
    bool good = load_begin(&l, &s->load, err) && sandbox_enter(err) &&
                (s->check ? check(&l, err) : serve(&l, out, err));
    if (!good && !s->check) {
        tell(out, err);
    }
    return good;
}

int engine_serve_main(int argc, char **argv) {
    settings s;
    error err;
    int status = 0;
    if (!parse(argc, argv, &s, &status)) {
        return status;
    }
    if (!s.check && isatty(STDIN_FILENO) == 1) {
        fputs("cellule engine serve: a worker is wanted on standard input, not a terminal; to ask a model "
              "by hand there is cellule engine run\n",
              stderr);
        return OPTIONS_WRONG_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    status = run(&s, &err) ? 0 : options_fail("cellule engine", &err);
    /* Not by way of exit handlers, which may want rights that are gone; the kernel takes the memory back. */
    fflush(NULL);
    _exit(status);
}

#include "verbs.h"

#include "codec/json.h"
#include "crypto/hash.h"
#include "crypto/start.h"
#include "model_files.h"
#include "options/options.h"
#include "os/random.h"
#include "os/sandbox.h"
#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { DIGEST_PART = 4 * 1024 * 1024, MEMORY_MIB_MAX = 1 << 20, MEMORY_MIB_DEFAULT = 1024 };

typedef struct settings {
    const char *model;
    uint64_t slots;
    uint64_t context;
    uint64_t memory_mib;
    bool check;
} settings;

static bool parse(int argc, char **argv, settings *s, int *status) {
    *s = (settings){.slots = 1, .memory_mib = MEMORY_MIB_DEFAULT};
    const option_row rows[] = {
        {"model", OPTION_REQUIRED, &s->model, "FILE", "the model, a GGUF file", 0, 0},
        {"slots", OPTION_U64, &s->slots, "N", "answers computed at once", 1, ENGINE_SLOTS_MAX},
        {"context", OPTION_U64, &s->context, "TOKENS", "of a conversation; 0: as the model says", 0,
         ENGINE_CONTEXT_MAX},
        {"memory", OPTION_U64, &s->memory_mib, "MIB", "to compute with, beside the model", 1, MEMORY_MIB_MAX},
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

static bool send_loading(server *out, uint32_t percent, error *err) {
    pipe_message m = {.type = PIPE_LOADING, .percent = percent};
    return out == NULL || server_send(out, &m, err);
}

/* SHA-256 of one file, after `before` bytes of others; tells how far it is. `out` is NULL for --check. */
static bool compute_part_digest(const model_files *files, size_t part, uint64_t before, server *out,
                                uint8_t digest[ENGINE_DIGEST_SIZE], error *err) {
    slice file = files->parts[part];
    hash *h = hash_new(err);
    if (h == NULL) {
        return false;
    }
    bool good = true;
    for (size_t done = 0; good && done < file.length; done += DIGEST_PART) {
        good = send_loading(out, (uint32_t)((before + done) * 100 / files->size), err);
        hash_update(h, slice_part(file, done, DIGEST_PART));
    }
    good = good && hash_finish(h, digest, err);
    hash_free(h);
    return good;
}

/* The SHA-256 of the only file, or of the digests of the parts. */
static bool compute_digest(const model_files *files, server *out, uint8_t digest[ENGINE_DIGEST_SIZE],
                           error *err) {
    uint8_t digests[GGUF_PARTS_MAX][ENGINE_DIGEST_SIZE];
    uint64_t before = 0;
    for (size_t i = 0; i < files->count; i++) {
        if (!compute_part_digest(files, i, before, out, digests[i], err)) {
            return false;
        }
        before += files->parts[i].length;
    }
    if (files->count > 1) {
        return hash_sha256(slice_of(digests, files->count * sizeof digests[0]), digest, err);
    }
    memcpy(digest, digests[0], ENGINE_DIGEST_SIZE);
    return true;
}

static engine_model *load(const settings *s, const model_files *files, server *out, error *err) {
    uint8_t digest[ENGINE_DIGEST_SIZE];
    engine_options options = {
        .context = (uint32_t)s->context, .slots = (uint32_t)s->slots, .memory_limit = s->memory_mib << 20};
    if (!compute_digest(files, out, digest, err) || !send_loading(out, 100, err)) {
        return NULL;
    }
    engine_model *model = engine_open(files->parts[0], digest, &options, err);
    if (model == NULL) {
        error_context(err, "%s", s->model);
    }
    return model;
}

static void print_description(const engine_model *model) {
    char digest[HASH_HEX_SIZE];
    const engine_information *i = engine_describe(model);
    hex_encode(slice_of(i->digest, sizeof i->digest), digest);
    printf(
        "name        %.*s\ndigest      %s\nparameters  %llu\nvocabulary  %u\ncontext     %u\nchat        %s\n"
        "profile     %s\nkernels     %s\n",
        SLICE_FORMAT(i->name), digest, (unsigned long long)i->parameters, i->vocabulary, i->context,
        i->chat_format, ENGINE_PROFILE, i->kernels);
    fflush(stdout);
}

static bool serve(const settings *s, const model_files *files, server *out, error *err) {
    engine_model *model = load(s, files, out, err);
    if (model == NULL) {
        return false;
    }
    const engine_information *i = engine_describe(model);
    pipe_message ready = {.type = PIPE_READY,
                          .ready = {.model = i->name,
                                    .context = i->context,
                                    .slots = (uint32_t)s->slots,
                                    .vocabulary = i->vocabulary,
                                    .profile = SLICE_LITERAL(ENGINE_PROFILE)}};
    memcpy(ready.ready.digest, i->digest, sizeof i->digest);
    return server_send(out, &ready, err) && server_run(out, model, (uint32_t)s->slots, err);
}

static bool check(const settings *s, const model_files *files, error *err) {
    engine_model *model = load(s, files, NULL, err);
    if (model != NULL) {
        print_description(model);
    }
    return model != NULL;
}

/* The last words on the pipe. If the agent is gone, standard error still has them. */
static void tell(server *out, const error *err) {
    error ignored;
    pipe_message last = {.type = PIPE_FAIL, .fail = {err->code, slice_of_text(err->text), false}};
    if (!server_send(out, &last, &ignored)) {
        fprintf(stderr, "cellule engine: %s\n", ignored.text);
    }
}

/* Everything that reads the file's content comes after the sandbox. */
static bool run(const settings *s, error *err) {
    uint64_t seed = 0;
    if (!crypto_start(err) || !random_bytes(&seed, sizeof seed, err)) {
        return false;
    }
    json_start(seed); /* schemas and tools are JSON */
    server *out = s->check ? NULL : server_new(STDIN_FILENO, STDOUT_FILENO, err);
    if (out == NULL && !s->check) {
        return false;
    }
    model_files files;
    bool good = model_files_map(s->model, &files, err) && sandbox_enter(err) &&
                (s->check ? check(s, &files, err) : serve(s, &files, out, err));
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
    signal(SIGPIPE, SIG_IGN);
    status = run(&s, &err) ? 0 : options_fail("cellule engine", &err);
    /* Not by way of exit handlers, which may want rights that are gone; the kernel takes the memory back. */
    fflush(NULL);
    _exit(status);
}

#include "app_model/load.h"

#include "crypto/hash.h"
#include "os/file.h"
#include "os/host.h"

#include <stdio.h>

enum { DIGEST_PART = 4 * 1024 * 1024 };
enum { PHASE_DIGEST, PHASE_OPENING, PHASE_HASHING, PHASE_WRITING, PHASES };

static const char *program(const load *l) {
    return l->options.program == NULL ? "cellule engine" : l->options.program;
}

static void warn(const load *l, const error *err, const char *then) {
    fprintf(stderr, "%s: %s; %s\n", program(l), err->text, then);
}

static bool start_threads(load *l, error *err) {
    uint64_t count = l->options.threads;
    host_description host;
    if (!host_describe(&host, err)) {
        return false;
    }
    /* More would only take turns on a core. */
    if (count > host.cores) {
        fprintf(stderr, "%s: %u threads would share %u cores; computing with %u\n", program(l),
                (unsigned)count, host.cores, host.cores);
    }
    if (count == 0 || count > host.cores) {
        count = host.cores < ENGINE_THREADS_MAX ? host.cores : ENGINE_THREADS_MAX;
    }
    l->options.threads = count;
    l->threads = engine_threads_new((uint32_t)count, err);
    return l->threads != NULL;
}

bool load_begin(load *l, const load_options *options, error *err) {
    *l = (load){.options = *options, .packed = {.descriptor = -1}};
    error cause;
    if (!model_files_map(options->model, &l->files, err) || !start_threads(l, err)) {
        load_end(l);
        return false;
    }
    if (options->cache && !packed_file_open(&l->packed, options->model, &cause)) {
        warn(l, &cause, "going on without it");
    }
    return true;
}

/* Loading goes over all bytes once in each of its phases: digest, then packing, and where the packed weights
 * are to be kept their digest and writing. `done` of `total` bytes of this phase. */
static bool advance(load *l, uint64_t done, uint64_t total, error *err) {
    double part = total == 0 ? 0 : (double)done / (double)total;
    uint32_t percent = (uint32_t)(100 * ((double)l->phase + part) / l->phases);
    if (l->progress == NULL || (percent <= l->percent && l->told)) {
        return true;
    }
    l->told = true;
    l->percent = percent;
    return l->progress(l->context, percent, err);
}

static bool digest_part(load *l, hash *h, slice file, uint8_t digest[HASH_SIZE], error *err) {
    for (size_t done = 0; done < file.length; done += DIGEST_PART) {
        slice part = slice_part(file, done, DIGEST_PART);
        if (!advance(l, l->done, l->files.size, err)) {
            return false;
        }
        hash_update(h, part);
        file_drop(part);
        l->done += part.length;
    }
    return hash_finish(h, digest, err);
}

/* The SHA-256 of the only file, or of the digests of the parts. */
static bool compute_digest(load *l, uint8_t digest[ENGINE_DIGEST_SIZE], error *err) {
    uint8_t digests[GGUF_PARTS_MAX][HASH_SIZE];
    hash *h = hash_new(err);
    bool good = h != NULL;
    for (size_t i = 0; good && i < l->files.count; i++) {
        good = digest_part(l, h, l->files.parts[i], digests[i], err);
    }
    hash_free(h);
    if (good && l->files.count > 1) {
        return hash_sha256(slice_of(digests, l->files.count * HASH_SIZE), digest, err);
    }
    memcpy(digest, digests[0], HASH_SIZE);
    return good;
}

static bool is_wanted(const load *l, const uint8_t digest[ENGINE_DIGEST_SIZE], error *err) {
    char found[HASH_HEX_SIZE];
    char wanted[HASH_HEX_SIZE];
    if (l->options.digest == NULL || memcmp(l->options.digest, digest, ENGINE_DIGEST_SIZE) == 0) {
        return true;
    }
    hex_encode(slice_of(digest, ENGINE_DIGEST_SIZE), found);
    hex_encode(slice_of(l->options.digest, ENGINE_DIGEST_SIZE), wanted);
    return error_set(err, ERROR_CONFLICT, "%s is another model: its digest is %s, not %s", l->options.model,
                     found, wanted);
}

static void on_progress(void *context, uint64_t done, uint64_t total) {
    load *l = context;
    if (!l->stopped) {
        l->stopped = !advance(l, done, total, &l->stop);
    }
}

static void on_used(void *context, slice part) {
    (void)context;
    file_drop(part);
}

static engine_model *open_model(load *l, const uint8_t digest[ENGINE_DIGEST_SIZE], slice packed, error *err) {
    const load_options *o = &l->options;
    engine_options options = {.context = (uint32_t)o->context,
                              .slots = (uint32_t)o->slots,
                              .memory_limit = o->memory_mib << 20,
                              .batch = (uint32_t)o->batch,
                              .threads = l->threads,
                              .kernels = o->kernels,
                              .packed = packed,
                              .progress = on_progress,
                              .used = on_used,
                              .context_of_calls = l};
    return engine_open(l->files.parts, l->files.count, digest, &options, err);
}

/* Of another model, damaged, cut off: then it is made anew. */
static engine_model *open_packed(load *l, const uint8_t digest[ENGINE_DIGEST_SIZE]) {
    error cause;
    if (l->packed.content.length == 0) {
        return NULL;
    }
    engine_model *model = open_model(l, digest, l->packed.content, &cause);
    if (model == NULL) {
        warn(l, &cause, "packing the model again");
    } else {
        packed_file_keep(&l->packed);
    }
    return model;
}

static void keep_packed(load *l, engine_model *model) {
    error cause;
    slice pieces[2];
    l->phase = PHASE_HASHING;
    bool good = engine_packed(model, pieces, &cause);
    l->phase = PHASE_WRITING;
    good = good && packed_file_write(&l->packed, pieces, on_progress, l, &cause);
    if (!good) {
        warn(l, &cause, "going on without it");
    }
}

static engine_model *open_and_keep(load *l, const uint8_t digest[ENGINE_DIGEST_SIZE], error *err) {
    engine_model *model = open_packed(l, digest);
    if (model != NULL) {
        return model;
    }
    model = open_model(l, digest, (slice){NULL, 0}, err);
    if (model == NULL) {
        error_context(err, "%s", l->options.model);
    } else if (l->packed.may_write) {
        keep_packed(l, model);
    }
    return model;
}

engine_model *load_model(load *l, error *err) {
    uint8_t digest[ENGINE_DIGEST_SIZE];
    l->phases = l->packed.may_write ? PHASES : PHASE_HASHING;
    if (!compute_digest(l, digest, err) || !is_wanted(l, digest, err)) {
        return NULL;
    }
    l->phase = PHASE_OPENING;
    engine_model *model = open_and_keep(l, digest, err);
    model_files_unmap(&l->files);
    l->phase = l->phases;
    if (model != NULL && (l->stopped || !advance(l, 0, 0, &l->stop))) {
        *err = l->stop;
        engine_close(model);
        model = NULL;
    }
    return model;
}

void load_end(load *l) {
    packed_file_close(&l->packed);
    engine_threads_free(l->threads);
    model_files_unmap(&l->files);
    *l = (load){.packed = {.descriptor = -1}};
}

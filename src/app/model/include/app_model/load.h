#ifndef APP_MODEL_LOAD_H
#define APP_MODEL_LOAD_H

#include "app_model/model_files.h"
#include "app_model/packed_file.h"
#include "engine/engine.h"

/* Loading a model in two steps: what needs rights, then, in the sandbox, all that looks at what a file holds.
 */
typedef struct load_options {
    const char *model;
    uint64_t threads; /* at most, and 0: one per core of this process; in load->options: what there are */
    uint64_t slots;
    uint64_t context;
    uint64_t memory_mib;
    uint64_t batch;
    const char *kernels;   /* or NULL */
    bool cache;            /* keep the packed weights beside the model */
    const char *program;   /* named before what is told on standard error; NULL: "cellule engine" */
    const uint8_t *digest; /* ENGINE_DIGEST_SIZE bytes: the only model that is wanted; NULL: any */
} load_options;

typedef struct load {
    load_options options;
    model_files files;
    engine_threads *threads;
    packed_file packed;
    /* Told from 0 to 100, never less than before; false with `err` filled ends the loading. May be NULL. */
    bool (*progress)(void *context, uint32_t percent, error *err);
    void *context;
    uint32_t phase; /* of `phases`, see load.c */
    uint32_t phases;
    uint64_t done; /* bytes of the files that are digested */
    uint32_t percent;
    bool told;
    bool stopped;
    error stop;
} load;

/* Maps the files, opens the cache, starts the threads; load_end is due once this has succeeded. That the
 * cache can't be used is told on standard error and no failure. */
MUST_CHECK bool load_begin(load *l, const load_options *options, error *err);
/* The caller closes the model before load_end. The files are unmapped. ERROR_CONFLICT: another model than the
 * one that is wanted. */
MUST_CHECK engine_model *load_model(load *l, error *err);
void load_end(load *l);

#endif

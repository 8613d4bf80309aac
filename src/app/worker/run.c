#include "agent.h"

#include "base/log.h"
#include "base/memory.h"
#include "cheat.h"
#include "codec/json.h"
#include "commands.h"
#include "confine.h"
#include "crypto/key_file.h"
#include "crypto/start.h"
#include "engine_process.h"
#include "machine.h"
#include "net/egress.h"
#include "options/options.h"
#include "os/file.h"
#include "os/random.h"
#include "rekey.h"
#include "runtime.h"
#include "worker_job.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SCRATCH_LIMIT = 8 * 1024 * 1024, MEMORY_MIB_MAX = 1 << 20, ENGINE_SLOTS = 2, WIPE_MS = 3000 };

typedef struct run_options {
    const char *state;
    const char *model;
    const char *name;
    const char *runtime; /* NULL: the model is a file for the engine */
    const char *runtime_key_file;
    const char *runtime_ca;
    bool is_public;
    bool unconfined;
    const char *profile;
    const char *release_check;
    const char *release_keys;
    const char *pool_release;
    const char *passphrase_file;
    const char *log_level;
    bool log_json;
    uint64_t slots;
    uint64_t context;
    uint64_t threads;
    uint64_t memory_mib;
    const char *kernels;
    bool cache;
    uint64_t engine_timeout_ms;
    const char *cheat; /* only in test builds */
} run_options;

void agent_check_stopped(agent *a) {
    if (a->stopping && a->job_count == 0 && !a->wiping) {
        link_close(a, PROTO_CLOSE_GOING_AWAY, "the worker is stopping");
        ev_loop_stop(a->loop);
    }
}

/* The engine is killed in any case: by now it has nothing to tell, or hangs. */
static void end_wiping(agent *a, const char *outcome) {
    if (a->wiping) {
        a->wiping = false;
        ev_timer_stop(&a->wipe_timer);
        log_info("the engine's memory", LOG_TEXT("is", outcome));
        agent_check_stopped(a);
    }
}

static void wiping_takes_too_long(void *context) {
    end_wiping(context, "given back unwiped: the engine is killed");
}

void agent_end_revoked(agent *a) {
    const pipe_message wipe = {.type = PIPE_WIPE};
    bool again = a->wiping;
    a->exit_status = 1;
    a->stopping = true;
    a->wiping = a->wiping || (a->engine_ready && backend_send(a->engine, &wipe));
    if (a->wiping && !again) {
        ev_timer_start(a->loop, &a->wipe_timer, WIPE_MS);
    }
    worker_job_drop_all(a);
    agent_check_stopped(a);
}

/* SIGTERM, SIGINT: no new jobs, those under way end; a second signal stops at once. */
static void terminate(void *context) {
    agent *a = context;
    if (a->stopping) {
        ev_loop_stop(a->loop);
        return;
    }
    a->stopping = true;
    agent_beat(a);
    agent_check_stopped(a);
}

/* Vectors that no message holds are none. */
static uint32_t dimension_of(const pipe_ready *ready) {
    return ready->can_embed && ready->width <= PROTO_DIMENSION_MAX ? ready->width : 0;
}

static bool is_as_told(const agent *a, const pipe_ready *ready) {
    return a->can_generate == ready->can_generate && a->dimension == dimension_of(ready) &&
           a->context == ready->context && a->slots == ready->slots &&
           memcmp(a->model_digest, ready->digest, sizeof a->model_digest) == 0 &&
           slice_equal_text(ready->profile, a->profile);
}

static void engine_is_ready(agent *a, const pipe_ready *ready) {
    a->engine_ready = true;
    if (!is_as_told(a, ready)) {
        link_close(a, PROTO_CLOSE_GOING_AWAY, "the worker has another model now");
    }
    a->context = ready->context;
    a->slots = ready->slots;
    a->vocabulary = ready->vocabulary;
    a->can_generate = ready->can_generate;
    a->dimension = dimension_of(ready);
    memcpy(a->model_digest, ready->digest, sizeof a->model_digest);
    snprintf(a->profile, sizeof a->profile, "%.*s", SLICE_FORMAT(ready->profile));
    log_info("model loaded", LOG_TEXT("model", a->model_name), LOG_U64("context", a->context),
             LOG_U64("slots", a->slots));
    if (!a->can_generate && a->dimension == 0) {
        log_error("the model neither generates text nor computes embeddings of at most 8192 values; "
                  "give another with --model");
        a->exit_status = 1;
        a->stopping = true;
        agent_check_stopped(a);
        return;
    }
    agent_beat(a);
    link_connect(a);
}

static bool is_zero(const uint8_t *bytes, size_t length) {
    uint8_t sum = 0;
    for (size_t i = 0; i < length; i++) {
        sum |= bytes[i];
    }
    return sum == 0;
}

static void engine_failed(agent *a, const pipe_message *message) {
    if (!is_zero(message->job, sizeof message->job)) {
        worker_job_fail(a, message->job, &message->fail);
        return;
    }
    log_error("the engine can't go on", LOG_SLICE("reason", message->fail.text));
    if (!message->fail.retryable && !a->engine_ready) {
        a->exit_status = 1;
        a->stopping = true;
        agent_check_stopped(a);
    }
}

static void on_engine_message(void *context, const pipe_message *message) {
    agent *a = context;
    switch (message->type) {
    case PIPE_READY:
        engine_is_ready(a, &message->ready);
        return;
    case PIPE_LOADING:
        log_debug("loading", LOG_U64("percent", message->percent));
        return;
    case PIPE_DELTA:
        generate_job_delta(a, message->job, &message->delta);
        return;
    case PIPE_DONE:
        generate_job_done(a, message->job, &message->done);
        return;
    case PIPE_SCORED:
        score_job_scored(a, message->job, &message->scored);
        return;
    case PIPE_EMBEDDED:
        embed_job_embedded(a, message->job, &message->embedded);
        return;
    case PIPE_FAIL:
        engine_failed(a, message);
        return;
    case PIPE_WIPED:
        end_wiping(a, "wiped");
        return;
    default:
        log_error("the engine sent a message that only the agent sends");
    }
}

static void on_engine_lost(void *context, const char *reason) {
    agent *a = context;
    a->engine_ready = false;
    worker_job_fail_all(a, reason);
    agent_beat(a);
    end_wiping(a, "given back unwiped: the engine is lost");
}

/* "models/demo.gguf" is served as "demo", a runtime's model under the runtime's name for it. */
static bool name_model(agent *a, const run_options *options, error *err) {
    const char *slash = strrchr(options->model, '/');
    const char *base = slash == NULL || options->runtime != NULL ? options->model : slash + 1;
    size_t length = strlen(base);
    if (options->runtime == NULL && length > 5 && strcmp(base + length - 5, ".gguf") == 0) {
        length -= 5;
    }
    slice name = options->name == NULL ? slice_of(base, length) : slice_of_text(options->name);
    if (name.length == 0 || name.length > PROTO_NAME_MAX || !slice_is_utf8(name)) {
        return error_set(err, ERROR_INVALID, "a model's name is 1 to %d bytes of UTF-8; give one with --name",
                         PROTO_NAME_MAX);
    }
    memcpy(a->model_name, name.data, name.length);
    return true;
}

/* Its own program, before the network is there. */
static bool check_release(agent *a, const run_options *o, error *err) {
    release_check check = {
        .policy = o->release_check, .keys_file = o->release_keys, .state_folder = o->state};
    return (release_acceptance_parse(slice_of_text(o->pool_release), &a->pool_releases, err) ||
            error_context(err, "--pool-release")) &&
           release_check_self(&check, &a->release, err);
}

typedef struct engine_plan {
    ev_loop *loop;
    const run_options *options;
} engine_plan;

/* Its pool and its runtime, and nobody else. */
static bool name_egress(const agent *a, const run_options *options, error *err) {
    net_egress_begin("give --public if that is meant");
    return net_egress_allow_host(slice_of_text(a->home.host), a->home.port, options->is_public, err) &&
           (options->runtime == NULL || net_egress_allow_url(options->runtime, options->is_public, err) ||
            error_context(err, "--runtime"));
}

/* `model` NULL: the one that is enrolled. */
static backend *start_engine(void *context, const char *model, const backend_handlers *handlers,
                             void *handlers_context, error *err) {
    const engine_plan *plan = context;
    const run_options *o = plan->options;
    engine_process_options engine = {.model = model == NULL ? o->model : model,
                                     .slots = o->slots == 0 ? ENGINE_SLOTS : (uint32_t)o->slots,
                                     .context = (uint32_t)o->context,
                                     .threads = (uint32_t)o->threads,
                                     .memory_mib = (uint32_t)o->memory_mib,
                                     .kernels = o->kernels,
                                     .cache = o->cache,
                                     .hung_ms = (uint32_t)o->engine_timeout_ms};
    return engine_process_new(plan->loop, &engine, handlers, handlers_context, err);
}

static backend *start_backend(agent *a, engine_plan *plan, error *err) {
    const run_options *options = plan->options;
    static const backend_handlers handlers = {.on_message = on_engine_message, .on_lost = on_engine_lost};
    if (options->runtime != NULL) {
        runtime_options runtime = {.url = options->runtime,
                                   .model = options->model,
                                   .name = options->profile,
                                   .key_file = options->runtime_key_file,
                                   .ca_file = options->runtime_ca,
                                   .slots = (uint32_t)options->slots,
                                   .context = (uint32_t)options->context,
                                   .silent_ms = (uint32_t)options->engine_timeout_ms};
        return runtime_new(a->loop, &runtime, &handlers, a, err);
    }
    plan->loop = a->loop;
#ifdef CELLULE_CHEAT
    if (options->cheat != NULL) {
        return cheat_new(a->loop, options->cheat, start_engine, plan, &handlers, a, err);
    }
#endif
    return start_engine(plan, NULL, &handlers, a, err);
}

static bool agent_start(agent *a, engine_plan *plan, error *err) {
    const run_options *options = plan->options;
    uint64_t seed = 0;
    net_config config = net_config_default();
    a->state_folder = options->state;
    list_init(&a->jobs);
    link_init(a);
    ev_timer_init(&a->wipe_timer, wiping_takes_too_long, a);
    if (options->runtime == NULL && !file_exists(options->model)) {
        return error_set(err, ERROR_NOT_FOUND, "there is no model file %s; give one with --model",
                         options->model);
    }
    if (!random_bytes(&seed, sizeof seed, err)) {
        return false;
    }
    json_start(seed);
    if (!worker_home_load(options->state, &a->home, err) || !name_egress(a, options, err) ||
        !link_keys_load(a, err) || !link_log_load(a, err) || !host_describe(&a->host, err) ||
        !machine_identify(MACHINE_ID_PATH, a->home.pool_id, a->machine, err) ||
        !check_release(a, options, err) || !name_model(a, options, err)) {
        return false;
    }
    a->scratch = arena_new(SCRATCH_LIMIT);
    a->loop = a->scratch == NULL ? NULL : ev_loop_new(err);
    a->net = a->loop == NULL ? NULL : net_new(a->loop, &config, err);
    a->tls =
        a->net == NULL
            ? NULL
            : net_tls_client_new(&(net_tls_client_options){.ca_pem = buffer_slice(&a->home.ca_pem)}, err);
    if (a->tls == NULL) {
        return a->scratch == NULL ? error_memory(err) : false;
    }
    a->engine = start_backend(a, plan, err);
    return a->engine != NULL;
}

static void agent_stop(agent *a) {
    if (a->loop != NULL) {
        a->stopping = true;
        backend_free(a->engine);
        a->engine = NULL;
        a->engine_ready = false;
        certificate_stop(a);
        net_free(a->net);
        worker_job_drop_all(a);
        ev_timer_stop(&a->connect_timer);
        ev_timer_stop(&a->wipe_timer);
        net_tls_free(a->tls);
        ev_loop_free(a->loop);
    }
    arena_free(a->scratch);
    rekey_free(a);
    worker_home_free(&a->home);
    key_watch_free(&a->keys);
    log_watch_free(&a->log);
    release_status_free(&a->release);
}

static bool confine(const run_options *options, error *err) {
    if (options->unconfined) {
        log_warning("this worker keeps the rights of its user, as --unconfined asks");
        return true;
    }
    return worker_confine(options->state, options->runtime == NULL ? options->model : NULL, options->cache,
                          err);
}

/* All is open; threads begin behind the walls. */
static bool agent_serve(agent *a, const run_options *options, error *err) {
    ev_signal *stop = ev_signal_new(a->loop, SIGTERM, terminate, a, err);
    ev_signal *interrupt = stop == NULL ? NULL : ev_signal_new(a->loop, SIGINT, terminate, a, err);
    bool ready = interrupt != NULL && confine(options, err) && log_start(err);
    if (ready) {
        ev_loop_run(a->loop);
    }
    ev_signal_free(stop);
    ev_signal_free(interrupt);
    return ready;
}

/* An option that would do nothing is one that somebody misunderstood. */
static bool check_options(const run_options *o, error *err) {
    if (o->runtime == NULL && (o->runtime_key_file != NULL || o->runtime_ca != NULL || o->profile != NULL)) {
        return error_set(err, ERROR_INVALID,
                         "--runtime-key-file, --runtime-ca and --profile go with --runtime");
    }
    if (o->runtime != NULL && (o->threads > 0 || o->memory_mib > 0 || o->kernels != NULL || o->cache)) {
        return error_set(err, ERROR_INVALID,
                         "--threads, --memory, --kernels and --cache are the engine's, not --runtime's");
    }
    return true;
}

static int run_worker(const run_options *options) {
    error err = {0};
    int status = 1;
    log_level level = LOG_INFO;
    engine_plan plan = {.options = options};
    memory_wipe_freed(); /* prompts go through here */
    agent *a = memory_allocate_zeroed(1, sizeof *a);
    if (a == NULL) {
        error_memory(&err);
        return options_fail("cellule worker run", &err);
    }
    if (!log_level_parse(options->log_level, &level)) {
        error_set(&err, ERROR_INVALID, "--log-level is debug, info, warning or error");
    } else {
        log_configure(level, options->log_json);
        if (check_options(options, &err) && crypto_start(&err) &&
            key_file_use_from(options->passphrase_file, &err) && agent_start(a, &plan, &err) &&
            agent_serve(a, options, &err)) {
            status = a->exit_status;
        }
    }
    if (err.code != ERROR_NONE) {
        options_fail("cellule worker run", &err);
    }
    agent_stop(a);
    memory_free(a);
    log_stop();
    key_file_forget();
    crypto_stop();
    if (!options->unconfined) {
        (void)fflush(NULL);
        _exit(status); /* not by way of exit handlers, which may want rights that are gone */
    }
    return status;
}

int worker_run_main(int argc, char **argv) {
    run_options options = {.state = worker_home_default(),
                           .release_check = "auto",
                           .log_level = "info",
                           .engine_timeout_ms = 20000};
    const option_row rows[] = {
        {"model", OPTION_REQUIRED, &options.model, "FILE",
         "the model: a GGUF file, or the runtime's name for it", 0, 0},
        {"name", OPTION_TEXT, &options.name, "NAME", "the model's name for users; else the file's name", 0,
         0},
        {"runtime", OPTION_TEXT, &options.runtime, "URL",
         "an OpenAI-compatible server that computes instead of the engine", 0, 0},
        {"runtime-key-file", OPTION_TEXT, &options.runtime_key_file, "FILE", "the key that it asks for", 0,
         0},
        {"runtime-ca", OPTION_TEXT, &options.runtime_ca, "FILE", "its CA (PEM); else the system's", 0, 0},
        {"public", OPTION_FLAG, &options.is_public, NULL,
         "the pool, or the runtime, may be at a public address", 0, 0},
        {"unconfined", OPTION_FLAG, &options.unconfined, NULL,
         "keep the rights of the user who runs it: for debuggers", 0, 0},
        {"profile", OPTION_TEXT, &options.profile, "NAME",
         "its name in receipts, runtime-NAME; else as it says", 0, 0},
        {"state", OPTION_TEXT, &options.state, "DIR", "folder that `worker join` made", 0, 0},
        {"slots", OPTION_U64, &options.slots, "N", "answers computed at once; 0: 2, or as the runtime says",
         0, ENGINE_SLOTS_MAX},
        {"context", OPTION_U64, &options.context, "N",
         "tokens of a conversation; 0: as the model, or the runtime, says", 0, ENGINE_CONTEXT_MAX},
        {"threads", OPTION_U64, &options.threads, "N", "that compute; 0: one per core", 0,
         ENGINE_THREADS_MAX},
        {"memory", OPTION_U64, &options.memory_mib, "MIB",
         "to compute with, beside the model; 0: as is usual", 0, MEMORY_MIB_MAX},
        {"kernels", OPTION_TEXT, &options.kernels, "NAME",
         "the same bits by another form of the loops; else the fastest", 0, 0},
        {"cache", OPTION_FLAG, &options.cache, NULL, "keep the model's weights, packed, in a file beside it",
         0, 0},
        {"engine-timeout-ms", OPTION_U64, &options.engine_timeout_ms, "N",
         "an engine silent for this long is killed and started again", 100, 3600000},
        {"release-check", OPTION_TEXT, &options.release_check, "POLICY",
         "if this isn't the signed release: refuse, warn or off; auto: off for a development build", 0, 0},
        {"release-keys", OPTION_TEXT, &options.release_keys, "FILE",
         "the maintainers' keys, for a development build", 0, 0},
        {"pool-release", OPTION_TEXT, &options.pool_release, "PROGRAMS",
         "that the pool may run: SHA-256, same, signed, signed>=1.2.3; else any", 0, 0},
        OPTION_PASSPHRASE_ROW(&options.passphrase_file),
        CHEAT_OPTION(&options.cheat){"log-level", OPTION_TEXT, &options.log_level, "LEVEL",
                                     "debug, info, warning or error", 0, 0},
        {"log-json", OPTION_FLAG, &options.log_json, NULL, "log JSON lines", 0, 0},
    };
    const option_table table = {
        .usage = "cellule worker run --model FILE [options]",
        .summary =
            "Lends this machine to its pool: loads the model in a child process without network, or asks\n"
            "the server at --runtime; connects, and answers until SIGTERM, which lets answers under way end.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    return run_worker(&options);
}

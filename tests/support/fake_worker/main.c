#include "fake.h"

#include "base/memory.h"
#include "codec/json.h"
#include "crypto/start.h"
#include "net/egress.h"
#include "options/options.h"
#include "os/random.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

enum { SCRATCH_LIMIT = 8 * 1024 * 1024 };

static const struct {
    const char *name;
    const char *help;
} behaviours[] = {
#define X(name, text, help) {text, help},
    BEHAVIOURS(X)
#undef X
};

static bool find_behaviour(const char *name, behaviour *found) {
    for (size_t i = 0; i < sizeof behaviours / sizeof behaviours[0]; i++) {
        if (strcmp(behaviours[i].name, name) == 0) {
            *found = (behaviour)i;
            return true;
        }
    }
    fprintf(stderr, "fake_worker: --behave is one of:\n");
    for (size_t i = 0; i < sizeof behaviours / sizeof behaviours[0]; i++) {
        fprintf(stderr, "  %-18s %s\n", behaviours[i].name, behaviours[i].help);
    }
    return false;
}

static const struct {
    const char *name;
    const char *help;
} check_behaviours[] = {
#define X(name, text, help) {text, help},
    CHECK_BEHAVIOURS(X)
#undef X
};

static bool find_check_behaviour(const char *name, check_behaviour *found) {
    for (size_t i = 0; i < sizeof check_behaviours / sizeof check_behaviours[0]; i++) {
        if (strcmp(check_behaviours[i].name, name) == 0) {
            *found = (check_behaviour)i;
            return true;
        }
    }
    fprintf(stderr, "fake_worker: --checks is one of:\n");
    for (size_t i = 0; i < sizeof check_behaviours / sizeof check_behaviours[0]; i++) {
        fprintf(stderr, "  %-18s %s\n", check_behaviours[i].name, check_behaviours[i].help);
    }
    return false;
}

static void allow_many_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void terminate(void *context) {
    fake *f = context;
    f->stopping = true;
    ev_loop_stop(f->loop);
}

static bool fake_start(fake *f, error *err) {
    uint64_t seed = 0;
    net_config config = net_config_default();
    if (!random_bytes(&seed, sizeof seed, err) || !random_bytes(&f->noise, sizeof f->noise, err)) {
        return false;
    }
    json_start(seed);
    if (!hex_decode(slice_of_text(f->options.digest), f->digest, sizeof f->digest)) {
        return error_set(err, ERROR_INVALID, "--digest is 64 lower-case hex digits");
    }
    if (f->options.machine != NULL &&
        !hex_decode(slice_of_text(f->options.machine), f->machine, sizeof f->machine)) {
        return error_set(err, ERROR_INVALID, "--machine is 64 lower-case hex digits");
    }
    f->noise = f->options.noise > 0 ? f->options.noise : f->noise;
    if (!fake_identities_load(f, err)) {
        return false;
    }
    f->output = buffer_make(PROTO_MESSAGE_MAX);
    f->scratch = arena_new(SCRATCH_LIMIT);
    f->sessions = memory_allocate_zeroed((size_t)f->options.count, sizeof *f->sessions);
    if (f->scratch == NULL || f->sessions == NULL) {
        return error_memory(err);
    }
    f->loop = ev_loop_new(err);
    f->net = f->loop == NULL ? NULL : net_new(f->loop, &config, err);
    f->tls =
        f->net == NULL
            ? NULL
            : net_tls_client_new(&(net_tls_client_options){.ca_pem = buffer_slice(&f->home.ca_pem)}, err);
    if (f->tls == NULL) {
        return false;
    }
    f->since_ms = ev_now_ms(f->loop);
    for (size_t i = 0; i < f->options.count; i++) {
        fake_session_start(f, i);
    }
    return true;
}

static void fake_stop(fake *f) {
    f->stopping = true;
    net_free(f->net);
    for (size_t i = 0; f->sessions != NULL && i < f->options.count; i++) {
        ev_timer_stop(&f->sessions[i].connect_timer);
    }
    net_tls_free(f->tls);
    ev_loop_free(f->loop);
    arena_free(f->scratch);
    buffer_free(&f->output);
    memory_free(f->sessions);
    fake_identities_free(f);
}

static int fake_run(fake *f) {
    error err = {0};
    allow_many_descriptors();
    bool ready =
        crypto_start(&err) && net_egress_allow(SLICE_LITERAL("127.0.0.0/8"), &err) && fake_start(f, &err);
    ev_signal *stop = ready ? ev_signal_new(f->loop, SIGTERM, terminate, f, &err) : NULL;
    if (stop != NULL) {
        ev_loop_run(f->loop);
        fake_report_all(f, "stopped");
    }
    ev_signal_free(stop);
    fake_stop(f);
    crypto_stop();
    return stop != NULL ? 0 : options_fail("fake_worker", &err);
}

int main(int argc, char **argv) {
    static fake f;
    const char *behave = "honest";
    const char *checks = "honest";
    fake_options *o = &f.options;
    *o = (fake_options){.model = "demo",
                        .profile = "exact-fake",
                        .digest = "fafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafa",
                        .count = 1,
                        .slots = 2,
                        .share = 100,
                        .reply_bytes = 650,
                        .tokens = 130,
                        .context = 1048576};
    const option_row rows[] = {
        {"state", OPTION_REQUIRED, &o->state, "DIR",
         "folder with the keys; as `cellule worker join` makes it", 0, 0},
        {"join", OPTION_TEXT, &o->join, "FILE",
         "first enrol --count workers with these join tokens, one a line", 0, 0},
        {"count", OPTION_U64, &o->count, "N", "sessions, each a worker of its own", 1, FAKE_COUNT_MAX},
        {"model", OPTION_TEXT, &o->model, "NAME", "the model offered", 0, 0},
        {"profile", OPTION_TEXT, &o->profile, "NAME", "its engine profile; exact-… promises the same bits", 0,
         0},
        {"digest", OPTION_TEXT, &o->digest, "HEX", "its digest", 0, 0},
        {"slots", OPTION_U64, &o->slots, "N", "answers at once, of each session", 1, PROTO_SLOTS_MAX},
        {"reply-bytes", OPTION_U64, &o->reply_bytes, "N", "bytes of an answer", 0, 16777216},
        {"tokens", OPTION_U64, &o->tokens, "N", "tokens of an answer; max_tokens cuts it", 1, 1048576},
        {"context", OPTION_U64, &o->context, "N", "tokens that prompt and answer may have, as it says", 1,
         1048576},
        {"dimension", OPTION_U64, &o->dimension, "N",
         "it embeds texts, as vectors of so many values, and generates nothing; 0: the other way round", 0,
         PROTO_DIMENSION_MAX},
        {"both", OPTION_FLAG, &o->both, NULL, "with --dimension: it generates, too", 0, 0},
        {"events-per-second", OPTION_U64, &o->events_per_second, "N",
         "a delta of one token this often; 0: all at once", 0, 100000},
        {"delay-ms", OPTION_U64, &o->delay_ms, "N", "before the first token", 0, 600000},
        {"spread-ms", OPTION_U64, &o->spread_ms, "N", "first connections are spread over this time", 0,
         600000},
        {"behave", OPTION_TEXT, &behave, "NAME", "the rule to break; an unknown name lists them", 0, 0},
        {"checks", OPTION_TEXT, &checks, "NAME", "how it checks others' answers; an unknown name lists them",
         0, 0},
        {"share", OPTION_U64, &o->share, "PERCENT",
         "of its jobs in which --checks, different-text and other-commitment apply", 0, 100},
        {"noise", OPTION_U64, &o->noise, "N",
         "those with the same answer alike with different-text; 0: its own", 0, UINT32_MAX},
        {"machine", OPTION_TEXT, &o->machine, "HEX", "the machine's id, 64 hex digits; else none", 0, 0},
        {"says", OPTION_TEXT, &o->says, "TEXT", "what the text of its answers begins with", 0, 0},
        {"echoes", OPTION_FLAG, &o->echoes, NULL, "the text of its answers begins with what it was asked", 0,
         0},
        {"once", OPTION_FLAG, &o->once, NULL, "don't dial again; end when all sessions have ended", 0, 0},
        {"timestamps", OPTION_FLAG, &o->timestamps, NULL, "the text of each delta is the time of its sending",
         0, 0},
        {"quiet", OPTION_FLAG, &o->quiet, NULL, "tell only when all sessions serve, and the end", 0, 0},
    };
    const option_table table = {.usage = "fake_worker --state DIR [options]",
                                .summary =
                                    "A worker without a model, for tests and benchmarks: real protocol, "
                                    "made-up answers.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    if (!find_behaviour(behave, &o->behave) || !find_check_behaviour(checks, &o->checks)) {
        return OPTIONS_WRONG_USAGE;
    }
    return fake_run(&f);
}

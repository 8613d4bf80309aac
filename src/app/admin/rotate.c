#include "call.h"

#include "os/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* `cellule admin worker rotate`: other keys for workers, without losing a question. */

enum { LOOK_EACH_MS = 500, WAIT_SECONDS = 60 };

#define ROTATE_PATH "/v1/admin/workers/rotate"

static void print_rotation(const json_value *answer) {
    uint64_t workers = admin_number(answer, "workers");
    uint64_t done = admin_number(answer, "done");
    uint64_t away = admin_number(answer, "away");
    if (admin_number(answer, "epoch") == 0) {
        printf("no exchange of all workers' keys has begun: cellule admin worker rotate --all\n");
        return;
    }
    printf("%llu of %llu workers have a new key", (unsigned long long)done, (unsigned long long)workers);
    if (away > 0) {
        printf("; %llu are not connected and get theirs when they come", (unsigned long long)away);
    }
    if (done + away < workers) {
        printf("; %llu haven't answered yet", (unsigned long long)(workers - done - away));
    }
    printf("\n");
}

static bool is_over(const json_value *answer) {
    return admin_number(answer, "done") + admin_number(answer, "away") >= admin_number(answer, "workers");
}

/* Raises the epoch, then looks until all that are connected have answered, or the time is over. */
static bool rotate_and_look(api *a, uint64_t seconds, api_answer *answer, error *err) {
    uint64_t end = clock_monotonic_ms() + seconds * 1000;
    const struct timespec pause = {.tv_nsec = LOOK_EACH_MS * 1000000L};
    if (!api_call(a, "POST", ROTATE_PATH, SLICE_LITERAL("{\"all\":true}"), answer, err)) {
        return false;
    }
    while (!is_over(answer->json) && clock_monotonic_ms() < end) {
        json_free(answer->json);
        answer->json = NULL;
        nanosleep(&pause, NULL);
        if (!api_call(a, "GET", ROTATE_PATH, (slice){NULL, 0}, answer, err)) {
            return false;
        }
    }
    return true;
}

static int rotate_all(const admin_options *options, uint64_t seconds) {
    error err = {0};
    api_answer answer = {0};
    api *a = api_open(&options->pool, &err);
    bool done = a != NULL && rotate_and_look(a, seconds, &answer, &err);
    if (done) {
        if (options->json) {
            admin_print_json(answer.json);
        } else {
            print_rotation(answer.json);
        }
        done = is_over(answer.json) || error_set(&err, ERROR_LIMIT,
                                                 "not all have answered within %llu s; they are asked again "
                                                 "with each beat: cellule admin worker rotation",
                                                 (unsigned long long)seconds);
    }
    json_free(answer.json);
    api_close(a);
    return done ? 0 : options_fail("cellule admin worker rotate", &err);
}

static bool has_all(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--all") == 0) {
            return true;
        }
    }
    return false;
}

int admin_worker_rotate(int argc, char **argv) {
    admin_options options = {0};
    uint64_t seconds = WAIT_SECONDS;
    bool all = has_all(argc, argv);
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"all", OPTION_FLAG, &all, NULL, "every worker; those that are away when they come", 0, 0},
        {"wait", OPTION_U64, &seconds, "SECONDS", "for those that are connected, with --all", 0, 86400},
    };
    const option_table table = {
        .usage = "cellule admin worker rotate [options] --all | WORKER_ID",
        .summary =
            "Has workers exchange their keys. Their questions go on, and so do their standings; the old "
            "keys\nare revoked.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = !all};
    const char *word = NULL;
    char path[128];
    int status = 0;
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    if (all) {
        return rotate_all(&options, seconds);
    }
    if (!admin_word_is_plain("cellule admin worker rotate", word)) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "/v1/admin/workers/%.64s/rotate", word);
    admin_call call = {
        .program = "cellule admin worker rotate", .method = "POST", .path = path, .print = admin_print_done};
    return admin_run(&options, &call);
}

int admin_worker_rotation(int argc, char **argv) {
    static const admin_request rotation = {
        "rotation",     NULL, "Says how far the exchange of keys is.", "GET", ROTATE_PATH, "",
        print_rotation, NULL};
    return admin_run_request("cellule admin worker", &rotation, 1, argc, argv);
}

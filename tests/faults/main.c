#include "faults.h"
#include "scenarios.h"

#include "app_engine/engine_main.h"
#include "pool/pool.h"
#include "worker/worker.h"

#include <stdlib.h>

static int prepare_bench(void **state) {
    static bench b;
    b = (bench){0};
    *state = &b;
    return 0;
}

static int destroy_bench(void **state) {
    bench_destroy(*state);
    return 0;
}

#define X(name) cmocka_unit_test_setup_teardown(name, prepare_bench, destroy_bench),
static const struct CMUnitTest questions[] = {QUESTIONS(X)};
static const struct CMUnitTest proof[] = {PROOF(X)};
static const struct CMUnitTest runtimes[] = {RUNTIMES(X)};
static const struct CMUnitTest changes[] = {CHANGES(X)};
static const struct CMUnitTest sessions[] = {SESSIONS(X)};
static const struct CMUnitTest facts[] = {FACTS(X)};
static const struct CMUnitTest processes[] = {PROCESSES(X)};
#undef X

/* This program is also the pool, the worker and the engine that it tests; the engine meets no faults. */
static int run_verb(int argc, char **argv) {
    if (strcmp(argv[0], "engine") == 0) {
        return engine_main(argc, argv);
    }
    if (!fault_control_obey()) {
        return 126;
    }
    if (strcmp(argv[0], "check-rounds") == 0) {
        return check_rounds(argv[1]);
    }
    return strcmp(argv[0], "pool") == 0 ? pool_main(argc, argv) : worker_main(argc, argv);
}

int main(int argc, char **argv) {
    const char *group = argc < 2 ? "" : argv[1];
    cmocka_set_test_filter(getenv("CELLULE_FAULTS_ONLY")); /* a pattern */
    if (strcmp(group, "questions") == 0) {
        return cmocka_run_group_tests(questions, NULL, NULL);
    }
    if (strcmp(group, "proof") == 0) {
        return cmocka_run_group_tests(proof, NULL, NULL);
    }
    if (strcmp(group, "runtimes") == 0) {
        return cmocka_run_group_tests(runtimes, NULL, NULL);
    }
    if (strcmp(group, "changes") == 0) {
        return cmocka_run_group_tests(changes, NULL, NULL);
    }
    if (strcmp(group, "sessions") == 0) {
        return cmocka_run_group_tests(sessions, NULL, NULL);
    }
    if (strcmp(group, "facts") == 0) {
        return cmocka_run_group_tests(facts, NULL, NULL);
    }
    if (strcmp(group, "processes") == 0) {
        return cmocka_run_group_tests(processes, NULL, NULL);
    }
    return argc < 2 ? 2 : run_verb(argc - 1, argv + 1);
}

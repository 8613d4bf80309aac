#include "faults.h"
#include "scenarios.h"

#include "os/file.h"
#include "pool/pool.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Starting and stopping: the pool's checks and its start, `pool init`, `worker join`, a real worker at work.
 */

enum {
    POLL_MS = 5,
    START_MS = 20000,
    CHECK_POINTS = 400,
    START_POINTS = 20,
    LAST_POINTS = 20,
    INIT_POINTS = 25
};

/* So many points of `total`, from a start drawn from the seed. */
static uint64_t step_of(uint64_t total, uint64_t points) {
    return total / points + 1;
}

/* --- pool run --check, again and again in one process --- */

int check_rounds(const char *folder) {
    char *arguments[] = {"pool", "run", "--site", (char *)(uintptr_t)folder, "--check", NULL};
    fault_control *faults = fault_control_obeyed();
    uint64_t points = 0;
    uint64_t total = 0;
    for (int i = 0; i < 2; i++) { /* the first does what later ones needn't */
        fault_control_arm(faults, FAULT_MEMORY, INT64_MAX);
        optind = 1;
        if (pool_main(5, arguments) != 0) {
            return 3;
        }
        total = faults->points[FAULT_MEMORY].calls;
    }
    uint64_t step = step_of(total, CHECK_POINTS);
    for (uint64_t n = (uint64_t)getpid() % step; n < total; n += step) {
        fault_control_arm(faults, FAULT_MEMORY, (int64_t)n);
        optind = 1;
        int status = pool_main(5, arguments);
        bool reached = fault_control_disarm(faults, FAULT_MEMORY);
        points += reached;
        if (status != 0 && (status != 1 || !reached)) {
            fprintf(stderr, "check at allocation %" PRIu64 ": status %d\n", n, status);
            return 4;
        }
    }
    printf("checked: %" PRIu64 " of about %" PRIu64 " allocations failed in turn\n", points, total);
    return points > 0 ? 0 : 5;
}

static void show_points(const site *s) {
    buffer text = buffer_make(SIZE_MAX / 2);
    error err;
    if (file_read_all(s->log, &text, &err)) {
        size_t at = slice_find_slice(buffer_slice(&text), SLICE_LITERAL("checked: "));
        slice line = slice_after(buffer_slice(&text), at == SIZE_MAX ? buffer_length(&text) : at);
        line = slice_part(line, 0, slice_find(line, '\n'));
        printf("# %.*s\n", SLICE_FORMAT(line));
    }
    buffer_free(&text);
}

void a_site_is_checked(void **state) {
    bench *b = *state;
    bench_make(b);
    const char *const arguments[] = {"cellule", "check-rounds", b->site.folder, NULL};
    assert_int_equal(program_wait_for(program_start(arguments, b->site.log), 120000), 0);
    show_points(&b->site);
    bench_end(b);
}

/* --- the start of a pool, and of everything in its process --- */

/* Runs until it ends or serves; then it is told to end. */
static int run_until_served(bench *b, int64_t n) {
    static const char served[] = "event=serving";
    const char *const arguments[] = {"cellule", "pool", "run", "--site", b->site.folder, NULL};
    static const char dropped[] = "log lines dropped"; /* its word that it serves may be lost: no memory */
    size_t before = site_count_logged(&b->site, served) + site_count_logged(&b->site, dropped);
    int status = 0;
    fault_control_arm(b->faults, FAULT_MEMORY, n);
    program_count_leaks(false);
    pid_t pool = program_start(arguments, b->site.log);
    program_count_leaks(true);
    for (int waited = 0; waited < START_MS; waited += POLL_MS) {
        usleep(POLL_MS * 1000);
        if (waitpid(pool, &status, WNOHANG) == pool) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
        }
        if (site_count_logged(&b->site, served) + site_count_logged(&b->site, dropped) > before) {
            b->calls = b->faults->points[FAULT_MEMORY].calls;
            (void)kill(pool, SIGTERM);
            return program_wait(pool);
        }
    }
    (void)kill(pool, SIGKILL);
    (void)program_wait(pool);
    return -1;
}

static void expect_start_or_error(bench *b, uint64_t n, uint64_t *points) {
    b->at = n;
    int status = run_until_served(b, (int64_t)n);
    bool reached = fault_control_disarm(b->faults, FAULT_MEMORY);
    *points += reached;
    if (status != 0 && (status != 1 || !reached)) {
        fail_msg("status %d", status);
    }
}

void a_pool_starts(void **state) {
    bench *b = *state;
    uint64_t points = 0;
    bench_make(b);
    assert_int_equal(run_until_served(b, INT64_MAX), 0);
    uint64_t total = b->calls;
    uint64_t step = step_of(total, START_POINTS);
    for (uint64_t n = b->seed % step; n < total; n += step) {
        expect_start_or_error(b, n, &points);
    }
    for (uint64_t n = total - LAST_POINTS; n < total; n++) {
        expect_start_or_error(b, n, &points);
    }
    printf("# %" PRIu64 " of about %" PRIu64 " allocations failed in turn\n", points, total);
    b->worker_count = 0;
    site_serve(&b->site);
    bench_end(b);
}

/* --- pool init --- */

/* True if the fault came. Then there is no site, or all of it. */
static bool init_with_fault(bench *b, fault_point point, int64_t n) {
    char folder[128];
    char settings[160];
    snprintf(folder, sizeof folder, "%s/new", b->site.folder);
    const char *const arguments[] = {"cellule", "pool", "init", "--site", folder, "--json", NULL};
    const char *const check[] = {"cellule", "pool", "run", "--site", folder, "--check", NULL};
    fault_control_arm(b->faults, point, n);
    program_count_leaks(false);
    int status = program_wait(program_start(arguments, b->site.log));
    program_count_leaks(true);
    b->calls = b->faults->points[point].calls;
    bool reached = fault_control_disarm(b->faults, point);
    if (status != 0 && (status != 1 || !reached)) {
        fail_msg("pool init: status %d", status);
    }
    snprintf(settings, sizeof settings, "%s/pool.yaml", folder);
    assert_true(status != 0 || file_exists(settings));
    if (file_exists(settings)) {
        assert_int_equal(program_wait(program_start(check, b->site.log)), 0);
    }
    folder_remove(folder);
    return reached;
}

void a_site_is_made(void **state) {
    bench *b = *state;
    size_t points = 0;
    size_t writes = 0;
    bench_make(b);
    (void)init_with_fault(b, FAULT_MEMORY, INT64_MAX);
    uint64_t total = b->calls;
    uint64_t step = step_of(total, INIT_POINTS);
    for (uint64_t n = b->seed % step; n < total; n += step) {
        b->at = n;
        points += init_with_fault(b, FAULT_MEMORY, (int64_t)n);
    }
    while (init_with_fault(b, FAULT_WRITE, (int64_t)writes)) {
        writes++;
    }
    assert_true(writes > 0);
    printf("# %zu of about %" PRIu64 " allocations and %zu writes failed in turn\n", points, total, writes);
    bench_end(b);
}

/* --- worker join --- */

static bool join_with_fault(bench *b, fault_control *faults, fault_point point, int64_t n) {
    char folder[128];
    snprintf(folder, sizeof folder, "%s/machine", b->site.folder);
    reply_text(bench_ask(b, "POST", "/v1/admin/join-tokens", b->site.admin_key, "{\"owner\":\"test\"}", 201),
               "token", b->token, sizeof b->token);
    const char *const arguments[] = {"cellule", "worker", "join", "--state", folder, b->token, NULL};
    fault_control_arm(faults, point, n);
    program_count_leaks(false);
    int status = program_wait(program_start(arguments, b->site.log));
    program_count_leaks(true);
    b->calls = faults->points[point].calls;
    bool reached = fault_control_disarm(faults, point);
    if (status != 0 && (status != 1 || !reached)) {
        fail_msg("worker join: status %d", status);
    }
    if (status == 1) { /* with a new token the same folder does */
        reply_text(
            bench_ask(b, "POST", "/v1/admin/join-tokens", b->site.admin_key, "{\"owner\":\"test\"}", 201),
            "token", b->token, sizeof b->token);
        assert_int_equal(program_wait(program_start(arguments, b->site.log)), 0);
    }
    folder_remove(folder);
    return reached;
}

void a_machine_joins(void **state) {
    bench *b = *state;
    size_t points = 0;
    size_t writes = 0;
    fault_control *faults = fault_control_make();
    bench_make(b);
    site_serve(&b->site);
    fault_control_give(faults);
    (void)join_with_fault(b, faults, FAULT_MEMORY, INT64_MAX);
    uint64_t total = b->calls;
    uint64_t step = step_of(total, INIT_POINTS);
    for (uint64_t n = b->seed % step; n < total; n += step) {
        b->at = n;
        points += join_with_fault(b, faults, FAULT_MEMORY, (int64_t)n);
    }
    while (join_with_fault(b, faults, FAULT_WRITE, (int64_t)writes)) {
        writes++;
    }
    assert_true(writes > 0);
    printf("# %zu of about %" PRIu64 " allocations and %zu writes failed in turn\n", points, total, writes);
    bench_end(b);
}

/* --- a worker at work --- */

static void act_ask_agent(bench *b) {
    const reply *r = client_ask(&b->client, "POST", CHAT_PATH, b->site.admin_key, bench_question(b, true));
    b->job[0] = '\0';
    if (judge_stream(b, r) == OUTCOME_DONE) {
        snprintf(b->job, sizeof b->job, "%s", r->job);
    }
}

static void check_agent(bench *b) {
    int status = 0;
    if (waitpid(b->agent, &status, WNOHANG) != 0) {
        b->agent = 0;
        fail_msg("the worker has ended with status %d", status);
    }
    if (b->job[0] != '\0') {
        bench_expect_receipt(b, b->job);
    }
}

static void be_connected(bench *b) {
    assert_true(client_connect(&b->client));
}

static void start_agent(bench *b) {
    char folder[128];
    char model[512];
    snprintf(folder, sizeof folder, "%s/machine", b->site.folder);
    snprintf(model, sizeof model, "%s/demo/cellule-demo.gguf", getenv("CELLULE_SOURCE"));
    reply_text(bench_ask(b, "POST", "/v1/admin/join-tokens", b->site.admin_key, "{\"owner\":\"test\"}", 201),
               "token", b->token, sizeof b->token);
    const char *const join[] = {"cellule", "worker", "join", "--state", folder, b->token, NULL};
    const char *const run[] = {"cellule", "worker", "run",   "--unconfined", "--state", folder, "--model",
                               model,     "--name", "model", "--slots",      "2",       NULL};
    assert_int_equal(program_wait(program_start(join, b->site.log)), 0);
    b->agent = program_start(run, b->site.log);
    b->model = "model";
}

static bool has_agent(void *context) {
    const bench *b = context;
    return site_count_logged(&b->site, "worker connected") > 0;
}

void a_worker_answers(void **state) {
    static const scenario what = {be_connected, act_ask_agent, check_agent, 0, 40};
    bench *b = *state;
    fault_control *faults = fault_control_make();
    bench_make(b);
    site_serve(&b->site);
    fault_control_give(faults);
    start_agent(b);
    wire_run_until(&b->site.wire, has_agent, b);
    const reply *r = bench_ask(b, "POST", CHAT_PATH, b->site.admin_key, bench_question(b, false), 200);
    size_t at = slice_find_slice(buffer_slice(&r->body), SLICE_LITERAL("\"content\":\""));
    assert_true(at != SIZE_MAX);
    slice content = slice_after(buffer_slice(&r->body), at + 11);
    content = slice_part(content, 0, slice_find(content, '"'));
    snprintf(b->answer, sizeof b->answer, "%.*s", SLICE_FORMAT(content));
    b->faults = faults;
    bench_run_rounds(b, &what);
    pid_t agent = b->agent;
    b->agent = 0;
    (void)kill(agent, SIGTERM);
    assert_int_equal(program_wait(agent), 0);
    bench_end(b);
}

#include "app_engine/engine_main.h"

#include "unit.h"

#include "base/memory.h"
#include "crypto/hash.h"
#include "crypto/start.h"
#include "engine/pipe.h"
#include "os/file.h"
#include "os/host.h"
#include "os/random.h"
#include "serving.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The real child, over real pipes, with a small model in a temporary file. */
typedef struct child {
    pid_t pid;
    int to;
    int from;
    buffer received;
    arena *memory; /* of the last message */
    size_t shown;  /* bytes of `received` that the last message stands in */
} child;

enum { ANSWER_SECONDS = 60 };
static char model_path[] = "/tmp/cellule-engine-test-XXXXXX";
static model_file file;

static child start_with(const char *path, const char *slots, const char *option) {
    int in[2];
    int out[2];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    assert_true(fcntl(out[1], F_SETPIPE_SZ, 4096) >= 0); /* so that a child that isn't read soon waits */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const char *arguments[] = {"engine",    "--model", path,   "--slots", slots,
                                   "--threads", "3",       option, NULL};
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        for (int descriptor = 3; descriptor < 64; descriptor++) {
            close(descriptor);
        }
        _exit(engine_main(option == NULL ? 7 : 8, (char **)(uintptr_t)arguments));
    }
    close(in[0]);
    close(out[1]);
    child c = {pid, in[1], out[0], buffer_make(2 * PIPE_FRAME_MAX), arena_new(1 << 20), 0};
    assert_non_null(c.memory);
    return c;
}

static child start_on(const char *path, const char *slots) {
    return start_with(path, slots, NULL);
}

/* The next message; valid until the next call. */
static pipe_message next(child *c) {
    error err;
    pipe_message m;
    size_t taken = 0;
    arena_reset(c->memory);
    buffer_consume(&c->received, c->shown);
    for (;;) {
        if (!pipe_read(buffer_slice(&c->received), c->memory, &m, &taken, &err)) {
            fail_msg("%s", err.text);
        }
        if (taken > 0) {
            c->shown = taken;
            return m;
        }
        struct pollfd watched = {.fd = c->from, .events = POLLIN};
        assert_int_equal(poll(&watched, 1, ANSWER_SECONDS * 1000), 1);
        uint8_t *place = buffer_reserve(&c->received, 4096);
        ssize_t count = read(c->from, place, 4096);
        assert_true(count > 0);
        buffer_commit(&c->received, (size_t)count);
    }
}

static void send_bytes(child *c, slice bytes) {
    while (bytes.length > 0) {
        ssize_t count = write(c->to, bytes.data, bytes.length);
        assert_true(count > 0);
        bytes = slice_after(bytes, (size_t)count);
    }
}

/* In one write, so that the child reads them at once. */
static void send_messages(child *c, const pipe_message *messages, size_t count) {
    error err;
    buffer out = buffer_make(PIPE_FRAME_MAX + 4);
    for (size_t i = 0; i < count; i++) {
        assert_true(pipe_append(&out, &messages[i], &err));
    }
    send_bytes(c, buffer_slice(&out));
    buffer_free(&out);
}

static void send_message(child *c, const pipe_message *m) {
    send_messages(c, m, 1);
}

static int end(child *c) {
    int status = 0;
    if (c->to >= 0) {
        close(c->to);
    }
    char rest[4096];
    while (read(c->from, rest, sizeof rest) > 0) {
    }
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    close(c->from);
    buffer_free(&c->received);
    arena_free(c->memory);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static pipe_message wait_until_ready(child *c) {
    pipe_message m = next(c);
    uint32_t percent = 0;
    while (m.type == PIPE_LOADING) {
        assert_true(m.percent >= percent);
        percent = m.percent;
        m = next(c);
    }
    assert_int_equal(m.type, PIPE_READY);
    assert_int_equal(percent, 100);
    return m;
}

static const engine_message question[] = {
    {.role = SLICE_LITERAL("user"), .content = SLICE_LITERAL("How are you?")}};

static pipe_message make_job(uint8_t id, uint32_t max_tokens) {
    pipe_message m = {.type = PIPE_GENERATE, .job = {id}};
    m.generate = (pipe_generate){.messages = question,
                                 .message_count = 1,
                                 .parameters = {.temperature = 1.2f,
                                                .top_p = 0.99f,
                                                .repetition_penalty = 1,
                                                .max_tokens = max_tokens},
                                 .seed = id,
                                 .nonce = {id}};
    return m;
}

/* What the library gives for a job. */
static void answer_job(engine_model *model, const pipe_generate *g, answer *a) {
    error err;
    uint32_t *prompt = NULL;
    size_t count = 0;
    engine_draw draw = {.seed = g->seed};
    memcpy(draw.nonce, g->nonce, sizeof draw.nonce);
    assert_true(engine_prompt(model, question, 1, (slice){NULL, 0}, &prompt, &count, &err));
    engine_sequence *s = engine_generate(model, prompt, count, &g->parameters, &draw, &err);
    assert_non_null(s);
    serving_run(model, &s, a, 1);
    memory_free(prompt);
}

static engine_model *open_file_model(void) {
    error err;
    slice bytes = buffer_slice(&file.bytes);
    engine_model *model = engine_open(&bytes, 1, NULL, &(engine_options){.slots = 2}, &err);
    assert_non_null(model);
    return model;
}

/* The rest of a job's answer from the child. */
static void assert_answer(child *c, const pipe_message *job, const answer *expected, bool with_logprobs) {
    size_t text = 0;
    for (size_t i = 0; i < expected->count; i++) {
        pipe_message delta = next(c);
        assert_int_equal(delta.type, PIPE_DELTA);
        assert_memory_equal(delta.job, job->job, PIPE_JOB_SIZE);
        assert_int_equal(delta.delta.token_count, 1);
        assert_int_equal(delta.delta.tokens[0], expected->tokens[i]);
        assert_int_equal(delta.delta.logprobs != NULL, with_logprobs);
        assert_true(text + delta.delta.text.length <= expected->length);
        assert_true(slice_equal(delta.delta.text, slice_of(expected->text + text, delta.delta.text.length)));
        text += delta.delta.text.length;
    }
    assert_int_equal(text, expected->length);
    pipe_message done = next(c);
    assert_int_equal(done.type, PIPE_DONE);
    assert_int_equal(done.done.finish, expected->finish);
    assert_int_equal(done.done.usage.prompt_tokens, expected->usage.prompt_tokens);
    assert_int_equal(done.done.usage.completion_tokens, expected->usage.completion_tokens);
    assert_memory_equal(done.done.commitment, expected->commitment, sizeof expected->commitment);
}

static void test_the_child_answers_as_the_library_does(void **state) {
    (void)state;
    static answer expected;
    child c = start_on(model_path, "2");
    pipe_message ready = wait_until_ready(&c);
    engine_model *model = open_file_model();
    assert_memory_equal(ready.ready.digest, engine_describe(model)->digest, ENGINE_DIGEST_SIZE);
    assert_true(slice_equal_text(ready.ready.model, "random test model"));
    assert_true(slice_equal_text(ready.ready.profile, ENGINE_PROFILE));
    assert_int_equal(ready.ready.slots, 2);
    assert_int_equal(ready.ready.context, 256);
    assert_int_equal(ready.ready.vocabulary, MODEL_VOCABULARY);
    assert_true(ready.ready.can_generate);
    assert_false(ready.ready.can_embed);

    pipe_message job = make_job(7, 30);
    answer_job(model, &job.generate, &expected);
    send_message(&c, &job);
    assert_answer(&c, &job, &expected, false);
    job.generate.parameters.logprobs = 2;
    send_message(&c, &job);
    assert_answer(&c, &job, &expected, true);
    engine_close(model);
    assert_int_equal(end(&c), 0);
}

static void test_an_answer_is_scored(void **state) {
    (void)state;
    static answer expected;
    engine_model *model = open_file_model();
    child c = start_on(model_path, "2");
    wait_until_ready(&c);
    pipe_message job = make_job(7, 40);
    answer_job(model, &job.generate, &expected);
    pipe_message score = {.type = PIPE_SCORE, .job = {9}};
    score.score = (pipe_score){job.generate, expected.tokens, expected.count};
    score.score.claim.has_salt = true;
    for (size_t round = 0; round < 3; round++) {
        score.score.claim.salt[0] = (uint8_t)(round / 2);
        send_message(&c, &score);
        pipe_message scored = next(&c);
        assert_int_equal(scored.type, PIPE_SCORED);
        assert_true(scored.scored.result.complete);
        assert_int_equal(scored.scored.result.count, expected.count);
        assert_memory_equal(scored.scored.commitment, expected.commitment, sizeof expected.commitment);
    }
    expected.tokens[1] ^= 1;
    send_message(&c, &score);
    pipe_message scored = next(&c);
    assert_int_equal(scored.scored.result.agreed, 1);
    assert_false(scored.scored.result.complete);
    const pipe_message embed = {.type = PIPE_EMBED, .job = {10}, .text = SLICE_LITERAL("hello")};
    send_message(&c, &embed);
    pipe_message refused = next(&c);
    assert_int_equal(refused.type, PIPE_FAIL);
    assert_int_equal(refused.fail.code, ERROR_UNSUPPORTED);
    engine_close(model);
    assert_int_equal(end(&c), 0);
}

static void assert_sandboxed(pid_t pid, const char *thread) {
    char path[300];
    char text[8192];
    snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, thread);
    FILE *status = fopen(path, "r");
    assert_non_null(status);
    size_t length = fread(text, 1, sizeof text - 1, status);
    text[length] = '\0';
    fclose(status);
    assert_non_null(strstr(text, "\nSeccomp:\t2\n"));
    assert_non_null(strstr(text, "\nNoNewPrivs:\t1\n"));
}

static void test_every_thread_of_the_child_stands_in_the_sandbox(void **state) {
    (void)state;
    char path[64];
    size_t threads = 0;
    child c = start_on(model_path, "1");
    wait_until_ready(&c);
    snprintf(path, sizeof path, "/proc/%d/task", (int)c.pid);
    DIR *tasks = opendir(path);
    assert_non_null(tasks);
    for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
        if (entry->d_name[0] != '.') {
            assert_sandboxed(c.pid, entry->d_name);
            threads++;
        }
    }
    closedir(tasks);
    error err;
    host_description host;
    assert_true(host_describe(&host, &err));
    assert_true(threads >= (host.cores < 3 ? host.cores : 3)); /* 3 were asked for */
    assert_int_equal(end(&c), 0);
}

static slice read_cache(const char *path, buffer *content) {
    error err;
    *content = buffer_make(1 << 24);
    if (!file_read_private(path, content, &err)) {
        fail_msg("%s", err.text);
    }
    return buffer_slice(content);
}

static void test_packed_weights_are_kept_and_made_anew_when_damaged(void **state) {
    (void)state;
    static answer expected;
    char path[64];
    buffer first;
    buffer again;
    struct stat before;
    struct stat after;
    engine_model *model = open_file_model();
    pipe_message job = make_job(3, 20);
    answer_job(model, &job.generate, &expected);
    engine_close(model);
    snprintf(path, sizeof path, "%s.packed", model_path);
    for (int round = 0; round < 4; round++) {
        child c = start_with(model_path, "1", "--cache");
        wait_until_ready(&c);
        send_message(&c, &job);
        assert_answer(&c, &job, &expected, false);
        assert_int_equal(end(&c), 0);
        slice content = read_cache(path, round == 0 ? &first : &again);
        assert_true(slice_equal(content, buffer_slice(&first)));
        assert_int_equal(stat(path, &after), 0);
        if (round == 1) { /* used, not written */
            assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
        }
        before = after;
        if (round > 0) {
            buffer_free(&again);
        }
        int damaged = open(path, O_WRONLY);
        assert_true(damaged >= 0);
        if (round == 1) {
            assert_int_equal(pwrite(damaged, "x", 1, after.st_size / 2), 1);
        } else if (round == 2) {
            assert_int_equal(ftruncate(damaged, after.st_size / 2), 0);
        }
        close(damaged);
    }
    buffer_free(&first);
    unlink(path);
}

static void test_a_cache_that_others_could_have_written_is_not_used(void **state) {
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s.packed", model_path);
    int file_of_others = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(file_of_others >= 0);
    assert_int_equal(fchmod(file_of_others, 0620), 0);
    child c = start_with(model_path, "1", "--cache");
    wait_until_ready(&c);
    assert_int_equal(end(&c), 0);
    struct stat status;
    assert_int_equal(fstat(file_of_others, &status), 0);
    assert_int_equal(status.st_size, 0);
    close(file_of_others);
    unlink(path);
}

static void test_jobs_share_the_steps_and_a_ping_is_answered_between_them(void **state) {
    (void)state;
    child c = start_on(model_path, "2");
    wait_until_ready(&c);
    const pipe_message messages[] = {
        make_job(1, 200), make_job(2, 200), make_job(3, 1), {.type = PIPE_PING, .nonce = 99}};
    send_messages(&c, messages, 4);
    size_t turns = 0;
    uint8_t last = 0;
    bool refused = false;
    bool ponged = false;
    for (int ended = 0; ended < 2;) {
        pipe_message m = next(&c);
        if (m.type == PIPE_FAIL) {
            assert_int_equal(m.job[0], 3);
            assert_int_equal(m.fail.code, ERROR_LIMIT);
            assert_true(m.fail.retryable);
            refused = true;
        } else if (m.type == PIPE_PONG) {
            assert_int_equal(m.nonce, 99);
            assert_int_equal(ended, 0);
            ponged = true;
        } else if (m.type == PIPE_DONE) {
            ended++;
        } else {
            assert_int_equal(m.type, PIPE_DELTA);
            turns += m.job[0] != last;
            last = m.job[0];
        }
    }
    assert_true(refused);
    assert_true(ponged);
    assert_true(turns > 2);
    assert_int_equal(end(&c), 0);
}

static void test_a_cancelled_job_gives_its_slot_back(void **state) {
    (void)state;
    child c = start_on(model_path, "1");
    wait_until_ready(&c);
    pipe_message first = make_job(1, 0); /* longer than the pipe takes: it can't have ended unread */
    first.generate.parameters.temperature = 0;
    const pipe_message cancel = {.type = PIPE_CANCEL, .job = {1}};
    send_message(&c, &first);
    assert_int_equal(next(&c).job[0], 1);
    const pipe_message messages[] = {cancel, cancel, make_job(2, 3)}; /* the second finds no job: no harm */
    send_messages(&c, messages, 3);
    pipe_message m = next(&c);
    while (m.job[0] == 1) {
        assert_int_equal(m.type, PIPE_DELTA); /* never ended */
        m = next(&c);
    }
    while (m.type == PIPE_DELTA) {
        assert_int_equal(m.job[0], 2);
        m = next(&c);
    }
    assert_int_equal(m.type, PIPE_DONE);
    assert_int_equal(m.job[0], 2);
    assert_int_equal(end(&c), 0);
}

/* How often `mark` stands in the process's memory; -1: this system doesn't let us look. */
static int count_in_memory(pid_t pid, slice mark) {
    enum { PIECE = 1 << 20 };
    const unsigned long largest = 1UL << 34; /* what is larger is a sanitizer's own: empty */
    char path[64];
    char line[512];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    int memory = open(path, O_RDONLY);
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "r");
    uint8_t *piece = malloc(PIECE);
    assert_non_null(piece);
    while (memory >= 0 && maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from = 0;
        unsigned long to = 0;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) != 3 || rights[0] != 'r' || rights[1] != 'w' ||
            to - from > largest) {
            continue;
        }
        while (from < to) { /* two pieces overlap, so that no mark falls between them */
            size_t wanted = to - from < PIECE ? to - from : PIECE;
            ssize_t got = pread(memory, piece, wanted, (off_t)from);
            if (got < (ssize_t)mark.length) {
                break; /* pages that nobody may read, of a sanitizer */
            }
            for (uint8_t *at = piece;
                 (at = memmem(at, (size_t)(piece + got - at), mark.data, mark.length)) != NULL; at++) {
                count++;
            }
            from += wanted == to - from ? wanted : (size_t)got - mark.length + 1;
        }
    }
    bool looked = memory >= 0 && maps != NULL;
    if (memory >= 0) {
        close(memory);
    }
    if (maps != NULL) {
        fclose(maps);
    }
    free(piece);
    return looked ? count : -1;
}

static void test_nothing_of_a_conversation_is_left_in_memory_after_a_wipe(void **state) {
    (void)state;
    enum { LONG = 100 * 1024 };
    static char text[LONG + 1];
    char mark[33];
    uint8_t random[16];
    error err;
    child c = start_on(model_path, "2");
    wait_until_ready(&c);
    /* Drawn here, after the fork, so that the child has it from the pipe alone. */
    assert_true(random_bytes(random, sizeof random, &err));
    hex_encode(slice_of(random, sizeof random), mark);
    for (size_t i = 0; i < LONG; i += 64) {
        memset(text + i, 'a', 64);
        memcpy(text + i, mark, 32);
    }
    const engine_message kept[] = {{.role = SLICE_LITERAL("user"), .content = slice_of(mark, 32)}};
    const engine_message moved[] = {{.role = SLICE_LITERAL("user"), .content = slice_of(text, LONG)}};
    /* What is written depends on the mark, and must outlast the counting. */
    const engine_bias never_ends[] = {{MODEL_END, -100}, {MODEL_MESSAGE_END, -100}};
    pipe_message running = make_job(1, 0);
    running.generate.parameters.biases = never_ends;
    running.generate.parameters.bias_count = 2;
    running.generate.messages = kept;
    running.generate.parameters.stop_count = 1; /* a stop string is kept as long as the job is */
    running.generate.parameters.stops[0] = slice_of(mark, 32);
    pipe_message refused = make_job(2, 1); /* longer than the context, and than a buffer is at first */
    refused.generate.messages = moved;
    running.generate.parameters.temperature = 0;
    running.generate.parameters.logprobs =
        ENGINE_LOGPROBS_MAX; /* more than the pipe takes: it waits for us */
    send_message(&c, &refused);
    assert_int_equal(next(&c).type, PIPE_FAIL);
    send_message(&c, &running);
    pipe_message m = next(&c);
    assert_int_equal(m.type, PIPE_DELTA);
    int before = count_in_memory(c.pid, slice_of(mark, 32));
    if (before == -1) {
        kill(c.pid, SIGKILL);
        (void)end(&c);
        skip();
    }
    assert_true(before > 0);
    const pipe_message wipe = {.type = PIPE_WIPE};
    const pipe_message ping = {.type = PIPE_PING, .nonce = 1}; /* crosses it: no harm */
    send_message(&c, &wipe);
    send_message(&c, &ping);
    m = next(&c);
    while (m.type == PIPE_DELTA || m.type == PIPE_DONE) {
        m = next(&c);
    }
    assert_int_equal(m.type, PIPE_WIPED);
    assert_int_equal(count_in_memory(c.pid, slice_of(mark, 32)), 0);
    assert_int_equal(end(&c), 0);
}

static void test_a_wrong_job_fails_alone(void **state) {
    (void)state;
    child c = start_on(model_path, "1");
    wait_until_ready(&c);
    pipe_message wrong = make_job(1, 3);
    wrong.generate.parameters.top_p = 7;
    pipe_message good = make_job(2, 1);
    send_message(&c, &wrong);
    send_message(&c, &good);
    pipe_message m = next(&c);
    assert_int_equal(m.type, PIPE_FAIL);
    assert_int_equal(m.job[0], 1);
    assert_int_equal(m.fail.code, ERROR_INVALID);
    assert_false(m.fail.retryable);
    assert_int_equal(next(&c).type, PIPE_DELTA);
    assert_int_equal(next(&c).type, PIPE_DONE);
    assert_int_equal(end(&c), 0);
}

static void assert_last_words(child *c) {
    static const uint8_t nobody[PIPE_JOB_SIZE] = {0};
    pipe_message m = next(c);
    assert_int_equal(m.type, PIPE_FAIL);
    assert_memory_equal(m.job, nobody, PIPE_JOB_SIZE);
    assert_true(m.fail.text.length > 0);
    assert_int_equal(end(c), 1);
}

static void test_a_malformed_frame_ends_the_child_with_a_reason(void **state) {
    (void)state;
    static const uint8_t unknown[] = {0, 0, 0, 1, 200};
    static const uint8_t huge[] = {0xff, 0, 0, 0, 1};
    static const uint8_t pong[] = {0, 0, 0, 5, PIPE_PONG, 0, 0, 0, 0};
    static const slice frames[] = {{unknown, sizeof unknown}, {huge, sizeof huge}, {pong, sizeof pong}};
    for (size_t i = 0; i < 3; i++) {
        child c = start_on(model_path, "1");
        wait_until_ready(&c);
        send_bytes(&c, frames[i]);
        assert_last_words(&c);
    }
}

static void test_a_broken_model_file_ends_the_child_with_a_reason(void **state) {
    (void)state;
    char path[] = "/tmp/cellule-engine-test-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    size_t half = buffer_length(&file.bytes) / 2;
    assert_int_equal(write(descriptor, buffer_slice(&file.bytes).data, half), half);
    close(descriptor);
    child c = start_on(path, "1");
    while (true) {
        error err;
        pipe_message m;
        size_t taken = 0;
        assert_true(pipe_read(buffer_slice(&c.received), c.memory, &m, &taken, &err));
        if (taken > 0 && m.type != PIPE_LOADING) {
            break;
        }
        buffer_consume(&c.received, taken);
        if (taken == 0) {
            uint8_t *place = buffer_reserve(&c.received, 4096);
            ssize_t count = read(c.from, place, 4096);
            assert_true(count > 0);
            buffer_commit(&c.received, (size_t)count);
        }
    }
    assert_last_words(&c);
    unlink(path);
}

static int set_up(void **state) {
    (void)state;
    error err;
    signal(SIGPIPE, SIG_IGN);
    model_file_make(&file, &model_shape_small, 77);
    int descriptor = mkstemp(model_path);
    slice bytes = buffer_slice(&file.bytes);
    bool good = descriptor >= 0 && write(descriptor, bytes.data, bytes.length) == (ssize_t)bytes.length;
    close(descriptor);
    return good && crypto_start(&err) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    unlink(model_path);
    model_file_free(&file);
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_child_answers_as_the_library_does),
        cmocka_unit_test(test_an_answer_is_scored),
        cmocka_unit_test(test_every_thread_of_the_child_stands_in_the_sandbox),
        cmocka_unit_test(test_packed_weights_are_kept_and_made_anew_when_damaged),
        cmocka_unit_test(test_a_cache_that_others_could_have_written_is_not_used),
        cmocka_unit_test(test_jobs_share_the_steps_and_a_ping_is_answered_between_them),
        cmocka_unit_test(test_a_cancelled_job_gives_its_slot_back),
        cmocka_unit_test(test_nothing_of_a_conversation_is_left_in_memory_after_a_wipe),
        cmocka_unit_test(test_a_wrong_job_fails_alone),
        cmocka_unit_test(test_a_malformed_frame_ends_the_child_with_a_reason),
        cmocka_unit_test(test_a_broken_model_file_ends_the_child_with_a_reason),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

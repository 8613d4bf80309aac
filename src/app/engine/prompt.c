#include "prompt.h"

#include "app_model/answer.h"
#include "base/memory.h"
#include "conversation.h"
#include "options/terminal.h"
#include "report.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { INPUT_MAX = 4 * 1024 * 1024, READ_SIZE = 64 * 1024 };

static volatile sig_atomic_t interrupted;
static bool output_is_terminal; /* asked for before the sandbox forbids it */

typedef struct session {
    prompt_settings *settings;
    tool tool;
    conversation talk;
    buffer input;
    bool input_ended;
} session;

static void on_interrupt(int number) {
    (void)number;
    interrupted = 1;
}

static void catch_interrupts(void) {
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

static void write_text(slice text) {
    if (output_is_terminal) {
        terminal_write(stdout, text);
    } else {
        fwrite(text.data, 1, text.length, stdout);
    }
    fflush(stdout);
}

static void write_token(void *context, uint32_t token, slice text) {
    (void)context;
    (void)token;
    if (text.length > 0) {
        write_text(text);
    }
}

/* An interrupt is let through while waiting only: none comes unseen just before. */
static bool wait_for_input(void) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    sigset_t interrupt;
    sigset_t before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, &before);
    bool waits = interrupted == 0;
    while (waits && ppoll(&input, 1, NULL, &before) < 0) {
        waits = interrupted == 0 && errno == EINTR;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return waits;
}

/* One portion of standard input. Ctrl-C ends it. */
static bool read_more(session *s, error *err) {
    uint8_t *place = buffer_reserve(&s->input, READ_SIZE);
    if (place == NULL) {
        return error_set(err, ERROR_LIMIT, "a prompt is at most %d MiB: shorten it", INPUT_MAX >> 20);
    }
    ssize_t count = wait_for_input() ? read(STDIN_FILENO, place, READ_SIZE) : 0;
    if (count < 0 && errno != EINTR) {
        return error_set_errno(err, ERROR_IO, errno, "reading standard input");
    }
    s->input_ended = count == 0;
    buffer_commit(&s->input, count > 0 ? (size_t)count : 0);
    return true;
}

static bool read_all(session *s, error *err) {
    while (!s->input_ended) {
        if (!read_more(s, err)) {
            return false;
        }
    }
    return true;
}

/* The line's length with its end; 0: the input has ended before one. */
static bool read_line(session *s, size_t *length, error *err) {
    size_t end = SIZE_MAX;
    while ((end = slice_find(buffer_slice(&s->input), '\n')) == SIZE_MAX && !s->input_ended) {
        if (!read_more(s, err)) {
            return false;
        }
    }
    *length = end == SIZE_MAX ? buffer_length(&s->input) : end + 1;
    return true;
}

static slice without_line_end(slice text) {
    size_t length = text.length;
    if (length > 0 && text.data[length - 1] == '\n') {
        length--;
    }
    if (length > 0 && text.data[length - 1] == '\r') {
        length--;
    }
    return slice_part(text, 0, length);
}

static bool make_tokens(session *s, slice prompt, uint32_t **tokens, size_t *count, error *err) {
    const engine_model *model = s->tool.model;
    if (s->settings->raw) {
        return engine_tokenize(model, prompt, tokens, count, err);
    }
    return engine_prompt(model, s->talk.messages, s->talk.count, (slice){NULL, 0}, tokens, count, err);
}

/* Turns of one conversation share what was computed of their beginning: there is but one user. */
static bool compute(session *s, answer *a, slice prompt, error *err) {
    static const uint8_t salt[ENGINE_SALT_SIZE];
    uint32_t *tokens = NULL;
    size_t count = 0;
    engine_draw draw = {.seed = s->settings->seed, .salt = salt};
    if (!make_tokens(s, prompt, &tokens, &count, err)) {
        return false;
    }
    answer_request request = {.prompt = tokens,
                              .prompt_count = count,
                              .parameters = &s->settings->parameters,
                              .draw = &draw,
                              .cancel = &interrupted,
                              .take = s->settings->json ? NULL : write_token};
    bool good = answer_compute(a, s->tool.model, &request, err);
    memory_free(tokens);
    return good;
}

static bool report(session *s, const answer *a, error *err) {
    report_of r = {.answer = a, .tool = &s->tool, .seed = s->settings->seed};
    buffer out = buffer_make(REPORT_MAX);
    if (s->settings->json) {
        report_append_json(&r, &out);
        bool good = tool_print(&out, err);
        buffer_free(&out);
        return good;
    }
    write_text(SLICE_LITERAL("\n"));
    if (!tool_written(err)) {
        return false;
    }
    report_append_text(&r, &out);
    bool good = !buffer_failed(&out) || error_memory(err);
    fprintf(stderr, "%.*s", SLICE_FORMAT(buffer_slice(&out)));
    buffer_free(&out);
    return good;
}

/* Leaves the answer in the conversation, and nothing of a turn that failed. */
static bool take_turn(session *s, slice prompt, error *err) {
    answer a = {0};
    if (!conversation_add(&s->talk, "user", prompt, err)) {
        return false;
    }
    bool good = compute(s, &a, prompt, err) && report(s, &a, err);
    s->settings->cancelled = a.cancelled;
    if (!good || !conversation_add(&s->talk, "assistant", buffer_slice(&a.text), err)) {
        conversation_drop(&s->talk);
        good = false;
    }
    answer_free(&a);
    return good;
}

/* What goes wrong with a turn is told, and the next one may be asked. */
static void converse_turn(session *s, slice line) {
    error cause;
    if (slice_equal_text(line, "/new")) {
        conversation_clear(&s->talk);
    } else if (line.length > 0 && !take_turn(s, line, &cause)) {
        fprintf(stderr, "\n");
        terminal_write(stderr, slice_of_text(cause.text));
        fprintf(stderr, "\n");
    }
    interrupted = 0;
}

static bool converse(session *s, error *err) {
    size_t length = 0;
    while (true) {
        fputs("> ", stderr);
        if (!read_line(s, &length, err)) {
            return false;
        }
        if (length == 0 || s->input_ended) {
            fputc('\n', stderr);
            s->settings->cancelled = false;
            return true;
        }
        converse_turn(s, without_line_end(slice_part(buffer_slice(&s->input), 0, length)));
        buffer_consume(&s->input, length);
    }
}

/* Where there are no turns. */
static slice only_prompt(const session *s) {
    return s->settings->prompt != NULL ? slice_of_text(s->settings->prompt)
                                       : without_line_end(buffer_slice(&s->input));
}

static bool run(session *s, const load_options *loading, error *err) {
    prompt_settings *p = s->settings;
    bool asks = p->prompt == NULL && !p->json && isatty(STDIN_FILENO) == 1;
    output_is_terminal = isatty(STDOUT_FILENO) == 1;
    if (!asks && p->prompt == NULL && !read_all(s, err)) {
        return false;
    }
    if (!asks && only_prompt(s).length == 0) {
        return error_set(err, ERROR_INVALID,
                         "the prompt is empty: give one behind the model, or on standard input");
    }
    if (!tool_open(&s->tool, loading, err)) {
        return false;
    }
    catch_interrupts();
    bool good = asks ? converse(s, err) : take_turn(s, only_prompt(s), err);
    conversation_clear(&s->talk);
    tool_close(&s->tool);
    return good;
}

bool prompt_run(prompt_settings *settings, const load_options *loading, error *err) {
    session *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        return error_memory(err);
    }
    s->settings = settings;
    s->input = buffer_make(INPUT_MAX);
    conversation_start(&s->talk, settings->system);
    bool good = run(s, loading, err);
    buffer_wipe(&s->input);
    memory_free(s);
    return good;
}

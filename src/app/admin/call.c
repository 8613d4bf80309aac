#include "call.h"

#include "codec/json_writer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PATH_SIZE = 512, ANSWER_LIMIT = 64 * 1024 * 1024 };

static void print_raw(const json_value *answer) {
    buffer text = buffer_make(ANSWER_LIMIT);
    json_writer w = json_writer_make(&text);
    json_write_value(&w, answer);
    fwrite(buffer_slice(&text).data, 1, buffer_length(&text), stdout);
    fputc('\n', stdout);
    buffer_wipe(&text);
}

int admin_run(const admin_options *options, const admin_call *call) {
    error err = {0};
    api_answer answer = {0};
    api *a = api_open(&options->pool, &err);
    bool done = a != NULL && api_call(a, call->method, call->path, call->body, &answer, &err);
    if (done && options->json) {
        print_raw(answer.json);
    } else if (done) {
        call->print(answer.json);
    }
    json_free(answer.json);
    api_close(a);
    return done ? 0 : options_fail(call->program, &err);
}

slice admin_text(const json_value *object, const char *name) {
    return json_text_of(json_find(object, name));
}

uint64_t admin_number(const json_value *object, const char *name) {
    uint64_t value = 0;
    error ignored = {0};
    return json_get_u64(object, name, 0, UINT64_MAX >> 11, &value, &ignored) ? value : 0;
}

bool admin_flag(const json_value *object, const char *name) {
    bool value = false;
    error ignored = {0};
    return json_get_bool(object, name, &value, &ignored) && value;
}

const char *admin_date(uint64_t unix_ms, char out[32]) {
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    if (unix_ms == 0 || gmtime_r(&seconds, &parts) == NULL || strftime(out, 32, "%Y-%m-%d", &parts) == 0) {
        snprintf(out, 32, "-");
    }
    return out;
}

void admin_print_done(const json_value *answer) {
    (void)answer;
    printf("done\n");
}

bool admin_word_is_plain(const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ._@-";
    return word[0] != '\0' && word[strspn(word, plain)] == '\0';
}

int admin_run_verb(const admin_verb *request, int argc, char **argv) {
    admin_options options = {0};
    const option_row rows[] = {ADMIN_OPTION_ROWS(&options)};
    const option_table table = {.usage = request->usage,
                                .summary = request->summary,
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .least_arguments = request->has_word ? 1 : 0,
                                .most_arguments = request->has_word ? 1 : 0};
    char **words = NULL;
    int count = 0;
    char path[PATH_SIZE];
    options_result parsed = options_parse(&table, argc, argv, &words, &count);
    if (parsed != OPTIONS_RUN) {
        return parsed == OPTIONS_HELP ? 0 : 2;
    }
    const char *word = count > 0 ? words[0] : "";
    if (request->has_word && !admin_word_is_plain(word)) {
        fprintf(stderr, "%s: \"%s\" is not a name or an id; the list shows them\n", request->program, word);
        return 2;
    }
    snprintf(path, sizeof path, "%s%s%s", request->prefix, word, request->suffix);
    admin_call call = {
        .program = request->program, .method = request->method, .path = path, .print = request->print};
    return admin_run(&options, &call);
}

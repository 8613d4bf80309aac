#include "call.h"

#include "codec/json_writer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NAME_SIZE = 128, USAGE_SIZE = 160, PATH_SIZE = 512, ANSWER_LIMIT = 64 * 1024 * 1024 };

void admin_print_json(const json_value *answer) {
    buffer text = buffer_make(ANSWER_LIMIT);
    json_writer w = json_writer_make(&text);
    json_write_value(&w, answer);
    fwrite(buffer_slice(&text).data, 1, buffer_length(&text), stdout);
    fputc('\n', stdout);
    buffer_wipe(&text);
}

static void print_more(const json_value *answer, const char *list) {
    const json_value *all = json_find(answer, list);
    if (admin_flag(answer, "has_more") && json_count(all) > 0) {
        printf("more: --after %llu\n",
               (unsigned long long)admin_number(json_at(all, json_count(all) - 1), "id"));
    }
}

static bool find_body(const admin_call *call, slice *body, error *err) {
    *body = call->written == NULL ? call->body : buffer_slice(call->written);
    return call->written == NULL || !buffer_failed(call->written) ||
           error_set(err, ERROR_LIMIT, "what is to be sent is too long; shorten it");
}

int admin_run(const admin_options *options, const admin_call *call) {
    error err = {0};
    slice body;
    api_answer answer = {0};
    api *a = find_body(call, &body, &err) ? api_open(&options->pool, &err) : NULL;
    bool done = a != NULL && api_call(a, call->method, call->path, body, &answer, &err);
    if (done && options->json) {
        admin_print_json(answer.json);
    } else if (done) {
        call->print(answer.json);
        if (call->list != NULL) {
            print_more(answer.json, call->list);
        }
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

/* Nothing is padded at the end of a line. */
static void print_cell(slice text, int width, bool last) {
    printf("%-*.*s%s", last ? 0 : width, SLICE_FORMAT(text), last ? "\n" : " ");
}

static void print_row(const json_value *one, const admin_column *columns, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char room[32];
        const admin_column *column = &columns[i];
        slice text = {0};
        if (column->cell == ADMIN_TEXT) {
            text = admin_text(one, column->member);
        } else if (column->cell == ADMIN_DATE) {
            text = slice_of_text(admin_date(admin_number(one, column->member), room));
        } else {
            snprintf(room, sizeof room, "%llu", (unsigned long long)admin_number(one, column->member));
            text = slice_of_text(room);
        }
        print_cell(text, column->width, i + 1 == count);
    }
}

void admin_print_table(const json_value *answer, const char *list, const admin_column *columns,
                       size_t count) {
    const json_value *all = json_find(answer, list);
    for (size_t i = 0; i < count; i++) {
        print_cell(slice_of_text(columns[i].title), columns[i].width, i + 1 == count);
    }
    for (size_t i = 0; i < json_count(all); i++) {
        print_row(json_at(all, i), columns, count);
    }
}

void admin_print_done(const json_value *answer) {
    (void)answer;
    printf("done\n");
}

void admin_print_revoked(const json_value *answer) {
    const json_value *revoked = json_find(answer, "revoked");
    printf("done");
    for (size_t i = 1; i < json_count(revoked); i++) {
        uint64_t id = 0;
        if (json_to_u64(json_at(revoked, i), 0, UINT64_MAX >> 11, &id)) {
            printf("%s %llu", i == 1 ? "; what was made with it went too: key" : ",", (unsigned long long)id);
        }
    }
    printf("\n");
}

bool admin_word_is_plain(const char *program, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ._@-";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        return true;
    }
    fprintf(stderr, "%s: \"%s\" is not a name or an id; the list shows them\n", program, word);
    return false;
}

static int run_request(const char *program, const admin_request *request, int argc, char **argv) {
    char name[NAME_SIZE];
    char usage[USAGE_SIZE];
    char path[PATH_SIZE];
    uint64_t after = 0;
    snprintf(name, sizeof name, "%s %s", program, request->verb);
    snprintf(usage, sizeof usage, "%s %s [options]%s%s", program, request->verb,
             request->word == NULL ? "" : " ", request->word == NULL ? "" : request->word);
    admin_options options = {0};
    const option_row rows[] = {ADMIN_OPTION_ROWS(&options), ADMIN_AFTER_ROW(&after)};
    const option_table table = {.usage = usage,
                                .summary = request->summary,
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0] - (request->list == NULL ? 1 : 0),
                                .takes_word = request->word != NULL};
    const char *word = "";
    int status = 0;
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    if (request->word != NULL && !admin_word_is_plain(name, word)) {
        return OPTIONS_WRONG_USAGE;
    }
    int length = snprintf(path, sizeof path, "%s%s%s", request->prefix, word, request->suffix);
    if (request->list != NULL && length > 0 && length < PATH_SIZE) {
        snprintf(path + length, sizeof path - (size_t)length, "?after=%llu", (unsigned long long)after);
    }
    admin_call call = {.program = name,
                       .method = request->method,
                       .path = path,
                       .print = request->print,
                       .list = request->list};
    return admin_run(&options, &call);
}

int admin_run_request(const char *program, const admin_request *requests, size_t count, int argc,
                      char **argv) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(requests[i].verb, argv[0]) == 0) {
            return run_request(program, &requests[i], argc, argv);
        }
    }
    return OPTIONS_WRONG_USAGE;
}

#include "call.h"

#include "codec/json_writer.h"
#include "verify/honeytoken.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Markers that the pool sent to one worker each: where one turns up, that worker's prompts are read. */

enum {
    PIECE = 1024 * 1024, /* bytes of a file at once; it may have any length */
    AT_ONCE = 512,       /* things that look like markers, in one question to the pool */
    JSON_LIMIT = 16 * 1024 * 1024,
    JSON_DEPTH = 8,
    JSON_VALUES = 100000
};

static void print_honeytokens(const json_value *answer) {
    static const admin_column columns[] = {{"MARKER", "marker", 36, ADMIN_TEXT},
                                           {"SENT TO", "worker", 32, ADMIN_TEXT},
                                           {"SENT", "created_ms", 12, ADMIN_DATE},
                                           {"SEEN", "seen_ms", 12, ADMIN_DATE},
                                           {"WHERE", "seen_where", 0, ADMIN_TEXT}};
    admin_print_table(answer, "honeytokens", columns, sizeof columns / sizeof columns[0]);
}

static int honeytoken_list(int argc, char **argv) {
    static const admin_request list = {"list",
                                       NULL,
                                       "Lists the markers that were seen where they shouldn't be.",
                                       "GET",
                                       "/v1/admin/honeytokens",
                                       "",
                                       print_honeytokens,
                                       "honeytokens"};
    return admin_run_request("cellule admin honeytoken", &list, 1, argc, argv);
}

/* The file stays here: the pool is asked about what looks like a marker, and nothing else is sent. */
typedef struct checking {
    api *pool;
    buffer asked; /* a marker a line */
    size_t count;
    buffer found; /* the answer so far, as JSON */
    json_writer w;
    error *err; /* set: it went wrong */
} checking;

/* One that is in the file twice is told once. */
static bool is_told(const checking *c, slice marker) {
    slice told = buffer_slice(&c->found);
    for (size_t at = 0; at + marker.length <= told.length; at++) {
        if (memcmp(told.data + at, marker.data, marker.length) == 0) {
            return true;
        }
    }
    return false;
}

static bool ask(checking *c) {
    api_answer answer = {0};
    if (c->count == 0) {
        return true;
    }
    bool good = !buffer_failed(&c->asked) || error_memory(c->err);
    good = good &&
           api_call(c->pool, "POST", "/v1/admin/honeytokens/check", buffer_slice(&c->asked), &answer, c->err);
    const json_value *all = good ? json_find(answer.json, "honeytokens") : NULL;
    for (size_t i = 0; i < json_count(all); i++) {
        if (!is_told(c, admin_text(json_at(all, i), "marker"))) {
            json_write_value(&c->w, json_at(all, i));
        }
    }
    json_free(answer.json);
    buffer_clear(&c->asked);
    c->count = 0;
    return good;
}

static bool is_asked(const checking *c, const char marker[HONEYTOKEN_LENGTH + 1]) {
    for (size_t i = 0; i < c->count && !buffer_failed(&c->asked); i++) {
        if (memcmp(c->asked.bytes + i * (HONEYTOKEN_LENGTH + 1), marker, HONEYTOKEN_LENGTH) == 0) {
            return true;
        }
    }
    return false;
}

static bool looks_like_one(void *context, const char marker[HONEYTOKEN_LENGTH + 1]) {
    checking *c = context;
    if (is_asked(c, marker)) {
        return true;
    }
    buffer_append_text(&c->asked, marker);
    buffer_append_byte(&c->asked, '\n');
    return ++c->count < AT_ONCE || ask(c);
}

/* In pieces that overlap by as much as a marker may take. */
static bool check_stream(checking *c, FILE *file) {
    static uint8_t room[PIECE + HONEYTOKEN_SPAN];
    size_t kept = 0;
    for (size_t got = 1; got > 0;) {
        got = fread(room + kept, 1, PIECE, file);
        if (!honeytoken_search(slice_of(room, kept + got), looks_like_one, c, c->err) ||
            c->err->code != ERROR_NONE) {
            return false;
        }
        size_t length = kept + got;
        kept = length < HONEYTOKEN_SPAN ? length : HONEYTOKEN_SPAN;
        memmove(room, room + length - kept, kept);
    }
    return !ferror(file) && ask(c);
}

static bool check_file(checking *c, const char *path) {
    bool is_input = strcmp(path, "-") == 0;
    FILE *file = is_input ? stdin : fopen(path, "rb");
    if (file == NULL) {
        return error_set_errno(c->err, ERROR_IO, errno, "cannot read %s", path);
    }
    bool read = check_stream(c, file);
    if (!read && c->err->code == ERROR_NONE) {
        error_set_errno(c->err, ERROR_IO, errno, "cannot read %s", path);
    }
    if (!is_input) {
        fclose(file);
    }
    return read;
}

static void begin_answer(checking *c) {
    c->asked = buffer_make(AT_ONCE * (HONEYTOKEN_LENGTH + 1));
    c->found = buffer_make(JSON_LIMIT);
    c->w = json_writer_make(&c->found);
    json_write_object_begin(&c->w);
    json_add_text(&c->w, "object", SLICE_LITERAL("list"));
    json_write_key(&c->w, "honeytokens");
    json_write_array_begin(&c->w);
}

static bool end_answer(checking *c, const admin_options *options) {
    json_write_array_end(&c->w);
    json_write_object_end(&c->w);
    json_value *answer =
        json_parse(buffer_slice(&c->found),
                   (json_limits){.size = JSON_LIMIT, .depth = JSON_DEPTH, .values = JSON_VALUES}, c->err);
    if (answer != NULL && options->json) {
        printf("%.*s\n", SLICE_FORMAT(buffer_slice(&c->found)));
    } else if (answer != NULL && json_count(json_find(answer, "honeytokens")) == 0) {
        puts("No marker of this pool is in it.");
    } else if (answer != NULL) {
        print_honeytokens(answer);
    }
    json_free(answer);
    return answer != NULL;
}

static int honeytoken_check(int argc, char **argv) {
    static const char program[] = "cellule admin honeytoken check";
    admin_options options = {0};
    const char *path = "";
    error err = {0};
    const option_row rows[] = {ADMIN_OPTION_ROWS(&options)};
    const option_table table = {
        .usage = "cellule admin honeytoken check [options] FILE",
        .summary = "Looks in a file that turned up somewhere for the pool's markers, also as UTF-16, base64, "
                   "hexadecimal\ndigits or with escapes, and names the workers whose prompts it comes from. "
                   "Only what looks like a\nmarker is sent to the pool. - is the standard input.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true};
    int status = 0;
    if (!options_parse(&table, argc, argv, &path, &status)) {
        return status;
    }
    checking c = {.pool = api_open(&options.pool, &err), .err = &err};
    begin_answer(&c);
    bool done = c.pool != NULL && check_file(&c, path) && end_answer(&c, &options);
    buffer_free(&c.asked);
    buffer_free(&c.found);
    api_close(c.pool);
    return done ? 0 : options_fail(program, &err);
}

int admin_honeytoken_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"list", honeytoken_list, "list markers that were seen"},
        {"check", honeytoken_check, "look for markers in a file"},
    };
    return options_run_verb("cellule admin honeytoken", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}

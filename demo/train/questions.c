#include "questions.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_SIZE_MAX = 4 * 1024 * 1024, FILES_MAX = 256 };

typedef struct draft {
    slice phrasings[QUESTION_PHRASINGS_MAX];
    size_t phrasing_count;
    slice held_out[QUESTION_PHRASINGS_MAX];
    size_t held_out_count;
    slice answer;
} draft;

static bool copy_slices(arena *a, const slice *source, size_t count, const slice **copy) {
    slice *result = arena_allocate_array(a, count + 1, sizeof *result);
    if (result == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        result[i] = source[i];
    }
    *copy = result;
    return true;
}

/* Ends the question that is being read, if there is one. */
static bool finish(arena *a, draft *d, question_set *set, error *err) {
    if (d->phrasing_count == 0 && d->held_out_count == 0 && d->answer.length == 0) {
        return true;
    }
    if (d->phrasing_count == 0 || d->answer.length == 0) {
        return error_set(err, ERROR_INVALID, "a question needs a line 'Q: ' and a line 'A: '");
    }
    if (set->count == QUESTIONS_MAX) {
        return error_set(err, ERROR_LIMIT, "more than %d questions", QUESTIONS_MAX);
    }
    question *q = &set->questions[set->count];
    *q = (question){
        .answer = d->answer, .phrasing_count = d->phrasing_count, .held_out_count = d->held_out_count};
    if (!copy_slices(a, d->phrasings, d->phrasing_count, &q->phrasings) ||
        !copy_slices(a, d->held_out, d->held_out_count, &q->held_out)) {
        return error_memory(err);
    }
    set->count++;
    *d = (draft){0};
    return true;
}

static bool is_printable(slice line) {
    for (size_t i = 0; i < line.length; i++) {
        if (line.data[i] < ' ' || line.data[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool add_phrasing(slice *list, size_t *count, slice text, error *err) {
    if (*count == QUESTION_PHRASINGS_MAX) {
        return error_set(err, ERROR_LIMIT, "more than %d phrasings", QUESTION_PHRASINGS_MAX);
    }
    list[(*count)++] = text;
    return true;
}

static bool read_line(arena *a, draft *d, slice line, question_set *set, error *err) {
    slice text = slice_trim(slice_after(line, 2));
    if (!is_printable(line)) {
        return error_set(err, ERROR_INVALID, "only printable ASCII is known here");
    }
    if (line.length == 0) {
        return finish(a, d, set, err);
    }
    if (line.data[0] == '#') {
        return true;
    }
    if (text.length == 0) {
        return error_set(err, ERROR_INVALID, "the line says nothing");
    }
    if (slice_starts_with(line, SLICE_LITERAL("Q:"))) {
        return add_phrasing(d->phrasings, &d->phrasing_count, text, err);
    }
    if (slice_starts_with(line, SLICE_LITERAL("H:"))) {
        return add_phrasing(d->held_out, &d->held_out_count, text, err);
    }
    if (slice_starts_with(line, SLICE_LITERAL("A:")) && d->answer.length == 0) {
        d->answer = text;
        return true;
    }
    return error_set(err, ERROR_INVALID, "expected 'Q: ', 'H: ', one 'A: ', '#' or an empty line");
}

bool questions_parse(arena *a, slice text, const char *name, question_set *set, error *err) {
    draft d = {0};
    size_t number = 0;
    while (text.length > 0) {
        size_t end = slice_find(text, '\n');
        slice line = slice_part(text, 0, end);
        number++;
        if (!read_line(a, &d, line, set, err)) {
            return error_context(err, "%s:%zu", name, number);
        }
        text = end == SIZE_MAX ? slice_of(NULL, 0) : slice_after(text, end + 1);
    }
    return finish(a, &d, set, err) || error_context(err, "%s:%zu", name, number);
}

static bool read_file(arena *a, const char *path, slice *text, error *err) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return error_set_errno(err, ERROR_IO, errno, "cannot open %s", path);
    }
    char *bytes = arena_allocate(a, FILE_SIZE_MAX);
    size_t length = bytes == NULL ? 0 : fread(bytes, 1, FILE_SIZE_MAX, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (bytes == NULL) {
        return error_memory(err);
    }
    if (failed || length == FILE_SIZE_MAX) {
        return error_set(err, ERROR_IO, "cannot read %s, or it is larger than %d bytes", path, FILE_SIZE_MAX);
    }
    *text = slice_of(bytes, length);
    return true;
}

static int is_text_file(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".txt") == 0;
}

static int by_bytes(const struct dirent **left, const struct dirent **right) {
    return strcmp((*left)->d_name, (*right)->d_name);
}

static bool load_one(arena *a, const char *folder, const char *name, question_set *set, error *err) {
    char *path = arena_format(a, "%s/%s", folder, name);
    slice text = {NULL, 0};
    if (path == NULL) {
        return error_memory(err);
    }
    return read_file(a, path, &text, err) && questions_parse(a, text, name, set, err);
}

bool questions_load(arena *a, const char *folder, question_set *set, error *err) {
    struct dirent **names = NULL;
    *set = (question_set){.questions = arena_allocate_array(a, QUESTIONS_MAX, sizeof(question))};
    if (set->questions == NULL) {
        return error_memory(err);
    }
    int count = scandir(folder, &names, is_text_file, by_bytes);
    if (count < 0) {
        return error_set_errno(err, ERROR_IO, errno, "cannot list %s", folder);
    }
    bool good =
        count <= FILES_MAX || error_set(err, ERROR_LIMIT, "more than %d files in %s", FILES_MAX, folder);
    for (int i = 0; i < count; i++) {
        good = good && load_one(a, folder, names[i]->d_name, set, err);
        free(names[i]); /* scandir's own malloc */
    }
    free(names);
    if (good && set->count == 0) {
        return error_set(err, ERROR_NOT_FOUND, "no question in %s", folder);
    }
    return good;
}

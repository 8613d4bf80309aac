#include "evaluate.h"
#include "gguf.h"
#include "train.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] = "usage: demo_trainer train QUESTIONS_FOLDER FILE.gguf [EPOCHS]\n"
                            "       demo_trainer evaluate QUESTIONS_FOLDER FILE.gguf [--wrong]\n"
                            "       demo_trainer ask FILE.gguf QUESTION\n";

#define MEMORY_LIMIT ((size_t)8 << 30)
enum { SEED = 20240607, VOCABULARY = 2048, EPOCHS = 26 };

static const model_shape shape = {
    .context = 512,
    .layers = 4,
    .width = 192,
    .heads = 6,
    .key_heads = 2,
    .feed_forward = 512,
    .rope_base = 10000.0F,
    .epsilon = 1e-5F,
};

/* All that the model will have to read and say in training. */
static bool collect_texts(arena *a, const question_set *set, slice **texts, size_t *count) {
    size_t total = 2;
    for (size_t i = 0; i < set->count; i++) {
        total += set->questions[i].phrasing_count + 1;
    }
    slice *list = arena_allocate_array(a, total, sizeof *list);
    if (list == NULL) {
        return false;
    }
    *count = 0;
    for (size_t i = 0; i < set->count; i++) {
        for (size_t k = 0; k < set->questions[i].phrasing_count; k++) {
            list[(*count)++] = set->questions[i].phrasings[k];
        }
        list[(*count)++] = set->questions[i].answer;
    }
    *texts = list;
    return true;
}

static bool print_one(arena *a, const char *name, const question_set *set, bool held_out, const model *m,
                      const tokenizer *t, bool wrong, error *err) {
    evaluate_result result;
    if (!evaluate(a, set, held_out, wrong, m, t, &result, err)) {
        return false;
    }
    printf("%s: %zu of %zu answered exactly (%.1f %%)\n", name, result.right, result.count,
           100.0 * (double)result.right / (double)(result.count + !result.count));
    return true;
}

/* The last question stands for everything that has nothing to do with the others. */
static bool print_accuracy(arena *a, const question_set *set, const model *m, const tokenizer *t, bool wrong,
                           error *err) {
    question_set subject = {.questions = set->questions, .count = set->count - 1};
    question_set other = {.questions = set->questions + set->count - 1, .count = 1};
    return print_one(a, "training phrasings", set, false, m, t, wrong, err) &&
           print_one(a, "held-out phrasings", &subject, true, m, t, wrong, err) &&
           print_one(a, "held-out phrasings of the last question", &other, true, m, t, wrong, err);
}

static bool run_evaluate(arena *a, const char *folder, const char *path, bool wrong, error *err) {
    question_set set;
    model m;
    tokenizer t;
    return questions_load(a, folder, &set, err) && gguf_read(a, path, &m, &t, err) &&
           print_accuracy(a, &set, &m, &t, wrong, err);
}

static bool run_train(arena *a, const char *folder, const char *path, uint32_t epochs, error *err) {
    question_set set;
    slice *texts = NULL;
    size_t count = 0;
    tokenizer t;
    model m;
    model_shape wanted = shape;
    train_settings settings = {
        .seed = SEED, .epochs = epochs, .sequences = 28, .rate = 3e-3F, .decay = 0.1F, .dropped = 0.05F};
    random_source random = random_make(SEED, 1);
    if (!questions_load(a, folder, &set, err)) {
        return false;
    }
    if (!collect_texts(a, &set, &texts, &count)) {
        return error_memory(err);
    }
    if (!tokenizer_train(a, texts, count, VOCABULARY, &t, err)) {
        return false;
    }
    wanted.vocabulary = t.vocabulary;
    if (!model_make(a, &wanted, &m, err)) {
        return false;
    }
    model_initialise(&m, &random);
    printf("%zu answers, %zu phrasings, %u tokens, %zu parameters\n", set.count, count - set.count,
           t.vocabulary, m.parameter_count);
    return train(a, &set, &t, &settings, &m, err) && gguf_write(path, &m, &t, err) &&
           run_evaluate(a, folder, path, false, err);
}

static bool run_ask(arena *a, const char *path, const char *asked, error *err) {
    model m;
    tokenizer t;
    return gguf_read(a, path, &m, &t, err) && evaluate_ask(a, slice_of_text(asked), &m, &t, err);
}

static bool run(arena *a, int count, char **words, bool *understood, error *err) {
    const char *verb = count > 1 ? words[1] : "";
    uint64_t epochs = EPOCHS;
    if (strcmp(verb, "train") == 0 &&
        (count == 4 ||
         (count == 5 && slice_to_u64(slice_of_text(words[4]), &epochs) && epochs > 0 && epochs <= 10000))) {
        return run_train(a, words[2], words[3], (uint32_t)epochs, err);
    }
    if (strcmp(verb, "evaluate") == 0 && (count == 4 || (count == 5 && strcmp(words[4], "--wrong") == 0))) {
        return run_evaluate(a, words[2], words[3], count == 5, err);
    }
    if (strcmp(verb, "ask") == 0 && count == 4) {
        return run_ask(a, words[2], words[3], err);
    }
    *understood = false;
    return false;
}

int main(int count, char **words) {
    error err = {0};
    bool understood = true;
    openblas_set_num_threads(1); /* the trainer divides the work itself, so that sums keep their order */
    arena *a = arena_new(MEMORY_LIMIT);
    bool good = a != NULL ? run(a, count, words, &understood, &err) : error_memory(&err);
    arena_free(a);
    if (!understood) {
        fputs(usage, stderr);
        return 2;
    }
    if (!good) {
        fprintf(stderr, "demo_trainer: %s\n", err.text);
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

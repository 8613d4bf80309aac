#ifndef APP_ENGINE_GOLDEN_REPORT_H
#define APP_ENGINE_GOLDEN_REPORT_H

#include "base/buffer.h"
#include "golden_model.h"

enum { GOLDEN_MODELS_MAX = 16, GOLDEN_OUTPUT_MAX = 1024 * 1024 };

/* What `cellule engine golden` computes, and how it tells it. */
typedef struct golden {
    char **paths;
    size_t model_count;
    model_files files[GOLDEN_MODELS_MAX];
    golden_model models[GOLDEN_MODELS_MAX];
    engine_threads *threads[GOLDEN_THREADS];
    const char *forms[GOLDEN_FORMS_MAX];
    size_t form_count;
    golden_operation operations[GOLDEN_FORMS_MAX][GOLDEN_OPERATIONS_MAX];
    size_t operation_count;
    bool json;
} golden;

/* Results that aren't what another form, number of threads or company gave. */
size_t golden_count_differences(const golden *g);
/* Lines that don't say which forms this machine has, so that those of two machines can be compared; a form
 * that gives something else has its own. */
void golden_append_text(const golden *g, buffer *out);
void golden_append_json(const golden *g, buffer *out);

#endif

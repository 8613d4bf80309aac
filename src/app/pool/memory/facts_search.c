#include "codec/json.h"
#include "memory/fact_find.h"
#include "memory/facts.h"
#include "reply.h"

enum { FOUND_DEFAULT = 10, QUERY_MAX = 8192, BODY_DEPTH = 4, BODY_VALUES = 16 };

/* On failure `*param` names the member at fault, or is NULL. */
static bool read_query(pool *p, http_request *request, slice *query, uint64_t *limit, const char **param,
                       error *err) {
    json_value *root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, err);
    *param = root == NULL ? NULL : "query";
    bool read = root != NULL && json_get_text(root, "query", query, err) &&
                ((query->length > 0 && query->length <= QUERY_MAX) ||
                 error_set(err, ERROR_INVALID, "query: must be 1 to %d bytes", (int)QUERY_MAX)) &&
                (arena_copy(http_request_arena(request), *query, query) || error_memory(err));
    if (read) {
        *param = "limit";
        read = json_get_u64_or(root, "limit", 1, INDEX_MOST, FOUND_DEFAULT, limit, err);
    }
    json_free(root);
    return read;
}

static void found(void *context, const found_fact *facts, size_t count, const error *failure) {
    memory_task *t = context;
    reply_json answer;
    if (failure != NULL) {
        memory_task_fail(t, "fact", failure);
        return;
    }
    http_request *request = memory_task_end(t);
    if (request == NULL) {
        return;
    }
    reply_list_begin(&answer, "facts");
    for (size_t i = 0; i < count; i++) {
        json_write_object_begin(&answer.w);
        fact_write_json(&answer.w, facts[i].id, &facts[i].fact);
        json_add_double(&answer.w, "score", (double)facts[i].score);
        json_write_object_end(&answer.w);
    }
    reply_list_end(&answer, request, false);
}

static void begin(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    slice query;
    uint64_t limit = 0;
    const char *param = NULL;
    (void)who;
    (void)segment;
    if (!read_query(p, request, &query, &limit, &param, &err)) {
        reply_unreadable(request, param, &err);
        return;
    }
    if (v == NULL) {
        reply_json answer;
        reply_list_begin(&answer, "facts");
        reply_list_end(&answer, request, false);
        return;
    }
    memory_task *t = memory_task_new(p, request, v);
    if (t != NULL && fact_search_start(p, v, query, limit, found, t, &err) == NULL) {
        memory_task_fail(t, "fact", &err);
    }
}

void facts_search(pool *p, http_request *request, const account *who, slice segment) {
    memory_enter(p, request, who, segment, MEMORY_IF_ANY, begin);
}

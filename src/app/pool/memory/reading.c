#include "memory/reading.h"

#include "memory/gate.h"
#include "memory/keyring.h"
#include "reply.h"
#include "sso/identify.h"

static size_t count_of(const pool *p, uint64_t user_id, size_t *all) {
    size_t count = 0;
    *all = 0;
    for (const list_node *node = p->readings.next; node != &p->readings; node = node->next) {
        count += LIST_ENTRY(node, const reading, node)->user_id == user_id;
        (*all)++;
    }
    return count;
}

static void client_left(void *context) {
    reading *r = context;
    reading_stop(r);
    r->gone(r->context);
}

bool reading_start(pool *p, reading *r, http_request *request, const account *who,
                   void (*gone)(void *context), void *context, error *err) {
    size_t all = 0;
    if (count_of(p, who->user_id, &all) >= READINGS_OF_USER_MAX) {
        return error_set(err, ERROR_LIMIT,
                         "%d searches or exports of yours are under way; ask again when one has ended",
                         (int)READINGS_OF_USER_MAX);
    }
    if (all >= READINGS_MAX) {
        return error_set(err, ERROR_LIMIT, "too many users search or export just now; try again in a moment");
    }
    *r = (reading){.request = request,
                   .user_id = who->user_id,
                   .key_id = who->key_id,
                   .login = who->login,
                   .gone = gone,
                   .context = context};
    list_init(&r->node);
    list_append(&p->readings, &r->node);
    http_request_on_closed(request, client_left, r);
    return true;
}

void reading_stop(reading *r) {
    if (r->request != NULL) {
        http_request_on_closed(r->request, NULL, NULL);
        http_request_on_drained(r->request, NULL, NULL);
        list_remove(&r->node);
        r->request = NULL;
    }
}

/* NULL: the request isn't to be answered any more. */
static http_request *take_request(reading *r) {
    http_request *request = r->request;
    reading_stop(r);
    if (r->begun) {
        http_stream_abort(request);
        return NULL;
    }
    return request;
}

static bool fits(const reading *r, const readings_of *which) {
    return (which->user_id == 0 || which->user_id == r->user_id) &&
           (which->key_id == 0 || which->key_id == r->key_id) &&
           (which->login == 0 || which->login == r->login);
}

static reading *first_of(const pool *p, const readings_of *which) {
    for (list_node *node = p->readings.next; node != &p->readings; node = node->next) {
        if (fits(LIST_ENTRY(node, reading, node), which)) {
            return LIST_ENTRY(node, reading, node);
        }
    }
    return NULL;
}

/* Looked for anew each time: an answer may let the same client's next request begin. */
void readings_end(pool *p, const readings_of *which, unsigned status, const char *code, const char *text) {
    for (reading *r = first_of(p, which); r != NULL; r = first_of(p, which)) {
        http_request *request = take_request(r);
        r->gone(r->context);
        if (request != NULL) {
            reply_error(request, status, NULL, code, "%s", text);
        }
    }
}

static bool has_waited(const pool *p, const reading *r) {
    return r->waits_ms != 0 && ev_now_ms(p->loop) - r->waits_ms >= KEYRING_IDLE_MS;
}

static bool is_over(pool *p, const reading *r, error *err) {
    bool known = identify(p, r->request, err) != NULL;
    return (!known && (err->code == ERROR_NONE || err->code == ERROR_DENIED)) || has_waited(p, r);
}

static reading *first_over(pool *p, error *err) {
    for (list_node *node = p->readings.next; node != &p->readings; node = node->next) {
        if (is_over(p, LIST_ENTRY(node, reading, node), err)) {
            return LIST_ENTRY(node, reading, node);
        }
    }
    return NULL;
}

void readings_keep_house(pool *p) {
    error err = {0};
    for (reading *r = first_over(p, &err); r != NULL; r = first_over(p, &err)) {
        http_request *request = take_request(r);
        r->gone(r->context);
        if (request != NULL) {
            memory_refuse_caller(request, &err);
        }
    }
}

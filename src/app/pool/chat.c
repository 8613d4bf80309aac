#include "chat.h"

#include "job.h"
#include "reply.h"

/* What the caller asks beyond OpenAI's API: refused where this release can't give it, never silently left
 * out. */
static bool check_headers(http_request *request) {
    slice value;
    if (http_request_header_count(request, "x-cellule-verify") > 0 &&
        (!http_request_header(request, "x-cellule-verify", &value) || !slice_equal_text(value, "off"))) {
        reply_error(request, 400, "X-Cellule-Verify", "not_supported",
                    "this release re-computes no answers: leave the header X-Cellule-Verify out");
        return false;
    }
    return true;
}

void chat_completions(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    const char *param = NULL;
    error err = {0};
    chat_request chat;
    if (p->draining) {
        reply_error(request, 503, NULL, "pool_stopping", "the pool is stopping; ask again in a moment");
    } else if (!check_headers(request)) {
        return;
    } else if (!chat_request_parse(http_request_body(request), &p->settings, http_request_arena(request),
                                   &chat, &param, &err)) {
        reply_unreadable(request, param, &err);
    } else {
        job_start(p, request, who, &chat);
    }
}

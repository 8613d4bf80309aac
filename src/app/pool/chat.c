#include "chat.h"

#include "job.h"
#include "reply.h"

/* What the caller asks beyond OpenAI's API: refused where this release can't give it, never silently left
 * out. */
static bool read_mode(http_request *request, verify_mode *mode) {
    slice value = {0};
    *mode = VERIFY_OFF;
    if (http_request_header_count(request, "x-cellule-verify") == 0) {
        return true;
    }
    if (!http_request_header(request, "x-cellule-verify", &value) || !verify_mode_parse(value, mode) ||
        (*mode != VERIFY_OFF && *mode != VERIFY_REQUIRED)) {
        reply_error(request, 400, "X-Cellule-Verify", "not_supported",
                    "this release takes off and required in the header X-Cellule-Verify");
        return false;
    }
    return true;
}

void chat_completions(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    const char *param = NULL;
    error err = {0};
    chat_request chat;
    verify_mode mode = VERIFY_REQUIRED;
    if (p->draining) {
        reply_error(request, 503, NULL, "pool_stopping", "the pool is stopping; ask again in a moment");
    } else if (!read_mode(request, &mode)) {
        return;
    } else if (!chat_request_parse(http_request_body(request), &p->settings, http_request_arena(request),
                                   &chat, &param, &err)) {
        reply_unreadable(request, param, &err);
    } else {
        job_start(p, request, who, &chat, mode);
    }
}

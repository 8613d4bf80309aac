#include "chat.h"

#include "memory/recall.h"
#include "proof/proof.h"
#include "reply.h"

void chat_completions(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    const char *param = NULL;
    error err = {0};
    chat_request chat;
    verify_mode mode;
    if (p->draining) {
        reply_error(request, 503, NULL, "pool_stopping", "the pool is stopping; ask again in a moment");
    } else if (!chat_request_parse(http_request_body(request), &p->settings, http_request_arena(request),
                                   &chat, &param, &err)) {
        reply_unreadable(request, param, &err);
    } else if (proof_mode_of(p, who, chat.model, request, &mode)) {
        recall_start(p, request, who, &chat, mode);
    }
}

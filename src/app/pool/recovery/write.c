#include "recovery/write.h"

void recovery_write(json_writer *w, const recovery *r, bool with_code) {
    char id[2 * RECOVERY_ID_SIZE + 1];
    char code[RECOVERY_CODE_SIZE];
    error ignored = {0};
    hex_encode(slice_of(r->id, sizeof r->id), id);
    json_write_object_begin(w);
    json_add_text(w, "object", SLICE_LITERAL("cellule.recovery"));
    json_add_text(w, "id", slice_of_text(id));
    json_add_text(w, "user", slice_of_text(r->user_name));
    json_add_u64(w, "asked_ms", r->asked_ms);
    json_add_u64(w, "expires_ms", r->asked_ms + RECOVERY_LONGEST_MS);
    json_add_u64(w, "needed", r->set.needed);
    json_add_u64(w, "given", r->given_count);
    json_add_text(w, "state", r->data_key == NULL ? SLICE_LITERAL("waiting") : SLICE_LITERAL("ready"));
    json_add_bytes(w, "public_key", slice_of(r->public_key, sizeof r->public_key));
    if (with_code && recovery_code(r->id, r->public_key, code, &ignored)) {
        json_add_text(w, "code", slice_of_text(code));
    }
    json_write_object_end(w);
}

void recovery_reply(http_request *request, const recovery *r, bool with_code, unsigned status) {
    reply_json answer;
    reply_json_begin(&answer);
    recovery_write(&answer.w, r, with_code);
    reply_json_end(&answer, request, status);
}

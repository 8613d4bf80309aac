#include "runtime_logprobs.h"

#include "proto/message.h"
#include "runtime_pieces.h"

#include <math.h>

static const double steps = 1024; /* finer ones say nothing, and are long on the wire */

static bool read_logprob(const json_value *token, float *logprob) {
    const json_value *value = json_find(token, "logprob");
    double number = json_to_double(value);
    if (json_kind_of(value) != JSON_KIND_NUMBER || !(number <= 0 && number >= -(double)PROTO_LOGPROB_MAX)) {
        return false;
    }
    *logprob = (float)(round(number * steps) / steps) + 0.0F;
    return true;
}

/* In bytes; a token that is no whole characters shows another text than its bytes. */
static size_t length_of(const json_value *token) {
    const json_value *bytes = json_find(token, "bytes");
    return json_kind_of(bytes) == JSON_KIND_ARRAY ? json_count(bytes)
                                                  : json_text_of(json_find(token, "token")).length;
}

static bool is_between_characters(slice text, size_t at) {
    return at >= text.length || (text.data[at] & 0xC0) != 0x80;
}

size_t runtime_logprobs_read(const json_value *choice, slice text, runtime_part parts[RUNTIME_PARTS_MAX]) {
    const json_value *content = json_find(json_find(choice, "logprobs"), "content");
    size_t tokens = json_count(content);
    size_t count = 0;
    size_t start = 0;
    size_t end = 0;
    if (tokens > RUNTIME_PARTS_MAX) {
        return 0;
    }
    for (size_t i = 0; i < tokens; i++) {
        const json_value *token = json_at(content, i);
        float logprob = 0;
        size_t length = tokens == 1 ? text.length : length_of(token);
        if (!read_logprob(token, &logprob) || length > text.length - end) {
            return 0;
        }
        end += length;
        if (end > start && is_between_characters(text, end)) {
            parts[count++] = (runtime_part){slice_part(text, start, end - start), logprob};
            start = end;
        }
        if (count > 0 && parts[count - 1].text.length > RUNTIME_PIECE_MAX) {
            return 0;
        }
    }
    return start == text.length ? count : 0;
}

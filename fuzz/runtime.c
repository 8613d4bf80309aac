#include "runtime_logprobs.h"
#include "runtime_pieces.h"
#include "runtime_request.h"
#include "runtime_stream.h"

#include "codec/json.h"
#include "crypto/start.h"

#include <stdlib.h>

enum { MAX_TOKENS = 50 };

static void require(bool condition) {
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    error err;
    (void)argc;
    (void)argv;
    json_start(7);
    require(crypto_start(&err));
    return 0;
}

static void read_logprobs(const json_value *choice, slice text) {
    runtime_part parts[RUNTIME_PARTS_MAX];
    size_t count = runtime_logprobs_read(choice, text, parts);
    size_t length = 0;
    require(count <= RUNTIME_PARTS_MAX);
    for (size_t i = 0; i < count; i++) {
        require(parts[i].logprob <= 0 && parts[i].logprob >= -PROTO_LOGPROB_MAX);
        require(parts[i].text.data == text.data + length && parts[i].text.length > 0 &&
                parts[i].text.length <= RUNTIME_PIECE_MAX && slice_is_utf8(parts[i].text));
        length += parts[i].text.length;
    }
    require(count == 0 || length == text.length);
}

/* What is told of a stream, whatever it holds, is within its bounds. */
static void read_stream(slice input, size_t step) {
    runtime_stream stream = runtime_stream_make(MAX_TOKENS);
    runtime_pieces pieces = {.most = MAX_TOKENS};
    error err = {0};
    bool over = false;
    for (size_t at = 0; at < input.length && !over; at += step) {
        slice rest = slice_part(input, at, step);
        while (rest.length > 0 && !over) {
            slice text = {0};
            slice piece = {0};
            runtime_event event = runtime_stream_next(&stream, &rest, &text, &err);
            over = event == RUNTIME_BAD || event == RUNTIME_DONE;
            require(event != RUNTIME_TEXT || (text.length > 0 && slice_is_utf8(text)));
            require(event != RUNTIME_DONE || stream.has_finish);
            if (event == RUNTIME_TEXT) {
                read_logprobs(stream.choice, text);
            }
            while (runtime_pieces_take(&pieces, &text, &piece) == RUNTIME_PIECE_GIVEN) {
                require(piece.length > 0 && piece.length <= RUNTIME_PIECE_MAX && slice_is_utf8(piece));
            }
        }
    }
    slice last = {0};
    uint32_t missing = 0;
    runtime_pieces_end(&pieces, stream.completion_tokens, &last, &missing);
    require(pieces.count <= MAX_TOKENS && missing <= pieces.count && last.length <= RUNTIME_PIECE_MAX);
    runtime_stream_free(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    runtime_description d;
    error err = {0};
    if (size == 0) {
        return 0;
    }
    slice input = slice_of(data + 1, size - 1);
    read_stream(input, 1 + (size_t)data[0]);
    if (runtime_describe(input, SLICE_LITERAL("tiny"), NULL, &d, &err)) {
        runtime_describe_more(input, SLICE_LITERAL("tiny"), &d);
        require(d.context <= ENGINE_CONTEXT_MAX && d.slots <= ENGINE_SLOTS_MAX);
    }
    return 0;
}

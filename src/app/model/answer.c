#include "app_model/answer.h"

#include "app_model/tool.h"
#include "os/clock.h"

enum { TEXT_MAX = 64 * 1024 * 1024 };

static bool take(answer *a, const answer_request *request, const engine_output *out, error *err) {
    if (out->has_token) {
        buffer_append(&a->tokens, slice_of(&out->token, sizeof out->token));
        buffer_append(&a->text, out->text);
        if (request->take != NULL) {
            request->take(request->context, out->token, out->text);
        }
    }
    a->finish = out->finish;
    return (!buffer_failed(&a->tokens) && !buffer_failed(&a->text)) || error_memory(err);
}

static bool step_to_end(answer *a, engine_model *model, const answer_request *request, error *err) {
    engine_output outputs[ENGINE_SLOTS_MAX];
    uint64_t start = clock_monotonic_ns();
    uint64_t first = 0;
    while (a->finish == ENGINE_RUNNING && !a->cancelled) {
        size_t count = 0;
        if (!tool_step(model, outputs, &count, err) || (count > 0 && !take(a, request, &outputs[0], err))) {
            return false;
        }
        if (count > 0 && first == 0) {
            first = clock_monotonic_ns();
            a->prefill_seconds = (double)(first - start) / 1e9;
        }
        a->cancelled = a->finish == ENGINE_RUNNING && *request->cancel != 0;
    }
    a->decode_seconds = first == 0 ? 0 : tool_seconds_since(first);
    return true;
}

bool answer_compute(answer *a, engine_model *model, const answer_request *request, error *err) {
    *a = (answer){.text = buffer_make(TEXT_MAX), .tokens = buffer_make(TEXT_MAX)};
    engine_sequence *sequence = engine_generate(model, request->prompt, request->prompt_count,
                                                request->parameters, request->draw, err);
    if (sequence == NULL) {
        return false;
    }
    bool good = step_to_end(a, model, request, err);
    a->usage = engine_sequence_usage(sequence);
    if (good && !a->cancelled) {
        engine_sequence_commitment(sequence, a->commitment);
    }
    engine_sequence_free(sequence);
    return good;
}

void answer_free(answer *a) {
    buffer_free(&a->text);
    buffer_free(&a->tokens);
}

static double speed(uint32_t count, double seconds) {
    return seconds > 0 ? count / seconds : 0;
}

double answer_prefill_speed(const answer *a) {
    return speed(a->usage.prompt_tokens - a->usage.reused_tokens, a->prefill_seconds);
}

double answer_decode_speed(const answer *a) {
    uint32_t drawn = a->usage.completion_tokens;
    return speed(drawn > 0 ? drawn - 1 : 0, a->decode_seconds);
}

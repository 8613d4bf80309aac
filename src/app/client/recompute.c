#include "recompute.h"

#include "app_model/answer.h"
#include "app_model/tool.h"
#include "base/memory.h"

#include <stdio.h>
#include <unistd.h>

enum { TEXT_LIMIT = 64 * 1024 * 1024, ENDS_LIMIT = (ENGINE_CONTEXT_MAX + 1) * sizeof(size_t) };

/* What is computed here, token by token. */
typedef struct computed {
    const recomputation *task;
    tool tool;
    answer answer;
    buffer text; /* as a worker gives it out */
    buffer ends; /* size_t: where the text stood after each token */
    uint32_t count;
    uint32_t claimed;
    bool shows_progress;
} computed;

/* A reason that says nothing about the worker. */
static outcome unchecked(error *err) {
    error_context(err, "cannot be checked here");
    return OUTCOME_UNCHECKED;
}

static outcome refute(size_t *token, size_t place, error *err) {
    *token = place;
    if (place > 0) {
        error_context(err, "refuted at token %zu", place);
    } else {
        error_context(err, "refuted");
    }
    return OUTCOME_REFUTED;
}

/* What need not be computed to be known. */
static bool can_be_checked(const recomputation *r, error *err) {
    const receipt *fields = &r->entry->fields;
    uint8_t none[HASH_SIZE];
    if (strcmp(fields->engine_profile, ENGINE_PROFILE) != 0) {
        return error_set(err, ERROR_UNSUPPORTED,
                         "the answer was computed in the profile \"%s\", and this program computes \"%s\"",
                         fields->engine_profile, ENGINE_PROFILE);
    }
    if (r->asked->message_count == 0) {
        return error_set(err, ERROR_NOT_FOUND, "what was asked isn't given: add --question or --messages");
    }
    if (fields->finish == RECEIPT_FINISH_CANCELLED || fields->completion_tokens > ENGINE_CONTEXT_MAX) {
        return error_set(err, ERROR_UNSUPPORTED,
                         "the answer was cancelled, or is longer than any context: it has no end to compare");
    }
    return receipt_hash_stop(r->asked->stops, r->asked->stop_count, none, err) &&
           (memcmp(none, fields->stop_hash, sizeof none) == 0 ||
            error_set(err, ERROR_NOT_FOUND,
                      "the answer was to end at stop strings that aren't given: add each with --stop, in "
                      "their order, or the whole request with --messages"));
}

/* U+0000 can't stand in a message: workers write U+FFFD. */
static void append_text(buffer *out, slice text) {
    while (text.length > 0) {
        size_t nul = slice_find(text, 0);
        buffer_append(out, slice_part(text, 0, nul));
        if (nul == SIZE_MAX) {
            return;
        }
        buffer_append_text(out, "\xEF\xBF\xBD");
        text = slice_after(text, nul + 1);
    }
}

static void show_progress(const computed *c) {
    if (c->shows_progress) {
        uint32_t of_claimed = c->count < c->claimed ? c->count : c->claimed;
        fprintf(stderr, "\rtokens %u of %u", of_claimed, c->claimed);
    }
}

static void take_token(void *context, uint32_t token, slice text) {
    computed *c = context;
    (void)token;
    append_text(&c->text, text);
    size_t end = buffer_length(&c->text);
    buffer_append(&c->ends, slice_of(&end, sizeof end));
    c->count++;
    show_progress(c);
}

/* One token more than is claimed tells whether the answer ends there. */
static uint32_t most_tokens(const receipt *fields) {
    uint32_t more = fields->completion_tokens + 1;
    return fields->max_tokens == 0 || fields->max_tokens > more ? more : fields->max_tokens;
}

static bool generate(computed *c, const uint32_t *prompt, size_t count, error *err) {
    static const volatile sig_atomic_t never = 0;
    const receipt *fields = &c->task->entry->fields;
    engine_parameters parameters = {.temperature = fields->temperature,
                                    .top_p = fields->top_p,
                                    .repetition_penalty = 1,
                                    .max_tokens = most_tokens(fields),
                                    .stop_count = c->task->asked->stop_count};
    engine_draw draw = {.seed = fields->seed};
    memcpy(parameters.stops, c->task->asked->stops, sizeof c->task->asked->stops);
    if (!receipt_nonce(c->task->entry->salt, draw.nonce, err)) {
        return false;
    }
    answer_request wanted = {.prompt = prompt,
                             .prompt_count = count,
                             .parameters = &parameters,
                             .draw = &draw,
                             .cancel = &never,
                             .take = take_token,
                             .context = c};
    show_progress(c);
    bool good = answer_compute(&c->answer, c->tool.model, &wanted, err);
    if (c->shows_progress) {
        fputs("\r\033[K", stderr);
    }
    return good && ((!buffer_failed(&c->text) && !buffer_failed(&c->ends)) || error_memory(err));
}

static bool compute(computed *c, error *err) {
    const request *asked = c->task->asked;
    uint32_t *tokens = NULL;
    size_t count = 0;
    engine_message *messages = memory_allocate_zeroed(asked->message_count, sizeof *messages);
    if (messages == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < asked->message_count; i++) {
        messages[i].role = asked->messages[i].role;
        messages[i].content = asked->messages[i].content;
    }
    bool good = engine_prompt(c->tool.model, messages, asked->message_count, (slice){NULL, 0}, &tokens,
                              &count, err) &&
                generate(c, tokens, count, err);
    memory_free(messages);
    memory_free(tokens);
    return good;
}

static size_t end_of(const computed *c, size_t index) {
    size_t end = 0;
    slice place = slice_part(buffer_slice(&c->ends), index * sizeof end, sizeof end);
    if (place.length == sizeof end) {
        memcpy(&end, place.data, sizeof end);
    }
    return end;
}

static uint32_t token_at(const computed *c, size_t index) {
    uint32_t token = 0;
    slice place = slice_part(buffer_slice(&c->answer.tokens), index * sizeof token, sizeof token);
    if (place.length == sizeof token) {
        memcpy(&token, place.data, sizeof token);
    }
    return token;
}

static size_t first_difference(slice a, slice b) {
    size_t i = 0;
    while (i < a.length && i < b.length && a.data[i] == b.data[i]) {
        i++;
    }
    return i;
}

/* The token, from 1, that wrote the byte at `place`. Text may come after its token, with a later one: of what
 * came together each token in turn wrote as much as it is long. */
static size_t token_of_byte(const computed *c, size_t place) {
    size_t first = 0; /* of those that came together */
    size_t start = 0;
    for (size_t i = 0; i < c->count; i++) {
        size_t end = end_of(c, i);
        if (end > place) {
            for (; first < i; first++) {
                start += engine_token_text(c->tool.model, token_at(c, first)).length;
                if (start > place) {
                    break;
                }
            }
            return first + 1;
        }
        if (end > start) {
            first = i + 1;
            start = end;
        }
    }
    return first + 1; /* behind all text: the end marker, or nothing at all */
}

/* The first token that can't be one of `text`'s. */
static size_t differs_at(const computed *c, slice text) {
    return token_of_byte(c, first_difference(buffer_slice(&c->text), text));
}

static bool check_tokens(const computed *c, bool *same, error *err) {
    uint8_t digest[HASH_SIZE];
    const receipt *fields = &c->task->entry->fields;
    *same = false;
    if (c->count < c->claimed) {
        return true;
    }
    uint32_t *tokens = memory_allocate_zeroed(c->claimed, sizeof *tokens);
    if (tokens == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < c->claimed; i++) {
        tokens[i] = token_at(c, i);
    }
    bool good = receipt_hash_tokens(tokens, c->claimed, digest, err);
    memory_free(tokens);
    *same = good && memcmp(digest, fields->token_hash, sizeof digest) == 0;
    return good;
}

/* The receipt's own text or tokens are others than these. */
static outcome refute_tokens(const computed *c, size_t *token, error *err) {
    const recomputation *r = c->task;
    bool located = r->answer != NULL && !slice_equal(*r->answer, buffer_slice(&c->text));
    if (r->answer != NULL && !r->answer_is_receipts) {
        error_set(err, ERROR_CORRUPT,
                  "the model gives another answer than the one in the receipt, which is not this one either");
    } else {
        error_set(err, ERROR_CORRUPT, "the model gives another answer than the one in the receipt");
    }
    return refute(token, located ? differs_at(c, *r->answer) : 0, err);
}

/* All tokens are right and one more came. */
static outcome judge_open_end(const computed *c, size_t *token, error *err) {
    const recomputation *r = c->task;
    if (r->entry->fields.finish == RECEIPT_FINISH_LENGTH && r->load.context == 0 && c->claimed > 0) {
        error_set(
            err, ERROR_UNSUPPORTED,
            "the %u tokens are right, but the model would go on, and how much room the worker's context "
            "had isn't in the receipt: say it with --context",
            c->claimed);
        return unchecked(err);
    }
    error_set(err, ERROR_CORRUPT, "the receipt's answer ends there and the model's goes on");
    return refute(token, (size_t)c->claimed + 1, err);
}

/* All tokens are right, and the answer ends with them. */
static outcome judge_rest(const computed *c, size_t *token, error *err) {
    const recomputation *r = c->task;
    const receipt *fields = &r->entry->fields;
    uint8_t digest[HASH_SIZE];
    uint8_t text_hash[HASH_SIZE];
    if (!receipt_hash_answer(r->entry->salt, buffer_slice(&c->text), digest, err)) {
        return unchecked(err);
    }
    if (memcmp(digest, fields->answer_hash, sizeof digest) != 0) {
        error_set(err, ERROR_CORRUPT, "the tokens are right, but the text in the receipt isn't theirs");
        return refute(token, r->answer != NULL && r->answer_is_receipts ? differs_at(c, *r->answer) : 0, err);
    }
    if ((c->answer.finish == ENGINE_LENGTH) != (fields->finish == RECEIPT_FINISH_LENGTH)) {
        error_set(err, ERROR_CORRUPT, "the tokens are right, but not why they ended");
        return refute(token, 0, err);
    }
    if (c->answer.usage.prompt_tokens != fields->prompt_tokens) {
        error_set(err, ERROR_CORRUPT, "the prompt has %u tokens, not %u as in the receipt",
                  (unsigned)c->answer.usage.prompt_tokens, (unsigned)fields->prompt_tokens);
        return refute(token, 0, err);
    }
    if (!hash_sha256(buffer_slice(&c->text), text_hash, err) ||
        !receipt_commit(c->answer.commitment, text_hash, fields->prompt_tokens,
                        fields->finish == RECEIPT_FINISH_STOP, digest, err)) {
        return unchecked(err);
    }
    if (memcmp(digest, fields->commitment, sizeof digest) != 0) {
        error_set(err, ERROR_CORRUPT,
                  "the tokens are right, but the worker had committed to other logits than the model's");
        return refute(token, 0, err);
    }
    if (r->answer != NULL && !r->answer_is_receipts) {
        error_set(err, ERROR_CORRUPT,
                  "this isn't the answer that the receipt is about, which itself is proved");
        return refute(token, differs_at(c, *r->answer), err);
    }
    return OUTCOME_GOOD;
}

static outcome judge(const computed *c, size_t *token, error *err) {
    bool same = false;
    if (!check_tokens(c, &same, err)) {
        return unchecked(err);
    }
    if (!same) {
        return refute_tokens(c, token, err);
    }
    return c->count > c->claimed ? judge_open_end(c, token, err) : judge_rest(c, token, err);
}

outcome recompute(const recomputation *r, size_t *token, error *err) {
    computed c = {.task = r,
                  .text = buffer_make(TEXT_LIMIT),
                  .ends = buffer_make(ENDS_LIMIT),
                  .claimed = r->entry->fields.completion_tokens,
                  .shows_progress = isatty(STDERR_FILENO) == 1};
    *token = 0;
    if (!can_be_checked(r, err) || !tool_open(&c.tool, &r->load, err)) {
        return unchecked(err);
    }
    outcome result = compute(&c, err) ? judge(&c, token, err) : unchecked(err);
    answer_free(&c.answer);
    tool_close(&c.tool);
    buffer_wipe(&c.text);
    buffer_free(&c.ends);
    return result;
}

#include "fake.h"

/* splitmix64 (Steele, Lea, Flood 2014): the answer must only be reproducible. */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static uint64_t mix(uint64_t state, slice bytes) {
    for (size_t i = 0; i < bytes.length; i++) {
        state = (state ^ bytes.data[i]) * 0x100000001b3U;
    }
    return next_random(&state);
}

bool fake_cheats(const fake *f, const uint8_t id[PROTO_ID_SIZE]) {
    return mix(f->noise, slice_of(id, PROTO_ID_SIZE)) % 100 < f->options.share;
}

uint32_t fake_answer_tokens(const fake *f, const proto_job *wanted) {
    return f->options.tokens < wanted->max_tokens ? (uint32_t)f->options.tokens : wanted->max_tokens;
}

bool fake_stops(const fake *f, uint32_t tokens) {
    return tokens >= f->options.tokens;
}

size_t fake_text_length(const fake *f, uint32_t tokens) {
    return (size_t)(f->options.reply_bytes * tokens / f->options.tokens);
}

uint32_t fake_prompt_tokens(const proto_job *wanted) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < wanted->message_count; i++) {
        bytes += wanted->messages[i].content.length;
    }
    return (uint32_t)(bytes / 4 + 4);
}

static void change_one(behaviour behave, fake_words words) {
    if (behave == OTHER_WORDS && words.text != NULL && words.text_length > 0) {
        words.text[words.text_length - 1] = '!';
    } else if (behave == FIRST_TOKEN && words.count > 0) {
        words.tokens[0] ^= 1;
    } else if (behave == LAST_TOKEN && words.count > 0) {
        words.tokens[words.count - 1] ^= 1;
    }
}

static size_t put(fake_words out, size_t at, slice text) {
    size_t room = out.text_length > at ? out.text_length - at : 0;
    size_t length = text.length < room ? text.length : room;
    if (length > 0) {
        memcpy(out.text + at, text.data, length);
    }
    return at + length;
}

/* "[role] content" and an empty line for each message. */
static void echo(const proto_job *wanted, fake_words out) {
    size_t at = 0;
    for (size_t i = 0; i < wanted->message_count; i++) {
        at = put(out, at, SLICE_LITERAL("["));
        at = put(out, at, wanted->messages[i].role);
        at = put(out, at, SLICE_LITERAL("] "));
        at = put(out, at, wanted->messages[i].content);
        at = put(out, at, SLICE_LITERAL("\n\n"));
    }
}

/* Two streams of letters and tokens, so that the tokens are the same without a text. */
void fake_answer(const fake *f, const proto_job *wanted, bool cheats, fake_words out) {
    uint64_t state = wanted->seed ^ (cheats && f->options.behave == DIFFERENT_TEXT ? f->noise : 0);
    for (size_t i = 0; i < wanted->message_count; i++) {
        state = mix(mix(state, wanted->messages[i].role), wanted->messages[i].content);
    }
    uint64_t token_state = state ^ UINT64_MAX;
    for (size_t i = 0; i < out.text_length && out.text != NULL; i++) {
        uint64_t letter = next_random(&state) % 32;
        out.text[i] = letter < 26 ? (char)('a' + letter) : ' ';
    }
    for (size_t i = 0; f->options.says != NULL && i < out.text_length && f->options.says[i] != '\0'; i++) {
        out.text[i] = f->options.says[i];
    }
    if (f->options.echoes && out.text != NULL) {
        echo(wanted, out);
    }
    for (uint32_t i = 0; i < out.count; i++) {
        out.tokens[i] = (uint32_t)(next_random(&token_state) % 32000);
    }
    if (cheats) {
        change_one(f->options.behave, out);
    }
}

bool fake_commit(const fake *f, const uint8_t nonce[PROTO_NONCE_SIZE], bool cheats, const uint32_t *tokens,
                 size_t count, uint8_t commitment[PROTO_DIGEST_SIZE], error *err) {
    bool other = cheats && (f->options.behave == DIFFERENT_TEXT || f->options.behave == OTHER_COMMITMENT);
    uint64_t logits = other ? f->noise : 0;
    hash *h = hash_new(err);
    if (h == NULL) {
        return false;
    }
    hash_update(h, slice_of(nonce, PROTO_NONCE_SIZE));
    hash_update(h, slice_of(tokens, count * sizeof *tokens));
    hash_update(h, slice_of(&logits, sizeof logits));
    bool done = hash_finish(h, commitment, err);
    hash_free(h);
    return done;
}

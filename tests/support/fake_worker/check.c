#include "fake.h"

#include "base/memory.h"
#include "ledger/finding.h"
#include "os/clock.h"

#include <stdio.h>

/* The right answer, or its own, beside the claim. */
static bool compare(const fake *f, const proto_job *wanted, bool as_own, proto_scored *scored, error *err) {
    uint32_t count = fake_answer_tokens(f, wanted);
    uint32_t claimed = (uint32_t)wanted->answer_count;
    size_t text_length = fake_text_length(f, claimed < count ? claimed : count);
    uint32_t *own = memory_allocate_zeroed(count, sizeof *own);
    char *text = memory_allocate(text_length + 1);
    uint8_t chain[PROTO_DIGEST_SIZE];
    if (own == NULL || text == NULL) {
        memory_free(own);
        memory_free(text);
        return error_memory(err);
    }
    fake_answer(f, wanted, as_own, (fake_words){text, text_length, own, count});
    uint32_t agreed = 0;
    while (agreed < claimed && agreed < count && own[agreed] == wanted->answer[agreed]) {
        agreed++;
    }
    scored->agreed = agreed;
    scored->complete = agreed == claimed && agreed == count;
    scored->has_expected = agreed < claimed && agreed < count;
    scored->expected = scored->has_expected ? own[agreed] : 0;
    uint8_t text_hash[HASH_SIZE];
    bool made = fake_commit(f, wanted->nonce, as_own, wanted->answer, wanted->answer_count, chain, err) &&
                hash_sha256(slice_of(text, text_length), text_hash, err) &&
                receipt_commit(chain, text_hash, scored->prompt_tokens, fake_stops(f, count),
                               scored->commitment, err);
    memory_free(own);
    memory_free(text);
    return made;
}

static void lie(check_behaviour checks, const proto_job *wanted, proto_scored *scored) {
    uint32_t claimed = (uint32_t)wanted->answer_count;
    if (checks == CHECK_AGREE) {
        scored->agreed = claimed;
        scored->complete = true;
        scored->has_expected = false;
        scored->expected = 0;
    } else if (checks == CHECK_WRONG_COMMITMENT) {
        scored->commitment[0] ^= 1;
    } else if (checks == CHECK_OTHER_PROMPT) {
        scored->prompt_tokens++;
    } else if (checks == CHECK_WRONG_EXPECTED) {
        scored->agreed = scored->agreed == claimed ? claimed / 2 : scored->agreed;
        scored->complete = false;
        scored->expected = wanted->answer[scored->agreed] ^ 1;
        scored->has_expected = true;
    }
}

static bool sign_finding(const fake_session *s, const proto_job *wanted, proto_scored *scored, error *err) {
    const fake *f = s->owner;
    finding found = {.version = FINDING_VERSION,
                     .temperature = wanted->temperature,
                     .top_p = wanted->top_p,
                     .max_tokens = wanted->max_tokens,
                     .seed = wanted->seed,
                     .claimed_tokens = (uint32_t)wanted->answer_count,
                     .prompt_tokens = scored->prompt_tokens,
                     .agreed = scored->agreed,
                     .complete = scored->complete,
                     .has_expected = scored->has_expected,
                     .expected = scored->expected,
                     .started_ms = scored->started_ms,
                     .finished_ms = scored->finished_ms};
    memcpy(found.pool_id, f->home.pool_id, sizeof found.pool_id);
    memcpy(found.check_id, wanted->id, sizeof found.check_id);
    memcpy(found.worker_id, s->identity->worker_id, sizeof found.worker_id);
    memcpy(found.model_digest, f->digest, sizeof found.model_digest);
    memcpy(found.commitment, scored->commitment, sizeof found.commitment);
    snprintf(found.engine_profile, sizeof found.engine_profile, "%s", f->options.profile);
    buffer bytes = buffer_make(FINDING_ENCODED_LIMIT);
    bool made = receipt_hash_prompt(wanted->salt, (const receipt_message *)(const void *)wanted->messages,
                                    wanted->message_count, found.prompt_hash, err) &&
                receipt_hash_stop(wanted->stop, wanted->stop_count, found.stop_hash, err) &&
                receipt_hash_tokens(wanted->answer, wanted->answer_count, found.token_hash, err) &&
                finding_encode(&found, &bytes, err) &&
                fake_sign(s->identity, buffer_slice(&bytes), scored->signature, err);
    buffer_free(&bytes);
    return made;
}

bool fake_check(const fake_session *s, const proto_job *wanted, bool cheats, proto_scored *scored,
                error *err) {
    check_behaviour checks = cheats ? s->owner->options.checks : CHECK_HONEST;
    *scored = (proto_scored){.prompt_tokens = fake_prompt_tokens(wanted),
                             .started_ms = clock_unix_ms(),
                             .finished_ms = clock_unix_ms()};
    memcpy(scored->id, wanted->id, sizeof scored->id);
    if (!compare(s->owner, wanted, checks == CHECK_OWN, scored, err)) {
        return false;
    }
    lie(checks, wanted, scored);
    if (!sign_finding(s, wanted, scored, err)) {
        return false;
    }
    if (checks == CHECK_FORGED) {
        scored->signature[10] ^= 1;
    }
    return true;
}

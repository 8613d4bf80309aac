#include "report.h"

#include "codec/json_writer.h"
#include "crypto/hash.h"

void report_append_text(const report_of *r, buffer *out) {
    const answer *a = r->answer;
    const engine_usage *u = &a->usage;
    buffer_append_format(out, "prefill %u tokens", u->prompt_tokens - u->reused_tokens);
    if (u->reused_tokens > 0) {
        buffer_append_format(out, " (%u more were known)", u->reused_tokens);
    }
    buffer_append_format(out, ", %.1f tokens/s; decode %u tokens, %.1f tokens/s%s\n", answer_prefill_speed(a),
                         u->completion_tokens, answer_decode_speed(a), a->cancelled ? "; stopped" : "");
}

static void add_tokens(const answer *a, json_writer *w) {
    slice rest = buffer_slice(&a->tokens);
    json_write_key(w, "tokens");
    json_write_array_begin(w);
    for (uint32_t token = 0; rest.length >= sizeof token; rest = slice_after(rest, sizeof token)) {
        memcpy(&token, rest.data, sizeof token);
        json_write_u64(w, token);
    }
    json_write_array_end(w);
}

static void add_hex(json_writer *w, const char *name, const uint8_t digest[ENGINE_DIGEST_SIZE]) {
    char text[HASH_HEX_SIZE];
    hex_encode(slice_of(digest, ENGINE_DIGEST_SIZE), text);
    json_add_text(w, name, slice_of_text(text));
}

static void add_timings(const report_of *r, json_writer *w) {
    const answer *a = r->answer;
    json_write_key(w, "timings");
    json_write_object_begin(w);
    json_add_double(w, "load_seconds", r->tool->load_seconds);
    json_add_double(w, "prefill_seconds", a->prefill_seconds);
    json_add_double(w, "decode_seconds", a->decode_seconds);
    json_add_double(w, "prefill_tokens_per_second", answer_prefill_speed(a));
    json_add_double(w, "decode_tokens_per_second", answer_decode_speed(a));
    json_write_object_end(w);
}

void report_append_json(const report_of *r, buffer *out) {
    const answer *a = r->answer;
    const engine_information *i = engine_describe(r->tool->model);
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_text(&w, "model", i->name);
    add_hex(&w, "digest", i->digest);
    json_add_text(&w, "profile", SLICE_LITERAL(ENGINE_PROFILE));
    json_add_text(&w, "kernels", slice_of_text(i->kernels));
    json_add_text(&w, "text", buffer_slice(&a->text));
    add_tokens(a, &w);
    json_add_text(&w, "finish",
                  slice_of_text(a->cancelled               ? "cancelled"
                                : a->finish == ENGINE_STOP ? "stop"
                                                           : "length"));
    json_add_u64(&w, "prompt_tokens", a->usage.prompt_tokens);
    json_add_u64(&w, "reused_tokens", a->usage.reused_tokens);
    json_add_u64(&w, "completion_tokens", a->usage.completion_tokens);
    add_timings(r, &w);
    json_add_u64_text(&w, "seed", r->seed);
    if (a->cancelled) {
        json_add_null(&w, "commitment");
    } else {
        add_hex(&w, "commitment", a->commitment);
    }
    json_write_object_end(&w);
    buffer_append_byte(out, '\n');
}

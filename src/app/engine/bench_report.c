#include "bench_report.h"

#include "codec/json_writer.h"

static double bandwidth(const bench_report *r) {
    return (double)r->model->weights_size / 1e9 / r->times->decode;
}

static double share_of_file(const bench_report *r) {
    return (double)r->resident_bytes / (double)r->file_bytes;
}

static void append_label(buffer *out, const char *label) {
    buffer_append_format(out, "%-10s", label);
}

static void append_model(const bench_report *r, buffer *out) {
    append_label(out, "model");
    buffer_append_text(out, "\"");
    json_append_escaped(out, r->model->name);
    buffer_append_format(out, "\", %.1f MB, %u %s, %s\n", (double)r->file_bytes / 1e6, r->threads,
                         r->threads == 1 ? "thread" : "threads", r->model->kernels);
    append_label(out, "load");
    buffer_append_format(out, "%.3f s, %.3f s to the first token\n", r->load_seconds,
                         r->load_seconds + r->times->first);
    if (r->resident_bytes > 0) {
        append_label(out, "memory");
        buffer_append_format(out, "%.1f MB resident then, %.2f times the file\n",
                             (double)r->resident_bytes / 1e6, share_of_file(r));
    }
}

static void append_single(const bench_report *r, buffer *out) {
    const bench_sizes *s = r->sizes;
    const bench_times *t = r->times;
    append_label(out, "prefill");
    buffer_append_format(out, "%.1f tokens/s, of %u tokens\n", s->prefill / t->prefill, s->prefill);
    append_label(out, "decode");
    buffer_append_format(out, "%.1f tokens/s, of %u behind them; %.2f GB/s of weights\n", 1 / t->decode,
                         s->decode, bandwidth(r));
    if (s->batch > 0) {
        append_label(out, "batch");
        buffer_append_format(out, "%.3f ms a step of %u answers, %.2f times that of one; %.1f tokens/s\n",
                             t->batch * 1e3, s->batch, t->batch / t->batch_one, s->batch / t->batch);
    }
}

static void append_score(const bench_report *r, buffer *out) {
    const bench_sizes *s = r->sizes;
    const bench_times *t = r->times;
    append_label(out, "score");
    buffer_append_format(out, "%.1f %% of writing the answer of %u to a prompt of %u alone",
                         100 * t->score / t->produce, s->score_answer, s->score_prompt);
    if (s->streams > 0) {
        buffer_append_format(out, ", %.1f %% of writing one of %u at once; checked at once %.1f %%",
                             100 * t->score / t->produce_stream, s->streams,
                             100 * t->score_stream / t->produce_stream);
    }
    buffer_append_byte(out, '\n');
}

static void append_depth(const bench_report *r, buffer *out) {
    const bench_sizes *s = r->sizes;
    append_label(out, "attention");
    buffer_append_format(
        out,
        "%.1f %% of a part of %u behind %u, %.1f %% of the whole prompt of %u, from what such a part takes\n"
        "          longer there (%.3f s) than at the beginning (%.3f s)\n",
        100 * bench_attention_deep(s, r->times), s->prefill, s->depth,
        100 * bench_attention_prompt(s, r->times), s->depth, r->times->deep, r->times->prefill);
}

void bench_report_append_text(const bench_report *r, buffer *out) {
    append_model(r, out);
    append_single(r, out);
    if (r->sizes->score_answer > 0) {
        append_score(r, out);
    }
    if (r->sizes->depth > 0) {
        append_depth(r, out);
    }
}

static void add_score(const bench_report *r, json_writer *w) {
    json_add_u64(w, "score_prompt_tokens", r->sizes->score_prompt);
    json_add_u64(w, "score_answer_tokens", r->sizes->score_answer);
    json_add_double(w, "produce_seconds", r->times->produce);
    json_add_double(w, "score_seconds", r->times->score);
    if (r->sizes->streams > 0) {
        json_add_u64(w, "produce_sequences", r->sizes->streams);
        json_add_double(w, "produce_batch_seconds", r->times->produce_stream);
        json_add_double(w, "score_batch_seconds", r->times->score_stream);
    }
}

static void add_depth(const bench_report *r, json_writer *w) {
    json_add_u64(w, "depth", r->sizes->depth);
    json_add_double(w, "depth_prefill_seconds", r->times->deep_prompt);
    json_add_double(w, "deep_prefill_seconds", r->times->deep);
    json_add_double(w, "attention_share", bench_attention_deep(r->sizes, r->times));
    json_add_double(w, "attention_share_of_prompt", bench_attention_prompt(r->sizes, r->times));
}

/* The names are those of bench/engine/llama_bench.c. */
void bench_report_append_json(const bench_report *r, buffer *out) {
    const bench_sizes *s = r->sizes;
    const bench_times *t = r->times;
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_text(&w, "name", r->model->name);
    json_add_text(&w, "kernels", slice_of_text(r->model->kernels));
    json_add_u64(&w, "threads", r->threads);
    json_add_u64(&w, "runs", s->runs);
    json_add_u64(&w, "file_bytes", r->file_bytes);
    json_add_u64(&w, "weights_bytes", r->model->weights_size);
    json_add_u64(&w, "resident_bytes", r->resident_bytes);
    json_add_double(&w, "load_seconds", r->load_seconds);
    json_add_double(&w, "first_token_seconds", r->load_seconds + t->first);
    json_add_u64(&w, "prefill_tokens", s->prefill);
    json_add_double(&w, "prefill_seconds", t->prefill);
    json_add_u64(&w, "decode_tokens", s->decode);
    json_add_double(&w, "decode_seconds", t->decode);
    json_add_double(&w, "decode_gb_per_second", bandwidth(r));
    if (s->batch > 0) {
        json_add_u64(&w, "batch_sequences", s->batch);
        json_add_double(&w, "batch_one_seconds", t->batch_one);
        json_add_double(&w, "batch_seconds", t->batch);
    }
    if (s->score_answer > 0) {
        add_score(r, &w);
    }
    if (s->depth > 0) {
        add_depth(r, &w);
    }
    json_write_object_end(&w);
    buffer_append_byte(out, '\n');
}

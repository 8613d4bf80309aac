#include "vocabulary_file.h"

#include "tokenizer/utf8.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TOKENS_MAX = 8192,
    SYMBOLS_MAX = 128 * 1024,
    MERGES_MAX = 500,
    SPELLING_MAX = 48,
    BORDER = UINT32_MAX
};

const char *const vocabulary_kinds[] = {"gpt2.default",
                                        "gpt2.gpt-2",
                                        "gpt2.olmo",
                                        "gpt2.smollm",
                                        "gpt2.falcon",
                                        "gpt2.llama-bpe",
                                        "gpt2.dbrx",
                                        "gpt2.qwen2",
                                        "gpt2.qwen35",
                                        "gpt2.bailingmoe",
                                        "gpt2.seed-coder",
                                        "gpt2.deepseek-llm",
                                        "gpt2.deepseek-coder",
                                        "gpt2.deepseek-v3",
                                        "gpt2.bloom",
                                        "gpt2.viking",
                                        "gpt2.tekken",
                                        "gpt2.gpt-4o",
                                        "llama",
                                        "llama.gemma",
                                        "llama.phi3",
                                        "t5",
                                        "t5.map",
                                        "bert",
                                        "bert.cased",
                                        NULL};

typedef struct maker {
    const char *tokens[TOKENS_MAX];
    int32_t kinds[TOKENS_MAX];
    float scores[TOKENS_MAX];
    size_t count;
    char *merges[MERGES_MAX];
    size_t merge_count;
    uint32_t symbols[SYMBOLS_MAX]; /* the texts, with a border behind each */
    size_t symbol_count;
    char *owned[TOKENS_MAX * 2];
    size_t owned_count;
} maker;

static char *own(maker *m, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy == NULL || m->owned_count == TOKENS_MAX * 2) {
        abort();
    }
    memcpy(copy, text, size);
    m->owned[m->owned_count++] = copy;
    return copy;
}

static uint32_t find(const maker *m, const char *text) {
    for (uint32_t id = 0; id < m->count; id++) {
        if (strcmp(m->tokens[id], text) == 0) {
            return id;
        }
    }
    return BORDER;
}

/* No file has a token twice. */
static void add(maker *m, const char *text, int32_t kind, float score) {
    if (find(m, text) != BORDER) {
        return;
    }
    if (m->count == TOKENS_MAX) {
        abort();
    }
    m->tokens[m->count] = own(m, text);
    m->kinds[m->count] = kind;
    m->scores[m->count++] = score;
}

static int hex(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char unescape(slice *line) {
    char c = (char)line->data[0];
    *line = slice_after(*line, 1);
    if (c != '\\') {
        return c;
    }
    if (line->length == 0) {
        abort();
    }
    c = (char)line->data[0];
    *line = slice_after(*line, 1);
    if (c == 'x') {
        if (line->length < 2 || hex((char)line->data[0]) < 0 || hex((char)line->data[1]) < 0) {
            abort();
        }
        c = (char)(hex((char)line->data[0]) * 16 + hex((char)line->data[1]));
        *line = slice_after(*line, 2);
        return c;
    }
    const char *known = strchr("n\nr\rt\t\\\\", c); /* each letter, then what it stands for */
    if (known == NULL || c == 0) {
        abort();
    }
    return known[1];
}

void vocabulary_texts_read(vocabulary_texts *texts, slice lines) {
    texts->count = 0;
    while (lines.length > 0) {
        size_t end = slice_find(lines, '\n');
        slice line = slice_part(lines, 0, end);
        lines = end == SIZE_MAX ? (slice){NULL, 0} : slice_after(lines, end + 1);
        size_t length = 0;
        if (texts->count == VOCABULARY_TEXTS_MAX) {
            abort();
        }
        char *text = texts->texts[texts->count++];
        while (line.length > 0) {
            text[length++] = unescape(&line);
            if (length == VOCABULARY_TEXT_SIZE || text[length - 1] == 0) {
                abort();
            }
        }
        text[length] = 0;
    }
}

static void put_symbol(maker *m, uint32_t symbol) {
    if (m->symbol_count == SYMBOLS_MAX) {
        abort();
    }
    m->symbols[m->symbol_count++] = symbol;
}

typedef struct pair {
    uint32_t left;
    uint32_t right;
} pair;

static int compare_pairs(const pair *x, const pair *y) {
    return x->left != y->left ? (x->left < y->left ? -1 : 1) : x->right < y->right ? -1 : x->right > y->right;
}

typedef struct tally {
    pair pair;
    size_t round; /* in which it was last seen */
    size_t count;
} tally;

static tally *find_tally(pair p, size_t round) {
    enum { SLOTS = 1 << 18 };
    static tally tallies[SLOTS];
    size_t slot = (p.left * 40503U + p.right * 9973U) % SLOTS;
    while (tallies[slot].round == round && compare_pairs(&tallies[slot].pair, &p) != 0) {
        slot = (slot + 1) % SLOTS;
    }
    if (tallies[slot].round != round) {
        tallies[slot] = (tally){p, round, 0};
    }
    return &tallies[slot];
}

/* The pair that stands most often, of equal ones the first in order. */
static size_t most_frequent(const maker *m, pair *best) {
    static size_t round;
    size_t most = 0;
    round++;
    for (size_t i = 0; i + 1 < m->symbol_count; i++) {
        pair p = {m->symbols[i], m->symbols[i + 1]};
        if (p.left == BORDER || p.right == BORDER ||
            strlen(m->tokens[p.left]) + strlen(m->tokens[p.right]) >= SPELLING_MAX) {
            continue;
        }
        size_t count = ++find_tally(p, round)->count;
        if (count > most || (count == most && compare_pairs(&p, best) < 0)) {
            most = count;
            *best = p;
        }
    }
    return most;
}

static void join(maker *m, pair p, uint32_t joined) {
    size_t kept = 0;
    for (size_t i = 0; i < m->symbol_count; i++) {
        bool both = i + 1 < m->symbol_count && m->symbols[i] == p.left && m->symbols[i + 1] == p.right;
        m->symbols[kept++] = both ? joined : m->symbols[i];
        i += both;
    }
    m->symbol_count = kept;
}

/* Ranks are scores, best first. */
static void train(maker *m, size_t merges) {
    pair best = {0, 0};
    for (size_t i = 0; i < merges && most_frequent(m, &best) > 1; i++) {
        char text[2 * SPELLING_MAX + 2];
        snprintf(text, sizeof text, "%s %s", m->tokens[best.left], m->tokens[best.right]);
        m->merges[m->merge_count++] = own(m, text);
        snprintf(text, sizeof text, "%s%s", m->tokens[best.left], m->tokens[best.right]);
        add(m, text, 1, -(float)i);
        join(m, best, find(m, text));
    }
}

static const char *letter(unsigned byte, char text[8]) {
    unsigned character = 256;
    for (unsigned b = 0; b <= byte; b++) {
        bool printed = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (b == byte && printed) {
            character = b;
        } else if (b < byte && !printed) {
            character++;
        }
    }
    text[utf8_write(character, (uint8_t *)text)] = 0;
    return text;
}

static void add_markers(maker *m) {
    add(m, "<|im_start|>", 3, 0);
    add(m, "<|im_end|>", 3, 0);
    add(m, "<|endoftext|>", 3, 0);
    add(m, "<b>", 4, 0);
    add(m, "<extra>", 4, 0);
    add(m, "[PAD1]", 5, 0);
}

/* Merges that spell special tokens would be the same tokens again. */
static bool is_for_training(const char *text) {
    static const char *const parts[] = {"<|", "|>", "<s>", "<b>", "<extr", "[MASK]", "[CLS]"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strstr(text, parts[i]) != NULL) {
            return false;
        }
    }
    return true;
}

static void write_tokens(maker *m, gguf_writer *w, const char *model) {
    writer_text(w, "tokenizer.ggml.model", model);
    writer_texts(w, "tokenizer.ggml.tokens", m->tokens, m->count);
    writer_i32s(w, "tokenizer.ggml.token_type", m->kinds, m->count);
}

static void make_bytes(maker *m, gguf_writer *w, const vocabulary_texts *texts, const char *pre) {
    char text[8];
    for (unsigned byte = 0; byte < 256; byte++) {
        add(m, letter(byte, text), 1, 0);
    }
    for (size_t i = 0; i < texts->count; i++) {
        for (const char *c = texts->texts[i]; *c != 0 && is_for_training(texts->texts[i]); c++) {
            put_symbol(m, (uint8_t)*c);
        }
        put_symbol(m, BORDER);
    }
    train(m, MERGES_MAX);
    /* Whole pieces that no merge makes. */
    static const char *const words[] = {
        "supercalifragilisticexpialidocious", "running", "ĠEND", "Ġfox", "stop", "456"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        add(m, words[i], 1, 0);
    }
    add(m, "<s>", 3, 0);
    add(m, "</s>", 3, 0);
    add(m, "<unk>", 2, 0);
    add_markers(m);
    if (strcmp(pre, "olmo") == 0) {
        add(m, "  ", 4, 0);
        add(m, "\n\n", 4, 0);
    }
    write_tokens(m, w, "gpt2");
    writer_text(w, "tokenizer.ggml.pre", pre);
    writer_texts(w, "tokenizer.ggml.merges", (const char *const *)m->merges, m->merge_count);
    writer_u32(w, "tokenizer.ggml.bos_token_id", find(m, "<s>"));
    writer_u32(w, "tokenizer.ggml.eos_token_id", find(m, "<|endoftext|>"));
}

/* Calls `use` with each character of the texts; with its mark for a space. */
static void each_character(maker *m, const vocabulary_texts *texts, void (*use)(maker *, const char *)) {
    for (size_t i = 0; i < texts->count; i++) {
        slice rest = is_for_training(texts->texts[i]) ? slice_of_text(texts->texts[i]) : (slice){NULL, 0};
        while (rest.length > 0) {
            char text[8] = "\xe2\x96\x81";
            size_t length = slice_utf8_length(rest);
            if (rest.data[0] != ' ') {
                memcpy(text, rest.data, length);
                text[length] = 0;
            }
            use(m, text);
            rest = slice_after(rest, length);
        }
        use(m, "");
    }
}

static void add_character(maker *m, const char *text) {
    /* Not all, so that there are unknown ones and ones made of bytes. */
    bool left_out =
        strlen(text) == 4 || (strlen(text) == 3 && ((uint8_t)text[2] % 4) == 1 && text[0] != '\xe2');
    if (text[0] != 0 && !left_out) {
        add(m, text, 1, -1000.0f - (float)(m->count % 7));
    }
}

static void put_character(maker *m, const char *text) {
    put_symbol(m, text[0] == 0 ? BORDER : find(m, text));
}

static void write_pieces(maker *m, gguf_writer *w, const char *model) {
    write_tokens(m, w, model);
    writer_array(w, "tokenizer.ggml.scores", GGUF_VALUE_F32, m->count, m->scores, m->count * sizeof(float));
}

static void make_pieces(maker *m, gguf_writer *w, const vocabulary_texts *texts, const char *variant) {
    char text[8];
    add(m, "<unk>", 2, 0);
    add(m, "<s>", 3, 0);
    add(m, "</s>", 3, 0);
    for (unsigned byte = 0; byte < 256; byte++) {
        snprintf(text, sizeof text, "<0x%02X>", byte);
        add(m, text, 6, 0);
    }
    each_character(m, texts, add_character);
    each_character(m, texts, put_character);
    train(m, MERGES_MAX);
    add_markers(m);
    if (strcmp(variant, "gemma") == 0) {
        add(m, "\n\n", 4, 0);
        add(m, "   ", 4, 0);
        writer_bool(w, "tokenizer.ggml.add_space_prefix", false);
    }
    if (strcmp(variant, "phi3") == 0) {
        writer_text(w, "general.name", "Phi-3 test");
    }
    write_pieces(m, w, "llama");
}

/* A double array of what is normalised, laid out as Darts-clone does. */
static const char *const replacements[][2] = {
    {"\t", " "},
    {"\n", " "},
    {"\r", " "},
    {"\xc2\xa0", " "},
    {"\xe3\x80\x80", " "},
    {"\xe2\x80\x83", " "},
    {"\xef\xac\x81", "fi"},
    {"\xef\xac\x82", "fl"},
    {"\xc2\xbd", "1\xe2\x81\x84"
                 "2"},
    {"e\xcc\x81", "\xc3\xa9"},
    {"E\xcc\x81", "\xc3\x89"},
    {"\xe2\x80\x8b", ""},
    {"\x01", ""},
    {"\x7f", ""},
    {"\xef\xbc\xa8", "H"},
    {"\xef\xbc\xa5", "E"},
    {"\xef\xbc\xac", "L"},
    {"\xef\xbc\xaf", "O"},
    {"\xe3\x8d\xbf", "\xe6\xa0\xaa\xe5\xbc\x8f\xe4\xbc\x9a\xe7\xa4\xbe"},
    {"\xe2\x80\xa6", "..."},
    {"e\xcc\x81\xcc\x81", "\xc3\xa9\xcc\x81"},
};
enum { REPLACEMENTS = sizeof replacements / sizeof replacements[0], UNITS = 64 * 1024 };

typedef struct double_array {
    uint32_t units[UNITS];
    bool used[UNITS];
    bool bases[UNITS];
    uint32_t values[REPLACEMENTS];
    uint32_t last;
} double_array;

static bool begins(const char *key, const uint8_t *prefix, size_t length) {
    return strlen(key) >= length && memcmp(key, prefix, length) == 0;
}

/* The bytes that keys go on with after `prefix`; 0 where one ends. */
static void continuations(const uint8_t *prefix, size_t length, bool next[256]) {
    memset(next, 0, 256 * sizeof *next);
    for (size_t i = 0; i < REPLACEMENTS; i++) {
        if (begins(replacements[i][0], prefix, length)) {
            next[(uint8_t)replacements[i][0][length]] = true;
        }
    }
}

static void lay_out(double_array *d, uint32_t node, uint8_t *prefix, size_t length) {
    bool next[256];
    continuations(prefix, length, next);
    uint32_t base = 1;
    for (bool free_base = false; !free_base; base += !free_base) {
        free_base = !d->bases[base];
        for (uint32_t c = 0; c < 256; c++) {
            free_base = free_base && !(next[c] && d->used[base ^ c]);
        }
    }
    d->bases[base] = true;
    d->units[node] |= (base ^ node) << 10 | (next[0] ? 1U << 8 : 0);
    for (uint32_t c = 0; c < 256; c++) {
        if (next[c]) {
            d->used[base ^ c] = true;
            d->units[base ^ c] = c;
            d->last = (base ^ c) > d->last ? base ^ c : d->last;
        }
    }
    for (size_t i = 0; next[0] && i < REPLACEMENTS; i++) {
        if (strlen(replacements[i][0]) == length && begins(replacements[i][0], prefix, length)) {
            d->units[base] = 1U << 31 | d->values[i];
        }
    }
    for (uint32_t c = 1; c < 256; c++) {
        if (next[c]) {
            prefix[length] = (uint8_t)c;
            lay_out(d, base ^ c, prefix, length + 1);
        }
    }
}

static void write_map(gguf_writer *w) {
    static double_array d;
    memset(&d, 0, sizeof d);
    buffer strings = buffer_make(4096);
    buffer map = buffer_make(UNITS * 8);
    buffer_append_byte(&strings, 0);
    for (size_t i = 0; i < REPLACEMENTS; i++) {
        d.values[i] = (uint32_t)buffer_length(&strings);
        buffer_append_text(&strings, replacements[i][1]);
        buffer_append_byte(&strings, 0);
    }
    uint8_t prefix[16];
    d.used[0] = true;
    lay_out(&d, 0, prefix, 0);
    uint32_t size = (d.last / 256 + 1) * 256 * (uint32_t)sizeof(uint32_t);
    buffer_append(&map, slice_of(&size, sizeof size));
    buffer_append(&map, slice_of(d.units, size));
    buffer_append(&map, buffer_slice(&strings));
    slice bytes = buffer_slice(&map);
    writer_array(w, "tokenizer.ggml.precompiled_charsmap", GGUF_VALUE_U8, bytes.length, bytes.data,
                 bytes.length);
    buffer_free(&map);
    buffer_free(&strings);
}

static void make_unigram(maker *m, gguf_writer *w, const vocabulary_texts *texts, bool mapped) {
    uint64_t state = 5;
    if (mapped) {
        add(m, "<s>", 3, 0);
        add(m, "<pad>", 3, 0);
        add(m, "</s>", 3, 0);
        add(m, "<unk>", 2, 0);
    } else {
        add(m, "<pad>", 3, 0);
        add(m, "</s>", 3, 0);
        add(m, "<unk>", 2, 0);
    }
    each_character(m, texts, add_character);
    each_character(m, texts, put_character);
    train(m, MERGES_MAX);
    for (size_t id = 0; id < m->count; id++) {
        m->scores[id] = m->kinds[id] == 1 ? -6.0f - (float)(test_random(&state) % 512) / 64.0f : 0;
    }
    add_markers(m);
    writer_bool(w, "tokenizer.ggml.add_space_prefix", true);
    writer_u32(w, "tokenizer.ggml.unknown_token_id", find(m, "<unk>"));
    writer_u32(w, "tokenizer.ggml.eos_token_id", find(m, "</s>"));
    if (mapped) {
        writer_u32(w, "tokenizer.ggml.bos_token_id", find(m, "<s>"));
        writer_bool(w, "tokenizer.ggml.add_bos_token", true);
        writer_bool(w, "tokenizer.ggml.remove_extra_whitespaces", true);
        write_map(w);
    }
    write_pieces(m, w, "t5");
}

static void add_both(maker *m, const char *text) {
    char marked[16];
    if (text[0] != 0 && strcmp(text, "\xe2\x96\x81") != 0 && strlen(text) < 4) {
        snprintf(marked, sizeof marked, "\xe2\x96\x81%s", text);
        add(m, marked, 1, 0);
        add(m, text, 1, 0);
    }
}

static void make_words(maker *m, gguf_writer *w, const vocabulary_texts *texts, bool cased) {
    static const char *const markers[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    static const char *const words[] = {"▁hello", "▁world", "▁the", "▁un",    "aff", "able", "▁run",
                                        "ning",   "ner",    "▁don", "▁quick", "▁12", "34",   "▁é",
                                        "té",     "▁ete",   "ét",   "▁Hel",   "lo",  "▁你好"};
    for (size_t i = 0; i < sizeof markers / sizeof markers[0]; i++) {
        add(m, markers[i], 3, 0);
    }
    each_character(m, texts, add_both);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        add(m, words[i], 1, 0);
    }
    add_markers(m);
    write_tokens(m, w, "bert");
    static const char *const roles[] = {"padding", "unknown", "bos", "seperator", "mask"};
    for (uint32_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        char key[64];
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", roles[i]);
        writer_u32(w, key, i);
    }
    if (cased) {
        writer_bool(w, "tokenizer.ggml.normalizer.lowercase", false);
    }
}

void vocabulary_file_make(const char *kind, const vocabulary_texts *texts, buffer *file) {
    maker *m = calloc(1, sizeof *m);
    gguf_writer w;
    if (m == NULL) {
        abort();
    }
    writer_start(&w);
    writer_text(&w, "general.architecture", "llama");
    if (strncmp(kind, "gpt2.", 5) == 0) {
        make_bytes(m, &w, texts, kind + 5);
    } else if (strncmp(kind, "llama", 5) == 0) {
        make_pieces(m, &w, texts, kind[5] == '.' ? kind + 6 : "");
    } else if (strncmp(kind, "t5", 2) == 0) {
        make_unigram(m, &w, texts, strcmp(kind, "t5.map") == 0);
    } else {
        make_words(m, &w, texts, strcmp(kind, "bert.cased") == 0);
    }
    writer_finish(&w, file);
    for (size_t i = 0; i < m->owned_count; i++) {
        free(m->owned[i]);
    }
    free(m);
}

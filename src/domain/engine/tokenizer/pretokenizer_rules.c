#include "pretokenizer_rules.h"

/* The expressions are those that the models were trained with, under llama.cpp's names (llama-vocab.cpp, and
 * the tokenizer.json of each family). Of several families with one expression each has its own line. White
 * space is spelled out: PCRE2's \s has U+180E besides. */
#define SPACES "\\p{Z}\\t-\\r\\x{85}"
#define SPACE "[" SPACES "]"
#define OTHERS " ?[^" SPACES "\\p{L}\\p{N}]+"
#define LAST_SPACES SPACE "+(?![^" SPACES "])"
#define LINE_ENDS SPACE "*[\\r\\n]+"
#define SHORT_FORMS "'s|'t|'re|'ve|'m|'ll|'d"
#define ANY_SHORT_FORMS "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"

#define GPT2 SHORT_FORMS "| ?\\p{L}+| ?\\p{N}+|" OTHERS "|" LAST_SPACES "|" SPACE "+"
#define WORDS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define REST OTHERS "[\\r\\n]*|" LINE_ENDS "|" LAST_SPACES "|" SPACE "+"
#define LLAMA3 ANY_SHORT_FORMS "|" WORDS "|\\p{N}{1,3}|" REST
#define QWEN2 ANY_SHORT_FORMS "|" WORDS "|\\p{N}|" REST
#define QWEN35                                                                                               \
    ANY_SHORT_FORMS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^" SPACES                              \
                    "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" LINE_ENDS "|" LAST_SPACES "|" SPACE "+"

/* Words that begin large or are all large, and go on small. */
#define LARGE "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define SMALL "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(tail)                                                                                          \
    "[^\\r\\n\\p{L}\\p{N}]?" LARGE "*" SMALL "+" tail "|[^\\r\\n\\p{L}\\p{N}]?" LARGE "+" SMALL "*" tail
#define CASED_REST OTHERS "[\\r\\n/]*|" LINE_ENDS "|" LAST_SPACES "|" SPACE "+"
#define TEKKEN CASED("") "|\\p{N}|" CASED_REST
#define GPT4O CASED(ANY_SHORT_FORMS "?") "|\\p{N}{1,3}|" CASED_REST

#define IDEOGRAPHS "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+"
#define DEEPSEEK_WORDS                                                                                       \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"      \
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*|" LINE_ENDS "|" LAST_SPACES "|" SPACE "+"
#define OLD_IDEOGRAPHS "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"
/* Cased letters, as of the Unicode version that DeepSeek's expression was made with. */
#define DEEPSEEK_LETTERS                                                                                     \
    SPACE "?[A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}"  \
          "\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}"              \
          "\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}"    \
          "\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}"    \
          "\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}"  \
          "\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}"   \
          "\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{3b9}\\x{1fbe}"              \
          "\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}"  \
          "\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}"             \
          "\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}"    \
          "\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}"             \
          "\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}"   \
          "\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}"  \
          "\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}"                   \
          "\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}"             \
          "\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}]+"
#define BLOOM " ?[^(" SPACES "|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+"

static const pretokenizer_rule rules[] = {
    {.name = "default", .stages = {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {.name = "gpt-2", .stages = {GPT2}},
    {.name = "phi-2", .stages = {GPT2}},
    {.name = "mpt", .stages = {GPT2}},
    {.name = "olmo", .stages = {GPT2}},
    {.name = "jais", .stages = {GPT2}},
    {.name = "trillion", .stages = {GPT2}},
    {.name = "granite-docling", .stages = {GPT2}},
    {.name = "exaone4", .stages = {GPT2}},
    {.name = "gigachat", .stages = {GPT2}},
    {.name = "mellum", .stages = {GPT2}},
    {.name = "a.x-4.0", .stages = {GPT2}},
    {.name = "modern-bert", .stages = {GPT2}},
    {.name = "jina-es", .stages = {GPT2}},
    {.name = "jina-de", .stages = {GPT2}},
    {.name = "jina-v2-es", .stages = {GPT2}},
    {.name = "jina-v2-de", .stages = {GPT2}},
    {.name = "smollm", .stages = {"\\p{N}", GPT2}},
    {.name = "starcoder", .stages = {"\\p{N}", GPT2}},
    {.name = "refact", .stages = {"\\p{N}", GPT2}},
    {.name = "command-r", .stages = {"\\p{N}", GPT2}},
    {.name = "codeshell", .stages = {"\\p{N}", GPT2}},
    {.name = "exaone", .stages = {"\\p{N}", GPT2}},
    {.name = "minerva-7b", .stages = {"\\p{N}", GPT2}},
    {.name = "falcon", .stages = {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {.name = "llama-bpe", .stages = {LLAMA3}, .ignores_merges = true, .wants_first = true},
    {.name = "llama3", .stages = {LLAMA3}, .ignores_merges = true, .wants_first = true},
    {.name = "llama-v3", .stages = {LLAMA3}, .ignores_merges = true, .wants_first = true},
    {.name = "falcon3", .stages = {LLAMA3}, .ignores_merges = true, .wants_first = true},
    {.name = "falcon-h1", .stages = {LLAMA3}, .ignores_merges = true, .wants_first = true},
    {.name = "pixtral", .stages = {LLAMA3}, .ignores_merges = true, .wants_first = true},
    {.name = "midm-2.0", .stages = {LLAMA3}, .ignores_merges = true, .wants_first = true},
    {.name = "lfm2", .stages = {LLAMA3}, .ignores_merges = true, .wants_first = true},
    {.name = "dbrx", .stages = {LLAMA3}},
    {.name = "smaug-bpe", .stages = {LLAMA3}},
    {.name = "chatglm-bpe", .stages = {LLAMA3}},
    {.name = "glm4", .stages = {LLAMA3}},
    {.name = "qwen2", .stages = {QWEN2}},
    {.name = "stablelm2", .stages = {QWEN2}},
    {.name = "deepseek-r1-qwen", .stages = {QWEN2}},
    {.name = "hunyuan", .stages = {QWEN2}},
    {.name = "megrez", .stages = {QWEN2}},
    {.name = "grok-2", .stages = {QWEN2}},
    {.name = "qwen35", .stages = {QWEN35}},
    {.name = "bailingmoe",
     .stages = {"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" WORDS "|\\p{N}|" OTHERS "[\\r\\n]*|" SPACE
                "*[\\r\\n]|" LAST_SPACES "|" SPACE "+"}},
    {.name = "seed-coder",
     .stages = {ANY_SHORT_FORMS "|" WORDS "|\\p{N}| ?[^" SPACES "\\p{L}\\p{N}\\r\\n]+|" LINE_ENDS
                                "|" LAST_SPACES "|" SPACE "+"}},
    {.name = "deepseek-llm",
     .stages = {"[\\r\\n]", DEEPSEEK_LETTERS,
                SPACE
                "?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+",
                SPACE "+\\z", OLD_IDEOGRAPHS, "\\p{N}+"}},
    {.name = "deepseek-coder",
     .stages = {"[\\r\\n]", SPACE "?\\p{L}+", SPACE "?\\p{P}+", OLD_IDEOGRAPHS, "\\p{N}"}},
    {.name = "deepseek-v3", .stages = {"\\p{N}{1,3}", IDEOGRAPHS, DEEPSEEK_WORDS}},
    {.name = "hunyuan-dense", .stages = {"\\p{N}{1,3}", IDEOGRAPHS, DEEPSEEK_WORDS}},
    {.name = "bloom", .stages = {BLOOM}},
    {.name = "gpt3-finnish", .stages = {BLOOM}},
    {.name = "poro-chat", .stages = {BLOOM}},
    {.name = "viking", .stages = {BLOOM, "\\p{N}"}},
    {.name = "tekken", .stages = {TEKKEN}, .ignores_merges = true, .wants_first = true},
    {.name = "gpt-4o", .stages = {GPT4O}},
    {.name = "llama4", .stages = {GPT4O}},
    {.name = "minimax-m2", .stages = {GPT4O}},
};

const pretokenizer_rule *pretokenizer_find_rule(slice name) {
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (slice_equal_text(name, rules[i].name)) {
            return &rules[i];
        }
    }
    return NULL;
}

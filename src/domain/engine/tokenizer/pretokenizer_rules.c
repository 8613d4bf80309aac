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
#define DEEPSEEK_LETTERS                                                                                                                                                   \
    SPACE                                                                                                                                                                  \
    "?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-"                                                  \
    "ᲺᲽ-"                                                                                                                                                              \
    "Ჿᴀ-"                                                                                                                                                              \
    "ᴫᵫ-"                                                                                                                                                              \
    "ᵷᵹ-"                                                                                                                                                              \
    "ᶚḀ-ἕἘ-Ἕἠ-ὅ"                                                                                                                                             \
    "Ὀ-Ὅὐ-ὗὙὛὝὟ-\\x{1f7d}ᾀ-ᾴᾶ-ᾼι\\x{1fbe}ῂ-ῄῆ-ῌῐ-\\x{1fd3}ῖ-\\x{1fdb}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\\x{2126}ℨ\\x{" \
    "212a}-"                                                                                                                                                               \
    "ℭℯ-ℴℹ"                                                                                                                                                        \
    "ℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-"                                        \
    "𐑏𐒰-"                                                                                                                                                            \
    "𐓓𐓘-"                                                                                                                                                            \
    "𐓻𐲀-"                                                                                                                                                            \
    "𐲲𐳀-"                                                                                                                                                            \
    "𐳲𑢠-𑣟𞤀-𞥃]+"
#define BLOOM " ?[^(" SPACES "|.,!?…。，、।۔،)]+"

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
     .stages = {"[\\r\\n]", DEEPSEEK_LETTERS, SPACE "?[!-/:-~！-／：-～‘-‟\\x{3000}-。]+", SPACE "+\\z",
                OLD_IDEOGRAPHS, "\\p{N}+"}},
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

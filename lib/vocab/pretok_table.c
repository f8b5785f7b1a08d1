// SPDX-License-Identifier: MIT
/*
 * The names of tokenizer.ggml.pre and what they stand for: expressions in PCRE2's dialect, each
 * applied to what the ones before it left, and a few cuts that are no expressions.
 *
 * The names are those that llama.cpp 0.7.0 accepts. The expressions are those of the models' own
 * tokenizer.json where it is known; llama.cpp has some of them in a form that its regex engine
 * can run (all letters alike where the original tells upper case from lower, for one).
 */
#include "internal.h"
#include "pretok.h"

/*
 * White space is spelled out: \s of PCRE2 has U+180E, which Unicode took out of the class
 * and which no tokenizer counts.
 */
#define WS	"\\p{Z}\\t-\\r\\x{85}"
#define SPACE	"[" WS "]"
#define TAIL	SPACE "+(?![^" WS "])|" SPACE "+"

/* (?i:'s|'t|...); the long s is the one other character that case folding takes to one of them. */
#define ENGLISH	"'[sS\\x{17f}]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
#define ASCII_PUNCT "!-/:-@\\[-`{-~"
#define KANJI	"\\x{4e00}-\\x{9fa5}"
#define KANA	"\\x{3040}-\\x{30ff}"

#define GPT2	"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WS "\\p{L}\\p{N}]+|" TAIL
#define PIECES(letters, digits, tail) \
	"[^\\r\\n\\p{L}\\p{N}]?" letters "|" digits "| ?[^" WS "\\p{L}\\p{N}]+" tail
#define ENDS	"|" SPACE "*[\\r\\n]+|" TAIL
#define WORDS(digits) ENGLISH "|" PIECES("\\p{L}+", digits, "[\\r\\n]*") ENDS

/* Words of cased scripts end where a capital follows a small letter. */
#define UPPER	"[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER	"[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(before, up, low, after) \
	before up "*" low "+" after "|" before up "+" low "*" after
#define ANY1	"[^\\r\\n\\p{L}\\p{N}]?"
#define CAMEL(after, digits) CASED(ANY1, UPPER, LOWER, after) "|" digits \
	"| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n/]*" ENDS

/* Kimi's classes are the above without Han, which goes by itself: complements of all the rest. */
#define UPPER_NO_HAN "[^\\p{Ll}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\p{sc:Han}]"
#define LOWER_NO_HAN "[^\\p{Lu}\\p{Lt}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\p{sc:Han}]"

/* DeepSeek-V3 and its kin, after numbers and CJK were taken out. */
#define DEEPSEEK(newlines) "[" ASCII_PUNCT "][A-Za-z]+" \
	"|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+" \
	"| ?[\\p{P}\\p{S}]+" newlines "|" TAIL

/* The cased letters as DeepSeek-LLM's tokenizer.json lists them. */
#define CASED_LETTERS \
	"A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}" \
	"\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}" \
	"\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}" \
	"\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}" \
	"\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}" \
	"\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}" \
	"\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}" \
	"\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}" \
	"\\x{1fbe}\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}" \
	"\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}" \
	"\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}" \
	"\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}" \
	"\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}" \
	"\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}" \
	"\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}" \
	"\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}" \
	"\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}" \
	"\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}"

/* Sentences of BLOOM end at these: full stops, commas and their kin of many scripts. */
#define BLOOM	" ?[^(" WS "|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+"
#define HALVED(n) SPACE "{" n "}(?![^" WS "])|"
#define LINES	"[^\\n]+|\\n+"

#define STEPS(name, ...) static const struct z5_pretok_step name[] = { __VA_ARGS__, { 0 } }
#define RE(...) { .re = __VA_ARGS__ }

STEPS(pat_gpt2, RE(GPT2));
STEPS(pat_llama3, RE(WORDS("\\p{N}{1,3}")));
STEPS(pat_qwen2, RE(WORDS("\\p{N}")));
STEPS(pat_qwen35, RE(ENGLISH "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
		     "| ?[^" WS "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" ENDS));
STEPS(pat_ufakzeka, RE(PIECES("\\p{L}+", "\\p{N}", "[\\r\\n]*") ENDS));
STEPS(pat_seed, RE(ENGLISH "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
		   "| ?[^" WS "\\p{L}\\p{N}\\r\\n]+" ENDS));
STEPS(pat_bailing, RE("'[sS\\x{17f}dDmMtT]|'[lL][lL]|'[vV][eE]|'[rR][eE]|"
		      PIECES("\\p{L}+", "\\p{N}", "[\\r\\n]*") "|" SPACE "*[\\r\\n]|" TAIL));
STEPS(pat_k2_horizon, RE(ENGLISH "|" PIECES("[\\p{L}\\p{M}\\x{200c}\\x{200d}]+", "\\p{N}{1,3}",
					    "[\\r\\n]*") ENDS));
/* One word is words with single spaces between: possessive, since nothing ever follows. */
STEPS(pat_exaone_moe, RE(ENGLISH "|" PIECES("(?:\\p{L}\\p{M}*+(?: \\p{L}\\p{M}*+)*+)++", "\\p{N}",
					    "[\\r\\n/]?") "|" SPACE "*[\\r\\n]|" TAIL));
STEPS(pat_jais2, RE(ENGLISH "|" PIECES("\\p{L}+", "\\p{N}{1,3}", "[\\r\\n]*")
		    "|" SPACE "*[\\r\\n]+|"
		    HALVED("512") HALVED("256") HALVED("128") HALVED("64") HALVED("32")
		    HALVED("16") HALVED("8") HALVED("4") HALVED("1,2") SPACE));
STEPS(pat_minicpm5, RE("\\p{N}{1,3}"), RE(WORDS("\\p{N}+")));
STEPS(pat_laguna, RE(LINES), RE(WORDS("\\p{N}")));
STEPS(pat_starcoder, RE("\\p{N}"), RE(GPT2));
STEPS(pat_default, RE("[\\p{P}$+<=>^~|]+"), RE(GPT2), RE("\\p{N}+"), RE("[0-9][0-9][0-9]"));
STEPS(pat_falcon, RE("[\\p{P}$+<=>^~|`]+"), RE(GPT2), RE("[0-9][0-9][0-9]"));
STEPS(pat_chameleon, RE("<sentinel:[0-9]+>"), RE("IMGIMG[A-I]{1,4}Z"), RE("[\\t\\n]|    |  "),
      RE("\\p{N}"), RE("[\\p{P}" ASCII_PUNCT "]"), RE(GPT2));
STEPS(pat_bloom, RE(BLOOM));
STEPS(pat_viking, RE(BLOOM), RE("\\p{N}"));
STEPS(pat_deepseek_llm, RE("[\\r\\n]"), RE(SPACE "?[" CASED_LETTERS "]+"),
      RE(SPACE "?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}"
	 "\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+"),
      RE("(?<!" SPACE ")" SPACE "++\\z"),	/* \s+$, in one attempt a run of spaces */
      RE("[" KANJI "\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"), RE("\\p{N}+"));
STEPS(pat_deepseek_coder, RE("[\\r\\n]"), RE(SPACE "?\\p{L}+"), RE(SPACE "?\\p{P}+"),
      RE("[" KANJI "\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"), RE("\\p{N}"));
STEPS(pat_deepseek_v3, RE("\\p{N}{1,3}"), RE("[" KANJI KANA "]+"),
      RE(DEEPSEEK("[\\r\\n]*|" SPACE "*[\\r\\n]+")));
STEPS(pat_spark, RE("\\p{N}{1,3}"), RE("[" KANJI KANA "]+"), RE(DEEPSEEK("|[\\r\\n]")),
      RE("\\p{N}"));
STEPS(pat_afmoe, { .cut = z5_cut_numbers },
      RE("[\\x{3400}-\\x{4dbf}\\x{4e00}-\\x{9fff}\\x{8c48}-\\x{faff}" KANA "\\x{ff65}-\\x{ff9f}"
	 "\\x{2f00}-\\x{2fdf}\\x{e40}-\\x{eff}\\x{1780}-\\x{17ff}\\x{1000}-\\x{109f}"
	 "\\x{aa60}-\\x{aa7f}\\x{a9e0}-\\x{a9ff}\\x{ac00}-\\x{d7af}\\x{1100}-\\x{11ff}]+"),
      RE(DEEPSEEK("[\\r\\n]*|" SPACE "*[\\r\\n]+")));
STEPS(pat_youtu,
      RE("[\\x{ac00}-\\x{d7a3}\\x{3131}-\\x{318e}]+|[\\x{ff01}\\x{2026}\\x{201c}\\x{201d}\\x{2018}"
	 "\\x{2019}\\x{2014}\\x{ff1a}\\x{ff1b}\\x{ff0c}\\x{3001}-\\x{303f}\\x{fe30}-\\x{fe4f}]+"
	 "|[\\x{3105}-\\x{312f}]+|[" KANJI KANA "]+"),
      RE(CAMEL("(?:" ENGLISH ")?", "\\p{N}")));
STEPS(pat_gpt4o, RE(CAMEL("(?:" ENGLISH ")?", "\\p{N}{1,3}")));
STEPS(pat_tekken, RE(CAMEL("", "\\p{N}")));
STEPS(pat_tiny_aya, { .cut = z5_cut_digits_bounded }, RE(CAMEL("(?:" ENGLISH ")?", "\\p{N}{1,3}")));
STEPS(pat_kimi, RE("\\p{sc:Han}+|" CASED(ANY1, UPPER_NO_HAN, LOWER_NO_HAN, "(?:" ENGLISH ")?")
		   "|\\p{N}{1,3}| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n]*" ENDS));
STEPS(pat_superbpe, RE("\\p{N}+"), { .cut = z5_cut_digits });
STEPS(pat_lines, RE(LINES));

#define IGNORE_MERGES Z5_PRE_IGNORE_MERGES
#define LLAMA3 pat_llama3, Z5_PRE_IGNORE_MERGES | Z5_PRE_ADD_BOS
#define GEMMA4 pat_lines, Z5_PRE_RAW | Z5_PRE_NEWLINES | Z5_PRE_FORCE_BOS

const struct z5_pretok_name z5_pretok_names[] = {
	{ "default", pat_default, 0 },
	{ "llama-bpe", LLAMA3 },
	{ "llama3", LLAMA3 },
	{ "llama-v3", LLAMA3 },
	{ "falcon3", LLAMA3 },
	{ "falcon-h1", LLAMA3 },
	{ "pixtral", LLAMA3 },
	{ "midm-2.0", LLAMA3 },
	{ "lfm2", LLAMA3 },
	{ "jina-v5-nano", LLAMA3 },
	{ "glm4", pat_llama3, IGNORE_MERGES },
	{ "glm5", pat_llama3, IGNORE_MERGES },
	{ "chatglm-bpe", pat_llama3, 0 },
	{ "dbrx", pat_llama3, 0 },
	{ "smaug-bpe", pat_llama3, 0 },
	{ "gpt-2", pat_gpt2, 0 },
	{ "phi-2", pat_gpt2, 0 },
	{ "mpt", pat_gpt2, 0 },
	{ "olmo", pat_gpt2, 0 },
	{ "jais", pat_gpt2, 0 },
	{ "trillion", pat_gpt2, 0 },
	{ "exaone4", pat_gpt2, 0 },
	{ "gigachat", pat_gpt2, 0 },
	{ "a.x-4.0", pat_gpt2, 0 },
	{ "mellum", pat_gpt2, 0 },
	{ "granite-docling", pat_gpt2, 0 },
	{ "modern-bert", pat_gpt2, 0 },
	{ "roberta-bpe", pat_gpt2, 0 },
	{ "jina-es", pat_gpt2, 0 },
	{ "jina-de", pat_gpt2, 0 },
	{ "jina-v1-en", pat_gpt2, 0 },
	{ "jina-v2-es", pat_gpt2, 0 },
	{ "jina-v2-de", pat_gpt2, 0 },
	{ "jina-v2-code", pat_gpt2, 0 },
	{ "qwen2", pat_qwen2, 0 },
	{ "deepseek-r1-qwen", pat_qwen2, 0 },
	{ "megrez", pat_qwen2, 0 },
	{ "stablelm2", pat_qwen2, 0 },
	{ "hunyuan", pat_qwen2, 0 },
	{ "solar-open", pat_qwen2, 0 },
	{ "grok-2", pat_qwen2, 0 },
	{ "kormo", pat_qwen2, 0 },
	{ "f2llmv2", pat_qwen2, 0 },
	{ "qwen35", pat_qwen35, 0 },
	{ "ufakzeka", pat_ufakzeka, 0 },
	{ "seed-coder", pat_seed, 0 },
	{ "bailingmoe", pat_bailing, 0 },
	{ "bailingmoe2", pat_bailing, 0 },
	{ "llada-moe", pat_bailing, 0 },
	{ "k2-horizon", pat_k2_horizon, 0 },
	{ "exaone-moe", pat_exaone_moe, 0 },
	{ "jais-2", pat_jais2, 0 },
	{ "minicpm5", pat_minicpm5, IGNORE_MERGES },
	{ "laguna", pat_laguna, 0 },
	{ "starcoder", pat_starcoder, 0 },
	{ "refact", pat_starcoder, 0 },
	{ "command-r", pat_starcoder, 0 },
	{ "smollm", pat_starcoder, 0 },
	{ "codeshell", pat_starcoder, 0 },
	{ "exaone", pat_starcoder, 0 },
	{ "minerva-7b", pat_starcoder, 0 },
	{ "mellum2", pat_starcoder, 0 },
	{ "falcon", pat_falcon, 0 },
	{ "chameleon", pat_chameleon, Z5_PRE_ADD_BOS },
	{ "bloom", pat_bloom, 0 },
	{ "poro-chat", pat_bloom, 0 },
	{ "gpt3-finnish", pat_bloom, 0 },
	{ "viking", pat_viking, 0 },
	{ "deepseek-llm", pat_deepseek_llm, 0 },
	{ "deepseek-coder", pat_deepseek_coder, 0 },
	{ "deepseek-v3", pat_deepseek_v3, 0 },
	{ "hunyuan-dense", pat_deepseek_v3, 0 },
	{ "hy_v4", pat_deepseek_v3, 0 },
	{ "joyai-llm", pat_deepseek_v3, 0 },
	{ "spark2_5", pat_spark, 0 },
	{ "afmoe", pat_afmoe, 0 },
	{ "youtu", pat_youtu, IGNORE_MERGES },
	{ "gpt-4o", pat_gpt4o, 0 },
	{ "llama4", pat_gpt4o, 0 },
	{ "kanana2", pat_gpt4o, 0 },
	{ "talkie", pat_gpt4o, 0 },
	{ "minimax-m2", pat_gpt4o, 0 },
	{ "granite-embed-multi-97m", pat_gpt4o, IGNORE_MERGES },
	{ "tekken", pat_tekken, Z5_PRE_IGNORE_MERGES | Z5_PRE_ADD_BOS },
	{ "tiny_aya", pat_tiny_aya, 0 },
	{ "cohere2moe", pat_tiny_aya, 0 },
	{ "kimi-k2", pat_kimi, 0 },
	{ "superbpe", pat_superbpe, 0 },
	{ "gemma4", GEMMA4 },
	{ "granite-embed-multi-311m", GEMMA4 },
	{ "mmbert", pat_lines, Z5_PRE_RAW | Z5_PRE_NEWLINES | Z5_PRE_METASPACE },
	{ "sarvam-moe", pat_lines, Z5_PRE_RAW },
	{ NULL, NULL, 0 }
};

// SPDX-License-Identifier: MIT
/* Grammars over text: what each construct matches, what is refused and with which line, and the bounds. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <errno.h>
#include <string.h>

#include "grammar/automaton.h"
#include "tests/tap.h"

static struct zen5rt_grammar *make(const char *text)
{
	struct zen5rt_grammar *g;
	struct zen5rt_error err;

	if (zen5rt_grammar_new(NULL, text, strlen(text), NULL, &g, &err)) {
		diag("%s", err.message);
		return NULL;
	}
	return g;
}

/* 'y': the text is complete; 'p': the beginning of one; 'n': neither; 'e': the grammar does not compile. */
static char match_len(const char *grammar, const char *text, size_t len)
{
	struct zen5rt_grammar *g = make(grammar);
	struct zen5rt_matcher *m;
	struct zen5rt_error err;
	char c = 'e';

	if (g && !zen5rt_matcher_new(g, &m, &err)) {
		c = zen5rt_matcher_text(m, text, len, &err) ? 'n' : zen5rt_matcher_can_end(m) ? 'y' : 'p';
		zen5rt_matcher_free(m);
	}
	zen5rt_grammar_free(g);
	return c;
}

static void test_match(void)
{
	static const struct { const char *grammar, *text; char want; } t[] = {
		{ "root ::= \"abc\"", "abc", 'y' }, { "root ::= \"abc\"", "ab", 'p' },
		{ "root ::= \"abc\"", "abcd", 'n' }, { "root ::= \"abc\"", "b", 'n' },
		{ "root ::= \"\"", "", 'y' }, { "root ::=", "", 'y' }, { "root ::=\n", "a", 'n' },
		{ "root ::= \"a\" | \"b\" | \"\"", "b", 'y' }, { "root ::= \"a\" |\n \"b\"", "b", 'y' },
		{ "root ::= (\"a\" | \"b\") \"c\"", "bc", 'y' }, { "root ::= (\n\"a\"\n|\n\"b\"\n)\n", "b", 'y' },
		{ "root ::= a-1 b_2 C\na-1 ::= \"1\"\nb_2 ::= \"2\"\r\nC ::= \"3\"", "123", 'y' },
		{ "# one\nroot ::= \"#\" # two\n  # three\nx ::= \"\"", "#", 'y' },
		/* operators bind to the whole literal */
		{ "root ::= \"ab\"*", "abab", 'y' }, { "root ::= \"ab\"*", "aba", 'p' },
		{ "root ::= \"ab\"*", "", 'y' }, { "root ::= \"ab\"+", "", 'p' },
		{ "root ::= \"ab\"+", "ababab", 'y' }, { "root ::= \"ab\"?", "ab", 'y' },
		{ "root ::= \"ab\"?", "abab", 'n' }, { "root ::= \"a\"{2}", "aa", 'y' },
		{ "root ::= \"a\"{2}", "a", 'p' }, { "root ::= \"a\"{2}", "aaa", 'n' },
		{ "root ::= \"a\"{2,}", "aaaaa", 'y' }, { "root ::= \"a\"{2,}", "a", 'p' },
		{ "root ::= \"a\"{1,3}", "aaa", 'y' }, { "root ::= \"a\"{1,3}", "aaaa", 'n' },
		{ "root ::= \"a\"{ 1 , 3 }", "", 'p' }, { "root ::= \"a\"{,2}", "", 'y' },
		{ "root ::= \"a\"{0}", "", 'y' }, { "root ::= \"a\"{0,0} \"b\"", "b", 'y' },
		{ "root ::= (\"ab\" | [0-9]{2} \"-\"){2,3}", "ab12-ab", 'y' },
		{ "root ::= (\"ab\" | [0-9]{2} \"-\"){2,3}", "12-12-12-1", 'n' },
		{ "root ::= \"a\"{0,2}*", "aaaaa", 'y' }, { "root ::= \"a\"? \"a\"? \"a\"?", "aaa", 'y' },
		{ "root ::= (\"x\"{2}){3}", "xxxxxx", 'y' }, { "root ::= (\"x\"{2}){3}", "xxxxxxx", 'n' },
		/* characters */
		{ "root ::= [a-c]", "b", 'y' }, { "root ::= [a-c]", "d", 'n' }, { "root ::= [abc]", "c", 'y' },
		{ "root ::= [^a-c]", "d", 'y' }, { "root ::= [^a-c]", "a", 'n' }, { "root ::= [^a-c]", "\n", 'y' },
		{ "root ::= [a-]", "-", 'y' }, { "root ::= [-a]", "-", 'y' }, { "root ::= [\\]\\[]", "]", 'y' },
		{ "root ::= [\\^a]", "^", 'y' }, { "root ::= [a\\-c]", "b", 'n' }, { "root ::= [a^]", "^", 'y' },
		{ "root ::= [^]", "a", 'y' }, { "root ::= .", "\n", 'y' }, { "root ::= .", "", 'p' },
		{ "root ::= \"\\x41\\u0042\\U00000043\\n\\r\\t\\\\\\\"\\[\\]\"", "ABC\n\r\t\\\"[]", 'y' },
		{ "root ::= [\\x41-\\x43]", "B", 'y' }, { "root ::= \"\\xe9\"", "\xc3\xa9", 'y' },
		{ "root ::= \"\\U0001F600\"", "\xf0\x9f\x98\x80", 'y' },
		{ "root ::= \"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80", 'y' },
		{ "root ::= \"\xf0\x9f\x98\x80\"", "\xf0\x9f", 'p' },
		{ "root ::= .", "\xf0\x9f\x98\x80", 'y' }, { "root ::= .", "\xf0\x9f\x98", 'p' },
		{ "root ::= .", "\x80", 'n' }, { "root ::= .", "\xc0\x80", 'n' }, { "root ::= .", "\xed\xa0\x80", 'n' },
		{ "root ::= .", "\xf4\x90\x80\x80", 'n' }, { "root ::= .", "\xe0\x80\x80", 'n' },
		{ "root ::= .", "\xf4\x8f\xbf\xbf", 'y' }, { "root ::= .", "\xee\x80\x80", 'y' },
		{ "root ::= [\xe3\x81\x81-\xe3\x82\x9f]+", "\xe3\x81\xb2\xe3\x82\x89", 'y' },
		{ "root ::= [\xe3\x81\x81-\xe3\x82\x9f]+", "\xe3\x82\xa0", 'n' },
		{ "root ::= [^\xe3\x81\x81]", "\xe3\x81\x82", 'y' }, { "root ::= [^\xe3\x81\x81]", "\xe3\x81\x81", 'n' },
		{ "root ::= [^\xe3\x81\x81]", "\xe3\x81", 'p' }, { "root ::= [\\u0000-\\U0010ffff]", "\xed\x9f\xbf", 'y' },
		{ "root ::= [a-\xc3\xa9]", "\xc3\xa8", 'y' }, { "root ::= [a-\xc3\xa9]", "\xc3\xaa", 'n' },
		/* recursion */
		{ "root ::= \"(\" root \")\" | \"x\"", "(((x)))", 'y' },
		{ "root ::= \"(\" root \")\" | \"x\"", "((x)))", 'n' },
		{ "root ::= \"a\" root | \"\"", "aaaaaaaa", 'y' },
		{ "root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"\"", "abbaabba", 'y' },
		{ "root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"\"", "abbaabb", 'p' },
		{ "root ::= list\nlist ::= item (\",\" list)?\nitem ::= [0-9]+ | \"[\" list \"]\"", "1,[2,[3]],4", 'y' },
		{ "root ::= e e e\ne ::= \"x\" | ", "xx", 'y' }, { "root ::= e e e\ne ::= \"x\" | ", "xxxx", 'n' },
		/* whose start passes an empty rule before it comes to one that was called already */
		{ "root ::= o a\no ::= \"x\"?\na ::= o \"y\"", "xxy", 'y' },
		{ "root ::= o a\no ::= \"x\"?\na ::= o \"y\"", "y", 'y' },
		{ "root ::= o a\no ::= \"x\"?\na ::= o \"y\"", "xxxy", 'n' },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		char got = match_len(t[i].grammar, t[i].text, strlen(t[i].text));

		if (got != t[i].want)
			diag("%s", t[i].grammar);
		ok(got == t[i].want, "match %zu: %c", i, got);
	}
	ok(match_len("root ::= \"\\x00\" [\\x00]", "\0\0", 2) == 'y', "the character NUL");
	ok(match_len("root ::= \xef\xbb\xbf", "", 0) == 'e' && match_len("\xef\xbb\xbfroot ::= \"a\"", "a", 1) == 'y',
	   "a byte order mark, at the beginning only");
}

static void test_errors(void)
{
	static const struct { const char *grammar, *like; } t[] = {
		{ "", "no rules" }, { "# nothing\n", "no rules" }, { "rot ::= \"a\"", "no rule named root" },
		{ "root ::= \"a", "1:10: this \" has no end" }, { "root ::= [a", "1:10: this [ has no end" },
		{ "root ::= (\"a\"", "1:10: this ( has no end" }, { "root ::= (\"a\" ]", "1:15: expected )" },
		{ "root ::= \"a\")", "1:13: expected a symbol" }, { "root = \"a\"", "1:6: expected ::=" },
		{ "root ::= \"a\"\n| \"b\"", "2:1: a line cannot begin with |" },
		{ "::= \"a\"", "1:1: expected the name" }, { "root ::= \"\\q\"", "1:11: unknown escape" },
		{ "root ::= \"\\x4g\"", "1:11: \\x takes 2" }, { "root ::= \"\\U00110000\"", "1:11: U+110000" },
		{ "root ::= \"\\ud800\"", "1:11: U+D800 is half" }, { "root ::= \"\\", "1:11: unknown escape" },
		{ "root ::= [z-a]", "1:11: a range" }, { "root ::= []", "1:10: a class that no character" },
		{ "root ::= [^\\x00-\\U0010ffff]", "1:10: a class that no character" },
		{ "root ::= *", "1:10: nothing to repeat before *" }, { "root ::= {2}", "nothing to repeat" },
		{ "root ::= \"a\"{2", "1:13: a repetition is written" }, { "root ::= \"a\"{}", "1:13: a repetition is" },
		{ "root ::= \"a\"{x}", "a repetition is" }, { "root ::= \"a\"{3,2}", "1:13: a repetition of at least 3" },
		{ "root ::= \"a\"{65537}", "1:13: a repetition of more than 65536" },
		{ "root ::= \"a\"{99999999999999999999}", "more than 65536" },
		{ "root ::= \"a\"*?+*?", "more than 4 repetitions" },
		{ "root ::= a\n\nb ::= a", "1:10: rule a is used and not defined" },
		{ "root ::= \"\xc3\xa9\" x", "1:14: rule x is used and not defined" },
		{ "root ::= \"a\"\nroot ::= \"b\"", "2:1: rule root is defined twice" },
		{ "root ::= root \"a\" | \"b\"", "1:1: rule root can begin with itself" },
		{ "root ::= a\na ::= b \"x\"\nb ::= \"\"? a", "can begin with itself" },
		{ "root ::= (root)*", "1:1: rule root can begin with itself" },
		{ "root ::= \"x\" a\na ::= (\"y\"? a){2}", "2:1: rule a can begin with itself" },
		{ "root ::= \"a\xff\"", "1:12: byte 0xff is not UTF-8" }, { "root ::= <x>", "1:10: a token needs a voc" },
		{ "root ::= !\"x\"", "1:10: ! stands before" }, { "root ::= \"a\" $", "1:14: expected a symbol" },
		{ "root ::= \"\xc2\x9f\xff", "byte 0xff" },
	};
	struct zen5rt_error err;
	struct zen5rt_grammar *g;

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		int r = zen5rt_grammar_new(NULL, t[i].grammar, strlen(t[i].grammar), NULL, &g, &err);

		if (!ok(r == -EINVAL && strstr(err.message, t[i].like), "error %zu: %s", i, t[i].like))
			diag("%d %s", r, err.message);
		if (!r)
			zen5rt_grammar_free(g);
	}
	ok(zen5rt_grammar_new(NULL, "root ::= \"a\0\"", 14, NULL, &g, &err) == -EINVAL &&
	   strstr(err.message, "1:12: a NUL byte"), "a NUL in the text");
	ok(!zen5rt_grammar_new(NULL, "a ::= \"b\"", 9, "a", &g, &err), "another root");
	zen5rt_grammar_free(g);
}

static char *repeat(const char *before, const char *what, unsigned int n, const char *after)
{
	char *s = malloc(strlen(before) + strlen(what) * n + strlen(after) + 1), *p;

	if (!s)
		abort();
	p = stpcpy(s, before);
	while (n--)
		p = stpcpy(p, what);
	strcpy(p, after);
	return s;
}

/* The grammar is refused with this line; frees the grammar. */
static void bound(char *grammar, const char *like, const char *name)
{
	struct zen5rt_error err = { "accepted" };
	struct zen5rt_grammar *g;
	int r = zen5rt_grammar_new(NULL, grammar, strlen(grammar), NULL, &g, &err);

	if (!ok(r == -EINVAL && strstr(err.message, like), "%s", name))
		diag("%s", err.message);
	if (!r)
		zen5rt_grammar_free(g);
	free(grammar);
}

static char match_free(char *grammar, char *text)
{
	char c = match_len(grammar, text, strlen(text));

	free(grammar);
	free(text);
	return c;
}

static void test_bounds(void)
{
	char *many = malloc(1 << 21), *p = many;

	bound(repeat("root ::= \"", "a", 1 << 20, "\""), "at most 1048576", "bytes of text");
	bound(repeat("root ::= ", "(", 101, ""), "more than 100 parentheses", "parentheses");
	ok(match_free(repeat("root ::= (((((((((((\"a\"", ")", 11, ""), strdup("a")) == 'y', "some of them are fine");
	p += sprintf(p, "root ::= r0\n");
	for (int i = 0; i < 65536; i++)
		p += sprintf(p, "r%d ::= \"\"\n", i);
	bound(many, "more than 65536 rules", "rules");
	bound(strdup("root ::= ([a-z]{60000} [0-9]{60000}){60000} [a-b]{65536}{65536} ([a-z] \"x\"){65536} "
		     "[a-z]{65536}{9}[a-z]{65536}[a-z]{65536}[a-z]{65536}[a-z]{65536}[a-z]{65536}[a-z]{65536}"
		     "[a-z]{65536}[a-z]{65536}[a-z]{65536}[a-z]{65536}[a-z]{65536}[a-z]{65536}[a-z]{65536}"),
	      "larger than 1048576 steps", "steps");
	bound(repeat("root ::= \"x\" | ", "\"a\"?", 70000, ""), "begin in more than 65536 ways", "a wide beginning");
	bound(repeat("root ::= ", "[^\xe3\x81\x81]", 30000, ""), "more than 262144 byte ranges", "byte ranges");

	/* within the bounds, and none of them takes long */
	ok(match_free(strdup("root ::= (\"a\"?){1000}"), repeat("", "a", 1000, "")) == 'y', "(a?){1000}: a thousand");
	ok(match_free(strdup("root ::= (\"a\"?){1000}"), repeat("", "a", 1001, "")) == 'n', "and not one more");
	ok(match_free(repeat("root ::= ", "\"a\"?", 1000, "\"a\""), repeat("", "a", 1001, "")) == 'y',
	   "a? a thousand times, then a");
	ok(match_free(strdup("root ::= (((\"a\"*)*)*)* (\"\" | (\"\" | \"\")* | \"b\"*)+"),
		      repeat("", "a", 5000, "bb")) == 'y',
	   "loops in loops");
	ok(match_free(strdup("root ::= \"a\" root x root | \"a\" root y root | \"\"\nx ::= \"b\"\ny ::= \"b\""),
		      repeat("", "ab", 500, "")) == 'y', "2^500 ways to read it");
	ok(match_free(strdup("root ::= ([a-z]{200} \"-\"){200}{200}"), repeat("", "a", 200, "-")) == 'p',
	   "counts in counts");
	ok(match_free(strdup("root ::= \"a\" root | \"\""), repeat("", "a", 100000, "")) == 'y',
	   "a list as recursion to the right does not deepen");
	ok(match_free(strdup("root ::= \"a\" root \"b\" | \"\""), repeat("", "a", 16000, "")) == 'p',
	   "16000 rules deep");
	ok(match_free(strdup("root ::= \"a\" root \"b\" | \"\""), repeat("", "a", 17000, "")) == 'n', "and not 17000");
	ok(match_free(strdup("root ::= .* [a-m] .{1000}"), repeat("", "qaz", 1000, "")) == 'y',
	   "a set of a thousand places");
}

/* The -E2BIG of a text that is past the bounds, as opposed to one that is not allowed. */
static void test_beyond(void)
{
	struct zen5rt_grammar *g = make("root ::= \"a\" root \"b\" | \"\"");
	struct zen5rt_matcher *m, *back;
	struct zen5rt_error err;
	char *deep = repeat("", "a", 17000, "");

	if (zen5rt_matcher_new(g, &m, &err) || zen5rt_matcher_new(g, &back, &err))
		abort();
	ok(!zen5rt_matcher_text(m, "aa", 2, &err), "a text begins");
	ok(!zen5rt_matcher_copy(back, m), "a copy of the matcher");
	ok(zen5rt_matcher_text(m, deep, 17000, &err) == -E2BIG && strstr(err.message, "16384 rules deep"),
	   "too deep is said");
	ok(!zen5rt_matcher_text(m, "bb", 2, &err) && zen5rt_matcher_can_end(m), "and the matcher is where it was");
	ok(zen5rt_matcher_text(m, "b", 1, &err) == -EDOM && strstr(err.message, "after \"aabb\""),
	   "no more may follow");
	ok(!zen5rt_matcher_can_end(back) && !zen5rt_matcher_text(back, "bb", 2, &err) && zen5rt_matcher_can_end(back),
	   "the copy goes on by itself");
	zen5rt_matcher_reset(m);
	ok(zen5rt_matcher_can_end(m) && zen5rt_matcher_text(m, "b", 1, &err) == -EDOM,
	   "reset goes back to the beginning");
	free(deep);
	zen5rt_matcher_free(back);
	zen5rt_matcher_free(m);
	zen5rt_grammar_free(g);
}

/* ---- random grammars against PCRE2, which knows nothing of ours ---- */

struct pair {
	char gbnf[4096], re[8192];
	size_t n, k;
	uint32_t rnd;
	int rules;
};

static uint32_t rnd(struct pair *p, uint32_t n)
{
	p->rnd = p->rnd * 1664525 + 1013904223;
	return (p->rnd >> 8) % n;
}

static void both(struct pair *p, const char *gbnf, const char *re)
{
	p->n += (size_t)snprintf(p->gbnf + p->n, sizeof(p->gbnf) - p->n, "%s", gbnf);
	p->k += (size_t)snprintf(p->re + p->k, sizeof(p->re) - p->k, "%s", re);
}

static void expression(struct pair *p, int depth)
{
	static const char *const atom[][2] = { { "\"a\"", "a" }, { "\"b\"", "b" }, { "[ab]", "[ab]" },
		{ "[^a]", "b" }, { "\"ab\"", "(?:ab)" }, { "\"\"", "(?:)" } };
	static const char *const op[] = { "", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,3}", "{2,}" };
	uint32_t branches = 1 + rnd(p, 3), parts;

	both(p, "(", "(?:");
	for (uint32_t i = 0; i < branches; i++) {
		parts = rnd(p, 4);
		both(p, i ? " | " : "", i ? "|" : "");
		for (uint32_t k = 0; k < parts; k++) {
			const char *o = op[rnd(p, 10)];
			uint32_t what = rnd(p, 10), rule;
			char g[32], re[32];

			both(p, " ", "(?:");
			if (what < 2 && depth) {
				expression(p, depth - 1);
			} else if (what < 4) {
				rule = rnd(p, (uint32_t)p->rules);
				sprintf(g, "r%u", rule);
				sprintf(re, "(?&r%u)", rule);
				both(p, g, re);
			} else {
				what = rnd(p, 6);
				both(p, atom[what][0], atom[what][1]);
			}
			both(p, o, ")");
			both(p, "", o);
		}
	}
	both(p, ")", ")");
}

/* Compares all strings of a and b of up to 7 letters. -1: the grammar is refused or PCRE gave up. */
static int compare(struct pair *p)
{
	struct zen5rt_grammar *g;
	struct zen5rt_matcher *m;
	pcre2_match_data *md;
	pcre2_match_context *mc;
	pcre2_code *re;
	PCRE2_SIZE at;
	int code, wrong = 0;

	if (zen5rt_grammar_new(NULL, p->gbnf, p->n, "r0", &g, NULL))
		return -1;
	re = pcre2_compile((PCRE2_SPTR)p->re, p->k, 0, &code, &at, NULL);
	if (!re) {
		zen5rt_grammar_free(g);
		return -1;
	}
	md = pcre2_match_data_create(1, NULL);
	mc = pcre2_match_context_create(NULL);
	pcre2_set_match_limit(mc, 100000);
	if (zen5rt_matcher_new(g, &m, NULL))
		abort();
	for (unsigned int len = 0; len < 8 && wrong >= 0; len++) {
		for (unsigned int bits = 0; bits < 1u << len; bits++) {
			char s[8];
			bool ours;
			int theirs;

			for (unsigned int i = 0; i < len; i++)
				s[i] = bits >> i & 1 ? 'b' : 'a';
			zen5rt_matcher_reset(m);
			ours = !zen5rt_matcher_text(m, s, len, NULL) && zen5rt_matcher_can_end(m);
			theirs = pcre2_match(re, (PCRE2_SPTR)s, len, 0, 0, md, mc);
			if (theirs < 0 && theirs != PCRE2_ERROR_NOMATCH) {
				wrong = -1;
				break;
			}
			if (ours != (theirs >= 0)) {
				if (!wrong)
					diag("%.*s: ours %d\n# %s\n# %s", (int)len, s, ours, p->gbnf, p->re);
				wrong++;
			}
		}
	}
	zen5rt_matcher_free(m);
	zen5rt_grammar_free(g);
	pcre2_match_context_free(mc);
	pcre2_match_data_free(md);
	pcre2_code_free(re);
	return wrong;
}

static void test_random(void)
{
	static struct pair p;
	int compared = 0, wrong = 0;

	for (uint32_t seed = 0; compared < 300 && seed < 3000 && wrong < 3; seed++) {
		int r;

		p.rnd = seed * 7919;
		p.n = p.k = 0;
		p.rules = 1 + (int)rnd(&p, 4);
		both(&p, "", "(?(DEFINE)");
		for (int i = 0; i < p.rules; i++) {
			char g[32], re[32];

			sprintf(g, "r%d ::= ", i);
			sprintf(re, "(?<r%d>", i);
			both(&p, g, re);
			expression(&p, 2);
			both(&p, "\n", ")");
		}
		both(&p, "", ")^(?&r0)\\z");
		if (p.n >= sizeof(p.gbnf) - 1 || p.k >= sizeof(p.re) - 1)
			continue;
		r = compare(&p);
		compared += r >= 0;
		wrong += r > 0;
	}
	ok(!wrong && compared == 300, "%d random grammars match what PCRE2 matches", compared);
}

/*
 * A rule that is called from several places, some of them behind a rule that matches nothing, is opened once for all of
 * them: places stay as few as the grammar is large.
 */
static void test_merged(void)
{
	static const char text[] = "root ::= o a\no ::= \"x\"?\na ::= o b \"y\"\nb ::= o c\nc ::= o \"z\"";
	struct z5_gbnf parsed = { .text = text, .len = sizeof(text) - 1 };
	struct z5_program p = { .n_code = 0 };
	struct z5_automaton a;

	if (z5_gbnf_parse(&parsed) || z5_program_make(&p, &parsed, "root") || z5_automaton_init(&a, &p, 0))
		abort();
	z5_gbnf_free(&parsed);
	ok(a.state[a.start].n == 2, "an x or a z, each from one place (%u)", a.state[a.start].n);
	z5_automaton_free(&a);
	z5_program_free(&p);
}

/* Forgetting everything at every step changes no answer and no cost. */
static void test_trim(void)
{
	static const char text[] = "root ::= (\"{\" ws root ws \"}\" | [a-c]* [b-d] .{3} | \"a\"? \"b\"? root2)+\n"
				   "root2 ::= \"x\" root2 \"y\" | \"x\" root2 \"z\" | \"w\"\nws ::= [ \\n]*";
	struct z5_gbnf parsed = { .text = text, .len = sizeof(text) - 1 };
	struct z5_program p = { .n_code = 0 };
	struct z5_automaton a, b;
	uint32_t seed = 1;
	int same = 1;

	if (z5_gbnf_parse(&parsed) || z5_program_make(&p, &parsed, "root"))
		abort();
	z5_gbnf_free(&parsed);
	if (z5_automaton_init(&a, &p, 0) || z5_automaton_init(&b, &p, 0))
		abort();
	for (int round = 0; round < 300; round++) {
		struct z5_ref x = { .state = a.start }, y = { .state = b.start };

		z5_ref_add(&a, &x);
		z5_ref_add(&b, &y);
		for (int i = 0; i < 40 && x.state != Z5_STATE_DEAD; i++) {
			static const char letters[] = "{} abcdxyzw\n\xc3\xa9";
			struct z5_move ma, mb;
			uint8_t c;

			seed = seed * 1664525 + 1013904223;
			c = (uint8_t)letters[(seed >> 8) % (sizeof(letters) - 1)];
			b.trim_at = 0;
			if (z5_automaton_trim(&b) || z5_automaton_step(&a, x.state, c, &ma) ||
			    z5_automaton_step(&b, y.state, c, &mb))
				abort();
			same &= ma.cost == mb.cost && (ma.to == Z5_STATE_DEAD) == (mb.to == Z5_STATE_DEAD) &&
				a.state[ma.to].n == b.state[mb.to].n &&
				a.state[ma.to].accept == b.state[mb.to].accept;
			if (ma.to == Z5_STATE_DEAD)
				continue;
			x.state = ma.to;
			y.state = mb.to;
		}
		z5_ref_remove(&x);
		z5_ref_remove(&y);
	}
	ok(same, "an automaton that forgets everything gives the same answers");
	ok(b.n_state < 200 && a.n_state > 2 * b.n_state, "and has forgotten (%u states, of %u)", b.n_state, a.n_state);
	z5_automaton_free(&a);
	z5_automaton_free(&b);
	z5_program_free(&p);
}

int main(void)
{
	test_match();
	test_errors();
	test_bounds();
	test_beyond();
	test_random();
	test_merged();
	test_trim();
	return done();
}

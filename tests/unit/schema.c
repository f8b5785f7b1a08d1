// SPDX-License-Identifier: MIT
/* JSON schemas: which instances their grammars let in, numbers, dates and patterns against arithmetic and PCRE2. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <zen5rt.h>

#include "grammar/grammar.h"
#include "tests/tap.h"

static struct zen5rt_matcher *matcher;
static struct zen5rt_grammar *grammar;

static void done_with(void)
{
	zen5rt_matcher_free(matcher);
	zen5rt_grammar_free(grammar);
	matcher = NULL;
	grammar = NULL;
}

/* The matcher of a schema; false and a line if there is none. */
static bool use(const char *schema, struct zen5rt_error *err)
{
	char *gbnf;
	int r;

	done_with();
	if (zen5rt_grammar_from_schema(schema, strlen(schema), &gbnf, err))
		return false;
	r = zen5rt_grammar_new(NULL, gbnf, strlen(gbnf), NULL, &grammar, err);
	if (r)
		diag("%s\n# %s", err->message, gbnf);
	free(gbnf);
	return !r && !zen5rt_matcher_new(grammar, &matcher, err);
}

static bool lets_in(const char *text)
{
	zen5rt_matcher_reset(matcher);
	return !zen5rt_matcher_text(matcher, text, strlen(text), NULL) && zen5rt_matcher_can_end(matcher);
}

#define MANY 12

/* Instances that a schema lets in, then those that it does not. */
static const struct {
	const char *schema, *in[MANY], *out[MANY];
} cases[] = {
	{ "{}", { "1", "null", "{\"a\":[]}", "\"x\"", "[true, false]", "-1.5e-3" }, { "", "01", "tru", "{a:1}", "[1,]" } },
	{ "true", { "{}" }, { "{" } },
	{ "{\"type\":\"null\"}", { "null" }, { "0", "nul", "null " } },
	{ "{\"type\":\"boolean\"}", { "true", "false" }, { "null", "1" } },
	{ "{\"type\":\"integer\"}", { "0", "-1", "1234567890123456" }, { "1.0", "01", "+1", "1e3", "12345678901234567" } },
	{ "{\"type\":\"number\"}", { "0", "-1.5", "1e10", "1.25E-7" }, { ".5", "1.", "1e", "1e1000", "nan" } },
	{ "{\"type\":\"string\"}", { "\"\"", "\"a\\n\\u00e9\\ud83d\\ude00/\\/\"", "\"\xc3\xa9\"" },
	  { "\"", "\"\n\"", "\"\\x\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\x7f\"", "'a'" } },
	{ "{\"type\":\"object\"}", { "{}", "{\"a\":1,\"b\":{}}", "{ \"a\": 1 }", "{\n  \"a\": 1\n}" }, { "[]", "{\"a\"}", "{\"a\":1,}" } },
	{ "{\"type\":\"array\"}", { "[]", "[1, [2]]" }, { "{}", "[1 2]" } },
	{ "{\"type\":[\"integer\",\"null\"],\"minimum\":3}", { "null", "3" }, { "2", "\"\"" } },
	/* lengths */
	{ "{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}", { "\"ab\"", "\"\\n\xc3\xa9z\"", "\"\\ud83d\\ude00a\"" },
	  { "\"a\"", "\"abcd\"", "\"\\ud83d\\ude00\"" } },
	{ "{\"minLength\":2}", { "\"abcdefgh\"" }, { "\"a\"", "12" } },
	{ "{\"type\":\"string\",\"maxLength\":0}", { "\"\"" }, { "\"a\"" } },
	/* values */
	{ "{\"enum\":[\"a\",1,null,2.5,[1,2],{\"x\":\"\\\"\"}]}",
	  { "\"a\"", "1", "null", "2.5", "[1,2]", "{\"x\":\"\\\"\"}" }, { "a", "2", "[1, 2]", "\"x\"" } },
	{ "{\"enum\":[\"a\",1,null],\"type\":[\"string\",\"null\"]}", { "\"a\"", "null" }, { "1" } },
	{ "{\"const\":\"a/\\u00e9\\n\\u0001\"}", { "\"a/\xc3\xa9\\n\\u0001\"" }, { "\"a\"" } },
	{ "{\"const\":0.1}", { "0.1" }, { "0.10000000000000001" } },
	{ "{\"const\":0.30000000000000004}", { "0.30000000000000004" }, { "0.3" } },
	{ "{\"anyOf\":[{\"type\":\"integer\"},{\"const\":\"x\"}],\"title\":\"t\"}", { "1", "\"x\"" }, { "\"y\"" } },
	{ "{\"oneOf\":[{\"type\":\"boolean\"},{\"type\":\"null\"}]}", { "true", "null" }, { "0" } },
	{ "{\"type\":\"object\",\"oneOf\":[{\"$ref\":\"#/$defs/a\"},{\"properties\":{\"b\":{\"const\":2}}}],"
	  "\"$defs\":{\"a\":{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1}}}}}",
	  { "{\"a\":1}", "{\"b\":2}" }, { "{\"a\":1,\"b\":2}", "1" } },
	/* objects */
	{ "{\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"const\":2},\"c\":{\"type\":\"null\"}},\"required\":[\"b\"]}",
	  { "{\"b\":2}", "{\"a\":1,\"b\":2}", "{\"b\":2,\"c\":null}", "{\"a\":1, \"b\":2, \"c\":null}" },
	  { "{}", "{\"a\":1}", "{\"b\":2,\"a\":1}", "{\"b\":2,}", "{,\"b\":2}", "{\"b\":2,\"d\":1}", "{\"a\":1,\"c\":null}" } },
	{ "{\"properties\":{\"a\":true,\"b\":true,\"c\":true}}",
	  { "{}", "{ }", "{\"a\":1}", "{\"b\":1}", "{\"c\":1}", "{\"a\":1,\"c\":1}", "{\"b\":1,\"c\":1}", "{\"a\":1,\"b\":1,\"c\":1}" },
	  { "{\"b\":1,\"a\":1}", "{\"a\":1,\"a\":1}", "{,}", "{\"d\":1}" } },
	{ "{\"properties\":{\"z\":true,\"a\":true},\"required\":[\"a\",\"z\"]}", { "{\"z\":1,\"a\":2}" }, { "{\"a\":2,\"z\":1}" } },
	{ "{\"properties\":{}}", { "{}" }, { "{\"a\":1}" } },
	{ "{\"type\":\"object\",\"required\":[\"a\",\"b\"]}", { "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2,\"c\":3}" }, { "{\"a\":1}" } },
	{ "{\"properties\":{\"a\":true},\"required\":[\"b\"],\"additionalProperties\":{\"type\":\"null\"}}",
	  { "{\"b\":null}", "{\"a\":1,\"b\":null,\"c\":null}" }, { "{\"b\":1}", "{\"b\":null,\"c\":1}" } },
	{ "{\"additionalProperties\":{\"type\":\"integer\"}}", { "{}", "{\"a\":1,\"b\":2}" }, { "{\"a\":\"\"}" } },
	{ "{\"additionalProperties\":false}", { "{}" }, { "{\"a\":1}" } },
	{ "{\"properties\":{\"a\":{\"const\":1},\"ab\":{\"const\":2},\"\xc3\xa9\":{\"const\":3},\"-]\":{\"const\":4}},\"additionalProperties\":{\"type\":\"null\"}}",
	  { "{\"a\":1}", "{\"\xc3\xa9\":3,\"\":null}", "{\"abc\":null}", "{\"b\":null,\"\xc3\xa8\":null}", "{\"-\":null,\"]\":null}",
	    "{\"-]\":4}", "{\"a\\n\":null}" },
	  { "{\"a\":null}", "{\"ab\":null}", "{\"\\u0061\":null}", "{\"\xc3\xa9\":null}", "{\"-]\":null}", "{\"b\":1}", "{\"a\":2}" } },
	{ "{\"properties\":{\"a\\\"b\":{\"const\":1},\"x/y\":true,\"\\n\":true},\"additionalProperties\":true}",
	  { "{\"a\\\"b\":1}", "{\"a\":2}", "{\"x\":1,\"\\t\":2}" }, { "{\"a\\\"b\":2}", "{\"a\\\"b\":1,\"x\\/y\":1}", "{\"\\n\":1,\"\\n\":1}" } },
	/* arrays */
	{ "{\"items\":{\"type\":\"integer\"}}", { "[]", "[1]", "[1,2, 3]" }, { "[\"\"]", "[,]" } },
	{ "{\"items\":{\"type\":\"integer\"},\"minItems\":1}", { "[1]", "[1,2,3]" }, { "[]" } },
	{ "{\"items\":{\"type\":\"integer\"},\"minItems\":2,\"maxItems\":3}", { "[1,2]", "[1,2,3]" }, { "[1]", "[1,2,3,4]" } },
	{ "{\"items\":{\"type\":\"integer\"},\"maxItems\":1}", { "[]", "[1]" }, { "[1,2]" } },
	{ "{\"type\":\"array\",\"maxItems\":0}", { "[]" }, { "[1]" } },
	{ "{\"type\":\"array\",\"minItems\":2}", { "[1,\"\"]" }, { "[1]" } },
	{ "{\"prefixItems\":[{\"const\":1},{\"const\":2}]}", { "[1,2]" }, { "[1]", "[1,2,3]", "[2,1]" } },
	{ "{\"prefixItems\":[{\"const\":1}],\"items\":{\"const\":2}}", { "[1]", "[1,2,2]" }, { "[1,1]", "[]" } },
	{ "{\"prefixItems\":[{\"const\":1}],\"items\":{\"const\":2},\"minItems\":2,\"maxItems\":3}", { "[1,2]", "[1,2,2]" }, { "[1]", "[1,2,2,2]" } },
	{ "{\"items\":[{\"const\":1},{\"const\":2}],\"additionalItems\":false}", { "[1,2]" }, { "[1,2,3]" } },
	{ "{\"prefixItems\":[{\"const\":1}],\"minItems\":2}", { "[1,\"any\"]" }, { "[1]" } },
	/* references and joining */
	{ "{\"$defs\":{\"n\":{\"properties\":{\"v\":{\"type\":\"integer\"},\"l\":{\"anyOf\":[{\"$ref\":\"#/$defs/n\"},{\"type\":\"null\"}]}},"
	  "\"required\":[\"v\",\"l\"]}},\"$ref\":\"#/$defs/n\"}",
	  { "{\"v\":1,\"l\":null}", "{\"v\":1,\"l\":{\"v\":2,\"l\":null}}" }, { "{\"v\":1}", "{\"v\":1,\"l\":1}" } },
	{ "{\"items\":{\"$ref\":\"#\"}}", { "[]", "[[],[[]]]" }, { "[1]" } },
	{ "{\"definitions\":{\"a b/~\":{\"const\":7}},\"$ref\":\"#/definitions/a%20b~1~0\"}", { "7" }, { "8" } },
	{ "{\"anyOf\":[{\"const\":1},{\"const\":2}],\"$defs\":{\"x\":{\"$ref\":\"#/anyOf/1\"}}}", { "1", "2" }, { "3" } },
	{ "{\"items\":{\"$ref\":\"#/$defs/l/0\"},\"$defs\":{\"l\":[{\"const\":5}]}}", { "[5,5]" }, { "[4]" } },
	{ "{\"allOf\":[{\"$ref\":\"#/$defs/a\"}],\"title\":\"x\",\"$defs\":{\"a\":{\"type\":\"integer\"}}}", { "1" }, { "\"\"" } },
	{ "{\"allOf\":[{\"$ref\":\"#/$defs/a\"},{\"properties\":{\"y\":{\"const\":2}},\"required\":[\"y\"]}],\"properties\":{\"z\":{\"const\":3}},"
	  "\"$defs\":{\"a\":{\"type\":\"object\",\"properties\":{\"x\":{\"const\":1}}}}}",
	  { "{\"x\":1,\"y\":2,\"z\":3}", "{\"y\":2}" }, { "{\"x\":1}", "{\"y\":2,\"q\":1}" } },
	/* formats */
	{ "{\"type\":\"string\",\"format\":\"uuid\"}", { "\"01234567-89ab-cdef-0123-456789abcdef\"" }, { "\"01234567-89ab-cdef-0123-456789abcde\"" } },
	{ "{\"format\":\"time\"}", { "\"23:59:59Z\"", "\"00:00:00.123-12:30\"" }, { "\"24:00:00Z\"", "\"12:60:00Z\"", "\"12:00:00\"" } },
	{ "{\"format\":\"date-time\"}", { "\"2024-02-29T12:00:00Z\"" }, { "\"2023-02-29T12:00:00Z\"", "\"2024-02-29 12:00:00Z\"" } },
	{ "{\"format\":\"ipv4\"}", { "\"0.10.199.255\"" }, { "\"256.1.1.1\"", "\"1.1.1\"", "\"01.1.1.1\"" } },
	{ "{\"format\":\"email\"}", { "\"a.b+c@d-e.org\"" }, { "\"a@\"", "\"@b\"", "\"a..b@c\"", "\"a@-b\"" } },
	{ "{\"format\":\"uri\"}", { "\"https://a.org:80/b%20c/?d=e#f\"" }, { "\"a.org\"", "\"https://a b\"", "\"x://a/%2\"" } },
	{ "{\"format\":\"hostname\"}", { "\"a.b-c.d\"" }, { "\"a..b\"", "\"-a\"", "\"a-\"" } },
	/* patterns */
	{ "{\"pattern\":\"^a$\"}", { "\"a\"" }, { "\"\"", "\"aa\"", "a" } },
	{ "{\"pattern\":\"^(?:a|b)?[^c-e\\\\\\\\]\\\"\\\\d+$\"}", { "\"af\\\"12\"", "\"\\\"\\\"1\"" }, { "\"ac\\\"1\"", "\"\\\\\\\"1\"" } },
	{ "{\"pattern\":\"b\"}", { "\"b\"", "\"abc\"" }, { "\"ac\"" } },
	{ "{\"pattern\":\"^a|b$|^c$\"}", { "\"axx\"", "\"xxb\"", "\"c\"" }, { "\"xa\"", "\"bx\"", "\"cc\"" } },
	{ "{\"pattern\":\"^\\\\t\\\\u00e9\\\\x41.$\"}", { "\"\\t\xc3\xa9" "Az\"", "\"\\t\xc3\xa9" "A\\t\"" }, { "\"\t\xc3\xa9" "Az\"", "\"\\t\xc3\xa9" "A\\n\"" } },
	{ "{\"pattern\":\"^[\\\\w.-]{2,3}?(?<n>x)\\\\s*$\"}", { "\"a.x\"", "\"a_-x  \\n\"" }, { "\"ax\"", "\"abcdx\"" } },
	{ "{\"pattern\":\"^\\\\ud83d\\\\ude00{2}$\"}", { "\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\"" }, { "\"\xf0\x9f\x98\x80\"" } },
	/* words that say nothing about values */
	{ "{\"type\":\"integer\",\"description\":\"d\",\"default\":5,\"examples\":[1],\"$schema\":\"s\",\"x-any\":1,\"uniqueItems\":false,\"minProperties\":0}",
	  { "1" }, { "x" } },
};

static void test_cases(void)
{
	struct zen5rt_error err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *wrong = NULL;

		if (!use(cases[i].schema, &err)) {
			ok(false, "%s", cases[i].schema);
			diag("%s", err.message);
			continue;
		}
		for (size_t k = 0; k < MANY && cases[i].in[k]; k++)
			if (!lets_in(cases[i].in[k]))
				wrong = cases[i].in[k];
		for (size_t k = 0; k < MANY && cases[i].out[k]; k++)
			if (lets_in(cases[i].out[k]))
				wrong = cases[i].out[k];
		if (!ok(!wrong, "schema %zu", i))
			diag("%s: %s", cases[i].schema, wrong);
	}
}

static void test_errors(void)
{
	static const struct { const char *schema, *like; } t[] = {
		{ "", "schema:" }, { "{\"a\":1,\"a\":2}", "schema:1:10: duplicate" }, { "[]", "schema #: a schema must be" },
		{ "{\"type\":1}", "\"type\" must be" }, { "{\"type\":[]}", "\"type\" must be" }, { "{\"type\":\"x\"}", "no such \"type\": \"x\"" },
		{ "{\"items\":{\"properties\":{\"a/b\":false}}}", "schema #/items/properties/a/b: false allows" },
		{ "{\"not\":{}}", "schema #: \"not\" cannot be made" }, { "{\"type\":\"object\",\"patternProperties\":{}}", "patternProperties" },
		{ "{\"if\":{},\"then\":{}}", "\"if\"" }, { "{\"type\":\"array\",\"contains\":{}}", "\"contains\"" },
		{ "{\"type\":\"array\",\"uniqueItems\":true}", "\"uniqueItems\"" }, { "{\"type\":\"integer\",\"multipleOf\":2}", "\"multipleOf\"" },
		{ "{\"type\":\"object\",\"minProperties\":1}", "\"minProperties\"" }, { "{\"type\":\"object\",\"propertyNames\":{}}", "propertyNames" },
		{ "{\"$ref\":\"#/a\"}", "leads to no schema" }, { "{\"$ref\":\"other.json\"}", "only references into this schema" },
		{ "{\"$ref\":\"#/%zz\"}", "leads to no schema" }, { "{\"$ref\":1}", "must be a string" }, { "{\"$ref\":\"#\"}", "leads back to itself" },
		{ "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#/$defs/a\"}]}}}", "leads back to itself" },
		{ "{\"$ref\":\"#/$defs/a\",\"type\":\"object\",\"$defs\":{\"a\":{}}}", "\"type\" beside \"$ref\"" },
		{ "{\"anyOf\":[{}],\"type\":\"object\"}", "schema #/anyOf/0: not of the \"type\"" }, { "{\"anyOf\":[{\"$ref\":\"#\"}],\"type\":\"object\"}", "leads back" },
		{ "{\"anyOf\":[{}],\"minimum\":1}", "\"minimum\" beside \"anyOf\"" }, { "{\"anyOf\":[]}", "must be an array of schemas" },
		{ "{\"oneOf\":[{\"items\":false,\"minItems\":1}]}", "schema #/oneOf/0: \"minItems\" is more" },
		{ "{\"enum\":[]}", "no value is allowed" }, { "{\"enum\":1}", "must be an array" },
		{ "{\"const\":1,\"type\":\"string\"}", "no value is allowed" }, { "{\"enum\":[1],\"minimum\":0}", "\"minimum\" beside \"enum\"" },
		{ "{\"allOf\":[{\"type\":\"integer\"},{\"minimum\":3}]}", "only objects" }, { "{\"allOf\":[]}", "must be an array" },
		{ "{\"allOf\":[{\"properties\":{\"a\":{}}},{\"properties\":{\"a\":true}}]}", "two different schemas for \"a\"" },
		{ "{\"allOf\":[{\"$ref\":\"#\"},{}]}", "in one another more than 64" },
		{ "{\"properties\":1}", "must be an object" }, { "{\"required\":[1]}", "array of names" },
		{ "{\"properties\":{},\"required\":[\"a\"],\"additionalProperties\":false}", "\"a\" is required" },
		{ "{\"additionalProperties\":1}", "must be a schema" }, { "{\"items\":1}", "must be a schema" },
		{ "{\"minItems\":2,\"maxItems\":1}", "less than" }, { "{\"minLength\":2,\"maxLength\":1}", "less than" },
		{ "{\"minLength\":-1}", "minLength must be" }, { "{\"maxLength\":1.5}", "maxLength must be" },
		{ "{\"maxLength\":65537}", "from 0 to 65536" }, { "{\"maxItems\":1e300}", "maxItems must be" },
		{ "{\"type\":\"integer\",\"minimum\":1,\"maximum\":0}", "above its greatest" }, { "{\"type\":\"integer\",\"minimum\":0.1,\"maximum\":0.9}", "no integer" },
		{ "{\"type\":\"number\",\"exclusiveMinimum\":1,\"maximum\":1}", "no number" }, { "{\"minimum\":\"1\"}", "must be a number" },
		{ "{\"minimum\":1e17}", "more than 16 digits" }, { "{\"minimum\":1e-20}", "too close to 0" },
		{ "{\"format\":\"iri\"}", "no grammar for \"format\" \"iri\"" }, { "{\"format\":\"date\",\"minLength\":3}", "only one" },
		{ "{\"pattern\":\"(?=a)\"}", "looking ahead" }, { "{\"pattern\":\"\\\\1\"}", "this escape" }, { "{\"pattern\":\"\\\\bx\"}", "this escape" },
		{ "{\"pattern\":\"(a\"}", "a ( without )" }, { "{\"pattern\":\"a)\"}", "a ) without (" }, { "{\"pattern\":\"[a\"}", "a [ without ]" },
		{ "{\"pattern\":\"a**\"}", "repetition of a repetition" }, { "{\"pattern\":\"+a\"}", "nothing to repeat" },
		{ "{\"pattern\":\"a{2\"}", "a repetition is written" }, { "{\"pattern\":\"a{3,2}\"}", "a repetition is written" },
		{ "{\"pattern\":\"a{70000}\"}", "more than 65536" }, { "{\"pattern\":\"a^b\"}", "^ and $" }, { "{\"pattern\":\"(^a)\"}", "^ and $" },
		{ "{\"pattern\":\"[z-a]\"}", "a range that is none" }, { "{\"pattern\":\"\\\\ud800\"}", "surrogate" }, { "{\"pattern\":\"\\\\x0\"}", "digits are missing" },
		{ "{\"pattern\":\"[]\"}", "no character" }, { "{\"pattern\":1}", "must be a string" }, { "{\"pattern\":\"\\\\p{L}\"}", "this escape" },
	};
	struct zen5rt_error err;

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		err.message[0] = '\0';
		if (!ok(!use(t[i].schema, &err) && strstr(err.message, t[i].like), "refused: %s", t[i].schema))
			diag("%s", err.message);
	}
}

static void refused(char *schema, const char *like, const char *name)
{
	struct zen5rt_error err = { "accepted" };

	if (!ok(!use(schema, &err) && strstr(err.message, like), "%s", name))
		diag("%s", err.message);
	free(schema);
}

static char *nested(const char *open, const char *middle, const char *close, unsigned int n)
{
	char *s = malloc((strlen(open) + strlen(close)) * n + strlen(middle) + 1), *p = s;

	if (!s)
		abort();
	for (unsigned int i = 0; i < n; i++)
		p = stpcpy(p, open);
	p = stpcpy(p, middle);
	for (unsigned int i = 0; i < n; i++)
		p = stpcpy(p, close);
	return s;
}

static void test_bounds(void)
{
	char *s = malloc(1 << 20), *p = s;

	refused(nested("{\"items\":", "{}", "}", 65), "more than 64 times", "schemas in one another");
	refused(nested("{\"items\":", "{}", "}", 3000), "schema", "more than the JSON reader takes");
	refused(nested(" ", "{}", " ", 1 << 20), "at most 1048576", "bytes");
	p += sprintf(p, "{\"pattern\":\"");
	for (int i = 0; i < 40; i++)
		p = stpcpy(p, "(");
	strcpy(p, "\"}");
	refused(s, "too many groups", "groups in a pattern");
	/* 2^30 schemas by reference */
	s = malloc(1 << 16);
	p = s + sprintf(s, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
	for (int i = 0; i < 30; i++)
		p += sprintf(p, "\"d%d\":{\"allOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"}]},", i, i + 1, i + 1);
	sprintf(p, "\"d30\":{\"type\":\"object\"}}}");
	refused(s, "or 256 of them", "references that double at every step");
	s = malloc(1 << 20);
	p = s + sprintf(s, "{\"properties\":{");
	for (int i = 0; i < 30; i++)
		p += sprintf(p, "%s\"p%d\":{\"type\":\"array\",\"minItems\":%d,\"items\":{\"type\":\"string\",\"maxLength\":%d}}", i ? "," : "", i, i, 65500 - i);
	strcpy(p, "}}");
	refused(s, "its grammar is refused", "counts of which the grammar has too many");
	refused(nested("", "{\"properties\":{\"" "a1234567890123456789012345678901234567890123456789012345678901234567890123456789"
		       "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
		       "12345678901234567890123456789012345678901234567890123456789012345678901234567890\":{}},\"additionalProperties\":true}", "", 1),
		"more than 256 characters", "a long name beside others");
}

/* ---- against arithmetic ---- */

static uint32_t state = 1;

static uint32_t rnd(uint32_t n)
{
	state = state * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(state >> 4) * n) >> 28);
}

static void test_integers(void)
{
	struct zen5rt_error err;
	char schema[160], text[64];
	int wrong = 0, tried = 0;

	for (int i = 0; i < 200 && wrong < 3; i++) {
		static const long long scale[] = { 3, 30, 300, 4000, 1000000, 100000000000000 };
		long long s = scale[rnd(6)], a = (long long)(rnd(1u << 28) * 0x1p-28 * 2 * (double)s) - s;
		long long b = (long long)(rnd(1u << 28) * 0x1p-28 * 2 * (double)s) - s;
		long long lo = a < b ? a : b, hi = a < b ? b : a;
		int open = (int)rnd(4);

		snprintf(schema, sizeof(schema), "{\"type\":\"integer\",\"%s\":%lld,\"%s\":%lld}", open & 1 ? "exclusiveMinimum" : "minimum",
			 lo, open & 2 ? "exclusiveMaximum" : "maximum", hi);
		lo += open & 1;
		hi -= open >> 1;
		if (lo > hi)
			continue;
		if (!use(schema, &err)) {
			diag("%s: %s", schema, err.message);
			wrong++;
			continue;
		}
		for (int k = 0; k < 100; k++) {
			long long v = k < 4 ? lo - 2 + k : k < 8 ? hi - 2 + k - 4 :
				(long long)(rnd(1u << 28) * 0x1p-28 * 4 * (double)s) - 2 * s;

			snprintf(text, sizeof(text), "%lld", v);
			tried++;
			if (lets_in(text) != (v >= lo && v <= hi) && wrong++ < 3)
				diag("%s: %s", schema, text);
		}
	}
	ok(!wrong && tried > 10000, "%d integers between bounds", tried);
}

static void test_numbers(void)
{
	struct zen5rt_error err;
	char schema[160], text[64];
	int wrong = 0, tried = 0;

	/* all numbers are multiples of 1/1000, compared as integers */
	for (int i = 0; i < 300 && wrong < 3; i++) {
		static const int scale[] = { 20, 300, 4000, 50000, 20000000 };
		int s = scale[rnd(5)], step = (int[]){ 1, 10, 100, 1000 }[rnd(4)];
		int a = ((int)rnd((uint32_t)(2 * s)) - s) / step * step;
		int b = ((int)rnd((uint32_t)(2 * s)) - s) / step * step;
		int lo = a < b ? a : b, hi = a < b ? b : a, open = (int)rnd(4), has = 1 + (int)rnd(3), n = 0;

		n = snprintf(schema, sizeof(schema), "{\"type\":\"number\"");
		if (has & 1)
			n += snprintf(schema + n, sizeof(schema) - (size_t)n, ",\"%s\":%.*f", open & 1 ? "exclusiveMinimum" : "minimum",
				      step == 1000 ? 0 : 3, lo / 1000.0);
		if (has & 2)
			n += snprintf(schema + n, sizeof(schema) - (size_t)n, ",\"%s\":%.*f", open & 2 ? "exclusiveMaximum" : "maximum",
				      step == 1000 ? 0 : 3, hi / 1000.0);
		snprintf(schema + n, sizeof(schema) - (size_t)n, "}");
		if (lo == hi && open && has == 3)
			continue;
		if (!use(schema, &err)) {
			diag("%s: %s", schema, err.message);
			wrong++;
			continue;
		}
		for (int k = 0; k < 200; k++) {
			int v = k < 12 ? lo - 6 + k : k < 24 ? hi - 6 + k - 12 : (int)rnd((uint32_t)(4 * s)) - 2 * s;
			int digits = 3;
			bool in = (!(has & 1) || (open & 1 ? v > lo : v >= lo)) &&
				  (!(has & 2) || (open & 2 ? v < hi : v <= hi));

			while (digits && v % (digits == 3 ? 10 : digits == 2 ? 100 : 1000) == 0 && rnd(2))
				digits--;
			/* printf of a decimal of 3 digits is exact; zeros at its end change nothing */
			snprintf(text, sizeof(text), "%s%d.%03d", v < 0 ? "-" : "", abs(v) / 1000, abs(v) % 1000);
			text[strlen(text) - (size_t)(digits ? 3 - digits : 4)] = '\0';
			tried++;
			if (lets_in(text) != in && wrong++ < 3)
				diag("%s: %s", schema, text);
		}
	}
	ok(!wrong && tried > 20000, "%d numbers between bounds", tried);
	ok(use("{\"minimum\":1e15,\"maximum\":2000000000000000.5}", &err) && lets_in("1000000000000000") &&
		   lets_in("2000000000000000.5") && !lets_in("999999999999999") && !lets_in("2000000000000001"),
	   "bounds of 16 digits with an exponent or a point");
	ok(use("{\"type\":\"integer\",\"maximum\":1e15}", &err) && lets_in("1000000000000000") &&
		   !lets_in("1000000000000001") && use("{\"maximum\":1e300}", &err) && lets_in("9999999999999999"),
	   "a bound that no number reaches is none");
}

static void test_dates(void)
{
	struct zen5rt_error err;
	char text[64];
	int wrong = 0;

	if (!use("{\"type\":\"string\",\"format\":\"date\"}", &err))
		abort();
	for (int y = 0; y < 10000; y++) {
		if (y % 37 && y % 100 && (y < 1890 || y > 2110))
			continue;
		for (int m = 0; m < 14; m++) {
			static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
			int n = m < 1 || m > 12 ? 0 :
				days[m - 1] + (m == 2 && (y % 4 == 0 && (y % 100 || y % 400 == 0)));

			for (int d = 0; d < 33; d++) {
				snprintf(text, sizeof(text), "\"%04d-%02d-%02d\"", y, m, d);
				wrong += lets_in(text) != (d >= 1 && d <= n);
			}
		}
	}
	ok(!wrong, "dates of the Gregorian calendar");
}

/* ---- patterns against PCRE2 ---- */

static void random_pattern(char *p, size_t n, int depth)
{
	static const char *const atom[] = { "a", "b", "[ab]", "[^a]", ".", "\\\\d", "\\\\w", "[a\\\\d-]", "1", "\\\\W", "\\\\.", "-" };
	static const char *const op[] = { "", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,}", "*?" };
	size_t k = 0;

	p[0] = '\0';
	for (uint32_t i = 0, parts = 1 + rnd(3); i < parts; i++) {
		char inner[256] = "";
		uint32_t what = rnd(14);

		if (what >= 12 && depth) {
			random_pattern(inner, sizeof(inner), depth - 1);
			k += (size_t)snprintf(p + k, n - k, "(%s|%s)", inner, atom[rnd(12)]);
		} else {
			k += (size_t)snprintf(p + k, n - k, "%s", atom[what % 12]);
		}
		if (k < n)
			k += (size_t)snprintf(p + k, n - k, "%s", op[rnd(10)]);
		if (k >= n)
			return;
	}
}

static void test_patterns(void)
{
	struct zen5rt_error err;
	int wrong = 0, compared = 0;

	for (int i = 0; i < 300 && wrong < 3; i++) {
		char pattern[512], anchored[600], schema[700], plain[600];
		static const char letters[] = "ab1-.z";
		pcre2_match_data *md;
		pcre2_code *re;
		PCRE2_SIZE at;
		uint32_t anchors = rnd(4);
		size_t k = 0;
		int code;

		random_pattern(pattern, sizeof(pattern), 2);
		snprintf(anchored, sizeof(anchored), "%s%s%s", anchors & 1 ? "^" : "", pattern, anchors & 2 ? "$" : "");
		snprintf(schema, sizeof(schema), "{\"pattern\":\"%s\"}", anchored);
		for (const char *q = anchored; *q; q++) {
			q += q[0] == '\\' && q[1] == '\\';
			plain[k++] = *q;
		}
		re = pcre2_compile((PCRE2_SPTR)plain, k, PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
		if (!re)
			continue;
		if (!use(schema, &err)) {
			diag("%s: %s", schema, err.message);
			wrong++;
			pcre2_code_free(re);
			continue;
		}
		md = pcre2_match_data_create(1, NULL);
		for (int n = 0; n < 200; n++) {
			char text[12];
			size_t len = rnd(8);
			bool theirs;

			text[0] = '"';
			for (size_t j = 0; j < len; j++)
				text[1 + j] = letters[rnd(6)];
			text[1 + len] = '"';
			text[2 + len] = '\0';
			theirs = pcre2_match(re, (PCRE2_SPTR)text + 1, len, 0, 0, md, NULL) >= 0;
			compared++;
			if (lets_in(text) != theirs && wrong++ < 3)
				diag("%s: %s ours %d", schema, text, !theirs);
		}
		pcre2_match_data_free(md);
		pcre2_code_free(re);
	}
	ok(!wrong && compared > 40000, "%d texts under random patterns", compared);
}

int main(void)
{
	test_cases();
	test_errors();
	test_bounds();
	test_integers();
	test_numbers();
	test_dates();
	test_patterns();
	done_with();
	return done();
}

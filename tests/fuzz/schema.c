// SPDX-License-Identifier: MIT
/*
 * Fuzz target of JSON schemas. An input is a schema, then, after a byte 0xff, an instance to match. What a schema
 * becomes must compile, and a text that a random walk through it writes must be JSON. tests/fuzz/driver.h says
 * how to run it.
 */
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zen5rt.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WALK_MAX 200

static void fuzz_fail(const char *what, const char *text)
{
	fprintf(stderr, "%s: %s\n", what, text);
	abort();
}

static void fuzz_check_error(int r, const struct zen5rt_error *err)
{
	size_t len = strnlen(err->message, sizeof(err->message));

	if (r >= 0 || !len || len == sizeof(err->message))
		fuzz_fail("refused without a word", "");
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)err->message[i] < 0x20 || err->message[i] == 0x7f)
			fuzz_fail("a control character in the message", err->message);
}

/* Goes on by a byte that is allowed, mostly one that closes something, until it may end; then the text must be JSON. */
static void fuzz_walk(struct zen5rt_matcher *m, const uint8_t *choice, size_t n)
{
	static const char close[] = "\"}]0,: aetrulsfn";
	char text[WALK_MAX + 1];
	size_t len = 0;
	json_t *v;

	while (len < WALK_MAX && !zen5rt_matcher_can_end(m)) {
		unsigned int from = n ? choice[len % n] : 0, k;

		for (k = 0; k < 256 + sizeof(close); k++) {
			char c = k < sizeof(close) && !(from & 3) ? close[(k + from / 4) % (sizeof(close) - 1)] :
				 (char)(from * 7 + k);

			if (!zen5rt_matcher_text(m, &c, 1, NULL)) {
				text[len++] = c;
				break;
			}
		}
		if (k == 256 + sizeof(close))
			fuzz_fail("nothing may come next", text);
	}
	text[len] = '\0';
	if (!zen5rt_matcher_can_end(m))
		return;
	v = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (!v)
		fuzz_fail("not JSON", text);
	json_decref(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *rest = memchr(data, 0xff, size);
	size_t len = rest ? (size_t)(rest - text) : size, n = rest ? size - len - 1 : 0;
	struct zen5rt_error err = { "" };
	struct zen5rt_grammar *g;
	struct zen5rt_matcher *m;
	char *gbnf;
	int r;

	r = zen5rt_grammar_from_schema(text, len, &gbnf, &err);
	if (r) {
		fuzz_check_error(r, &err);
		return 0;
	}
	r = zen5rt_grammar_new(NULL, gbnf, strlen(gbnf), NULL, &g, &err);
	if (r && !strstr(err.message, "begin in more than"))
		fuzz_fail(err.message, gbnf);
	free(gbnf);
	if (r)
		return 0;
	if (zen5rt_matcher_new(g, &m, NULL))
		abort();
	if (n)
		zen5rt_matcher_text(m, rest + 1, n < WALK_MAX ? n : WALK_MAX, NULL);
	zen5rt_matcher_reset(m);
	fuzz_walk(m, data, size);
	zen5rt_matcher_free(m);
	zen5rt_grammar_free(g);
	return 0;
}

__attribute__((unused))
static const char *const fuzz_seeds[] = {
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":-5,\"exclusiveMaximum\":120},\"b\":{\"type\":[\"string\",\"null\"],"
	"\"maxLength\":5}},\"required\":[\"b\"],\"additionalProperties\":true}\xff{\"b\":null}",
	"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"items\":{\"anyOf\":[{\"$ref\":\"#/$defs/a\"},{\"const\":1.5}]},\"minItems\":1,\"maxItems\":3}}}\xff[[1.5]]",
	"{\"pattern\":\"^(a|[^b-d\\\\]\\\\d]{2,3})?\\\\w+\\\\u00e9$|x\\\\s*.\"}\xff\"a\"", "{\"format\":\"date-time\"}\xff\"2024-01-01T",
	"{\"allOf\":[{\"properties\":{\"x\":true},\"required\":[\"x\",\"y\"]},{\"$ref\":\"#/definitions/d\"}],\"definitions\":{\"d\":{\"type\":\"object\"}}}",
	"{\"prefixItems\":[{\"enum\":[1,\"a\",null,{\"k\":[]}]},{\"format\":\"uuid\"}],\"items\":{\"type\":\"number\",\"minimum\":-0.25,\"maximum\":1e3}}",
	"{\"properties\":{\"ab\":{\"oneOf\":[{\"minLength\":2},{\"type\":\"boolean\"}]},\"a\\\"\":{},\"-]\":false},\"additionalProperties\":{\"type\":\"null\"}}",
	NULL,
};

#include "driver.h"

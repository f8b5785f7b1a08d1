// SPDX-License-Identifier: MIT
/*
 * Numbers between bounds, digit by digit. Where numbers of the same length agree with a bound so far the
 * next digit decides: equal, and the bound goes on; inside, and any digits may follow.
 */
#include "schema.h"
#include "grammar.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits of an integer without a bound, and after a decimal point. */
#define DIGITS_MAX 16
#define INT_TOP 9999999999999999ll

static void put_class(struct z5_buf *out, int lo, int hi)
{
	if (lo == hi)
		z5_buf_add(out, "\"%d\"", lo);
	else
		z5_buf_add(out, "[%d-%d]", lo, hi);
}

static void put_any(struct z5_buf *out, size_t n)
{
	if (n)
		z5_buf_add(out, " [0-9]{%zu}", n);
}

/* Numbers of n digits from lo to hi, both written with n digits. */
static void put_digits(struct z5_buf *out, const char *lo, const char *hi, size_t n)
{
	int a, b;

	while (n && *lo == *hi) {
		z5_buf_add(out, "\"%c\" ", *lo);
		lo++;
		hi++;
		n--;
	}
	if (!n)
		return;
	a = *lo - '0';
	b = *hi - '0';
	/* a bound whose rest is as low or high as can be is none */
	if (strspn(lo + 1, "0") >= n - 1)
		a--;
	if (strspn(hi + 1, "9") >= n - 1)
		b++;
	z5_buf_add(out, "(");
	if (a + 1 <= b - 1) {
		put_class(out, a + 1, b - 1);
		put_any(out, n - 1);
	}
	if (a == *lo - '0') {
		z5_buf_add(out, "%s\"%c\" ", a + 1 <= b - 1 ? " | " : "", *lo);
		put_digits(out, lo + 1, "9999999999999999999", n - 1);
	}
	if (b == *hi - '0') {
		z5_buf_add(out, "%s\"%c\" ", a + 1 <= b - 1 || a == *lo - '0' ? " | " : "", *hi);
		put_digits(out, "0000000000000000000", hi + 1, n - 1);
	}
	z5_buf_add(out, ")");
}

/* Integers from lo to hi, lo <= hi, without leading zeros. */
static void put_natural(struct z5_buf *out, uint64_t lo, uint64_t hi)
{
	uint64_t top = 9;
	bool first = true;

	z5_buf_add(out, "(");
	for (size_t n = 1; n <= 19; n++, top = top * 10 + 9) {
		uint64_t from = n == 1 ? 0 : top / 10 + 1, to = top;
		char a[24], b[24];

		if (lo > to || hi < from)
			continue;
		snprintf(a, sizeof(a), "%llu", (unsigned long long)(lo > from ? lo : from));
		snprintf(b, sizeof(b), "%llu", (unsigned long long)(hi < to ? hi : to));
		z5_buf_add(out, first ? "" : " | ");
		put_digits(out, a, b, n);
		first = false;
	}
	z5_buf_add(out, ")");
}

/* ---- bounds ---- */

/* A bound as a decimal number: sign, integer part, digits after the point without zeros at the end. */
struct decimal {
	bool negative;
	uint64_t whole;
	char digits[24];
};

struct bounds {
	bool has_lo, has_hi;
	bool open_lo, open_hi;		/* the bound itself is outside */
	struct decimal lo, hi;
};

static int decimal_read(struct z5_schema *s, const char *key, const json_t *v, struct decimal *d)
{
	char text[64], *p = text, *dot;
	size_t n;

	if (json_is_integer(v))
		snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_real(v))
		/*
		 * 15 digits are what people write; beyond, eighths are all that a double has, and an exponent would
		 * not do
		 */
		snprintf(text, sizeof(text), fabs(json_real_value(v)) < 1 ? "%.15f" :
			 fabs(json_real_value(v)) < 999999999999999.0 ? "%.15g" : "%.3f", json_real_value(v));
	else
		return z5_schema_fail(s, "\"%s\" must be a number", key);
	d->negative = *p == '-';
	p += d->negative;
	dot = strchr(p, '.');
	d->whole = strchr(p, 'e') ? UINT64_MAX : strtoull(p, NULL, 10);
	snprintf(d->digits, sizeof(d->digits), "%s", dot && d->whole < UINT64_MAX ? dot + 1 : "");
	n = strlen(d->digits);
	while (n && d->digits[n - 1] == '0')
		d->digits[--n] = '\0';
	if (!d->whole && !n) {
		if (json_number_value(v) != 0)
			return z5_schema_fail(s, "\"%s\" is too close to 0: there are 15 digits", key);
		d->negative = false;
	}
	return 0;
}

static int decimal_compare(const struct decimal *a, const struct decimal *b)
{
	int r;

	if (a->negative != b->negative)
		return a->negative ? -1 : 1;
	r = a->whole != b->whole ? (a->whole < b->whole ? -1 : 1) : strcmp(a->digits, b->digits);
	return a->negative ? -r : r;
}

/* minimum and exclusiveMinimum, which in draft 4 was true or false beside minimum. */
static int bound_read(struct z5_schema *s, const json_t *schema, const char *key, const char *open_key,
		      int sign, bool *has, bool *open, struct decimal *d)
{
	const json_t *v = json_object_get(schema, key), *x = json_object_get(schema, open_key);
	struct decimal other = { .negative = false };
	int r;

	if (v) {
		r = decimal_read(s, key, v, d);
		if (r)
			return r;
		*has = true;
		*open = json_is_true(x);
	}
	if (!x || json_is_boolean(x))
		return 0;
	r = decimal_read(s, open_key, x, &other);
	if (r)
		return r;
	if (!*has || sign * decimal_compare(&other, d) >= 0) {
		*has = *open = true;
		*d = other;
	}
	return 0;
}

/* A bound that no number of 16 digits reaches is none, or lets none in. */
static int bound_far(struct z5_schema *s, const char *key, int sign, bool *has, const struct decimal *d)
{
	if (!*has || d->whole <= INT_TOP)
		return 0;
	if (d->negative != (sign > 0))
		return z5_schema_fail(s, "\"%s\" lets in only numbers of more than %d digits", key, DIGITS_MAX);
	*has = false;
	return 0;
}

/* ---- integers ---- */

/* The first integer that a bound lets in; sign: 1 for a lower bound, -1 for an upper one. */
static int64_t bound_integer(const struct decimal *d, bool open, int sign)
{
	int64_t v = d->negative ? -(int64_t)d->whole : (int64_t)d->whole;

	if (d->digits[0])	/* what was cut off lies away from 0 */
		return d->negative == (sign < 0) ? v + sign : v;
	return open ? v + sign : v;
}

static int put_integer(struct z5_schema *s, const struct bounds *b, struct z5_buf *out)
{
	int64_t lo = b->has_lo ? bound_integer(&b->lo, b->open_lo, 1) : -INT_TOP;
	int64_t hi = b->has_hi ? bound_integer(&b->hi, b->open_hi, -1) : INT_TOP;

	if (lo > hi)
		return z5_schema_fail(s, "no integer lies between its bounds");
	z5_buf_add(out, "(");
	if (lo < 0) {
		z5_buf_add(out, "\"-\" ");
		put_natural(out, hi < 0 ? (uint64_t)-hi : 1, (uint64_t)-lo);
	}
	if (hi >= 0) {
		z5_buf_add(out, lo < 0 ? " | " : "");
		put_natural(out, lo > 0 ? (uint64_t)lo : 0, (uint64_t)hi);
	}
	z5_buf_add(out, ")");
	return 0;
}

/* ---- numbers with a decimal point ---- */

/* What digits after a point may be; NULL: no such bound. Of equal digits before, these are what is left. */
struct fraction {
	const char *lo, *hi;
	bool open_lo, open_hi;
};

/*
 * True if some digits, at most room, are within. Bounds have fewer than DIGITS_MAX, so that there is room between
 * two.
 */
static bool fraction_any(struct fraction f, int room)
{
	int c = f.lo && f.hi ? strcmp(f.lo, f.hi) : -1;

	if ((f.hi && !*f.hi && f.open_hi) || (f.lo && !*f.lo && f.open_lo && !room) || c > 0)
		return false;
	return c < 0 || (!f.open_lo && !f.open_hi);
}

/* True if no digit need come, or zeros only. */
static bool fraction_none(struct fraction f)
{
	return (!f.lo || (!*f.lo && !f.open_lo)) && (!f.hi || *f.hi || !f.open_hi);
}

static void put_fraction(struct z5_buf *out, struct fraction f, int room, bool some);

/* Digit d, then what goes on within f; *any: there was an alternative before. */
static void put_branch(struct z5_buf *out, int d, struct fraction f, int room, bool *any)
{
	if (!room || !fraction_any(f, room - 1))
		return;
	z5_buf_add(out, *any ? " | \"%d\" " : "\"%d\" ", d);
	*any = true;
	put_fraction(out, f, room - 1, false);
}

/* Digits within f; there are some. Recursion is DIGITS_MAX deep. some: at least one. */
static void put_fraction(struct z5_buf *out, struct fraction f, int room, bool some)
{
	struct fraction low = { .hi = NULL }, high = { .lo = NULL };
	bool any = false;
	int a = -1, b = 10;

	/* what is behind the end of a lower bound is above it */
	if (f.lo && !*f.lo && !f.open_lo)
		f.lo = NULL;
	if (f.lo) {
		a = *f.lo ? *f.lo - '0' : 0;
		low = (struct fraction){ .lo = f.lo + !!*f.lo, .open_lo = f.open_lo };
	}
	if (f.hi) {
		b = *f.hi ? *f.hi - '0' : 0;
		high = (struct fraction){ .hi = f.hi + !!*f.hi, .open_hi = f.open_hi };
	}
	/* the two that go on for as long as there is room */
	if (!f.lo && f.hi && !*f.hi) {
		z5_buf_add(out, "\"0\"{%d,%d}", some, room);
		return;
	}
	if (!f.hi && f.lo && !*f.lo) {
		z5_buf_add(out, "(\"0\"{0,%d} [1-9] [0-9]{0,%d})", room - 1, room - 1);
		return;
	}
	z5_buf_add(out, "(");
	if (fraction_none(f) && !some) {
		z5_buf_add(out, "\"\"");
		any = true;
	}
	if (room && a + 1 <= b - 1) {
		z5_buf_add(out, any ? " | " : "");
		put_class(out, a + 1, b - 1);
		if (room > 1)
			z5_buf_add(out, " [0-9]{0,%d}", room - 1);
		any = true;
	}
	if (a == b) {
		low.hi = high.hi;
		low.open_hi = high.open_hi;
		put_branch(out, a, low, room, &any);
	} else {
		if (f.lo && a < b)
			put_branch(out, a, low, room, &any);
		if (f.hi && b > a)
			put_branch(out, b, high, room, &any);
	}
	z5_buf_add(out, ")");
}

/* Whole numbers from lo to hi, each with a fraction within f. */
static void put_wholes(struct z5_buf *out, uint64_t lo, uint64_t hi, struct fraction f, bool *any)
{
	if (lo > hi || !fraction_any(f, DIGITS_MAX))
		return;
	z5_buf_add(out, *any ? " | " : "");
	*any = true;
	put_natural(out, lo, hi);
	z5_buf_add(out, fraction_none(f) ? " (\".\" " : " \".\" ");
	put_fraction(out, f, DIGITS_MAX, true);
	z5_buf_add(out, fraction_none(f) ? ")?" : "");
}

/* Numbers from lo, which is not negative, to hi (NULL: as far as there are digits), after sign. */
static void put_positive(struct z5_buf *out, const char *sign, const struct decimal *lo, bool open_lo,
			 const struct decimal *hi, bool open_hi, bool *any)
{
	struct fraction f = { .lo = lo->digits, .open_lo = open_lo }, all = { .lo = NULL };
	struct z5_buf part = { NULL, 0, 0, 0 };
	bool some = false;

	if (hi && hi->whole == lo->whole) {
		f.hi = hi->digits;
		f.open_hi = open_hi;
	}
	put_wholes(&part, lo->whole, lo->whole, f, &some);
	if (!hi)
		put_wholes(&part, lo->whole + 1, INT_TOP, all, &some);
	if (hi && hi->whole > lo->whole) {
		f = (struct fraction){ .hi = hi->digits, .open_hi = open_hi };
		put_wholes(&part, lo->whole + 1, hi->whole - 1, all, &some);
		put_wholes(&part, hi->whole, hi->whole, f, &some);
	}
	if (some) {
		z5_buf_add(out, *any ? " | %s(" : "%s(", sign);
		z5_buf_bytes(out, part.p, part.n);
		z5_buf_add(out, ")");
		*any = true;
	}
	if (part.failed)
		out->failed = part.failed;
	free(part.p);
}

static int put_real(struct z5_schema *s, const struct bounds *b, struct z5_buf *out)
{
	const struct decimal zero = { .whole = 0 }, *lo = b->has_lo ? &b->lo : NULL;
	const struct decimal *hi = b->has_hi ? &b->hi : NULL;
	bool any = false;

	z5_buf_add(out, "(");
	/* mirrored; no negative zero */
	if (!lo || lo->negative) {
		bool below = hi && hi->negative;

		put_positive(out, "\"-\" ", below ? hi : &zero, below ? b->open_hi : true, lo, b->open_lo, &any);
	}
	if (!hi || !hi->negative) {
		bool above = lo && !lo->negative;

		put_positive(out, "", above ? lo : &zero, above && b->open_lo, hi, b->open_hi, &any);
	}
	z5_buf_add(out, ")");
	return any ? 0 : z5_schema_fail(s, "no number lies between its bounds");
}

int z5_schema_number(struct z5_schema *s, const json_t *schema, bool integer, struct z5_buf *out)
{
	struct bounds b = { .has_lo = false };
	int r = bound_read(s, schema, "minimum", "exclusiveMinimum", 1, &b.has_lo, &b.open_lo, &b.lo);

	if (!r)
		r = bound_read(s, schema, "maximum", "exclusiveMaximum", -1, &b.has_hi, &b.open_hi, &b.hi);
	if (!r)
		r = bound_far(s, "minimum", 1, &b.has_lo, &b.lo);
	if (!r)
		r = bound_far(s, "maximum", -1, &b.has_hi, &b.hi);
	if (r)
		return r;
	if (!b.has_lo && !b.has_hi) {
		z5_buf_add(out, "%s", z5_schema_basic(s, integer ? "integer" : "number"));
		return 0;
	}
	if (b.has_lo && b.has_hi && decimal_compare(&b.lo, &b.hi) > 0)
		return z5_schema_fail(s, "its least value is above its greatest");
	return integer ? put_integer(s, &b, out) : put_real(s, &b, out);
}

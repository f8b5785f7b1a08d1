// SPDX-License-Identifier: MIT
/*
 * What readers of GGUF have fallen for: a count, a length or a sum that was believed. Each case
 * names its CVE where it has one.
 */
#include "gguf_writer.h"

/* Is it refused, with one clean line that says these words? */
__attribute__((format(printf, 3, 4)))
static void reject(const struct file *f, const char *words, const char *fmt, ...)
{
	struct zen5rt_error err = { "" };
	struct gguf *g = NULL;
	char name[128];
	bool clean;
	va_list ap;
	int rc = open_bytes(f->p, f->n, &g, &err);

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	clean = !strncmp(err.message, "t: ", 3) && !strpbrk(err.message, "\n\r\33\t");
	if (!ok(rc == -EINVAL && clean && strstr(err.message, words), "%s", name))
		diag("rc %d, %s", rc, err.message);
	if (!rc)
		gguf_close(g);
}

static void test_header(void)
{
	static struct file f;
	static const struct { const char *start, *words; } others[] = {
		{ "tjgg\1\0\0\0", "GGJT" }, { "lmgg\1\0\0\0", "GGML" }, { "fmgg\1\0\0\0", "GGMF" },
		{ "algg\1\0\0\0", "adapter" }, { "PK\3\4....", "convert_hf_to_gguf.py" },
		{ "\x80\2\x8a\n....", "pickle" }, { "FUGG\0\0\0\3", "swapped" },
		{ "\33[2J....", "no GGUF file" }, { "GGUX\3\0\0\0", "no GGUF file" },
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		f.n = 0;
		put(&f, others[i].start, 8);
		zero(&f, 64);
		reject(&f, others[i].words, "not GGUF: %s", others[i].words);
	}
	f.n = 0;
	u64(&f, 2);
	put(&f, "{}", 2);
	reject(&f, "safetensors", "not GGUF: safetensors");
	f.n = 0;
	put(&f, "version https://git-lfs.github.com/spec/v1\noid", 46);
	reject(&f, "git lfs pull", "not GGUF: a Git LFS pointer");
	f.n = 0;
	reject(&f, "empty", "0 bytes");
	static const struct { uint32_t v; const char *words; } versions[] = {
		{ 0, "version 0" }, { 1, "version 1" }, { 4, "version 4" },
		{ 0x03000000, "big-endian" }, { 0x02000000, "big-endian" },
		{ UINT32_MAX, "version 4294967295" },
	};
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		good(&f, versions[i].v);
		reject(&f, versions[i].words, "version %#x", versions[i].v);
	}
	static const uint64_t counts[] = {
		1ull << 32, 1ull << 40, INT64_MAX, 1ull << 63, UINT64_MAX,
	};
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		reject(head(&f, 0, counts[i]), "keys", "CVE-2024-23605: %llu keys",
		       (unsigned long long)counts[i]);
		reject(head(&f, counts[i], 0), "tensors", "CVE-2024-21836: %llu tensors",
		       (unsigned long long)counts[i]);
	}
	reject(head(&f, 0, 60000), "number of keys", "more keys than bytes");
	reject(head(&f, 1 << 20, 0), "number of tensors", "more tensors than bytes");
}

static void test_keys(void)
{
	static struct file f;
	static const uint64_t lens[] = { 65536, 1ull << 31, INT64_MAX, 1ull << 63, UINT64_MAX };

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		u64(head(&f, 0, 1), lens[i]);
		zero(&f, 64);
		reject(&f, "key 1 of 1", "CVE-2024-23496: key of %llu bytes",
		       (unsigned long long)lens[i]);
		key(head(&f, 0, 1), "k", GGUF_STRING);
		u64(&f, lens[i]);
		zero(&f, 64);
		/* CVE-2025-52566 compared such a length as a signed one */
		reject(&f, "key 'k'", "CVE-2024-21825: string of %llu bytes",
		       (unsigned long long)lens[i]);
	}
	kv(head(&f, 0, 1), "", GGUF_U8, "", 1);
	zero(&f, 64);
	reject(&f, "key of 0 bytes", "empty key");
	u64(head(&f, 0, 1), 3);
	put(&f, "a\0b", 3);
	zero(&f, 64);
	reject(&f, "control character", "NUL in a key");
	kv(head(&f, 0, 1), "\33[31mred", GGUF_U8, "", 1);
	reject(&f, "'?[31mred'", "terminal escape in a key");
	kv(head(&f, 0, 2), "k", GGUF_U8, "", 1);
	kv(&f, "k", GGUF_U8, "\1", 1);
	reject(&f, "'k' is there twice", "duplicate key");
	kv(head(&f, 0, 1), "%s%n%s%n", GGUF_BOOL, "\2", 1);
	reject(&f, "'%s%n%s%n'", "printf directives in a key");
	kv(head(&f, 0, 1), "k", GGUF_BOOL, "\2", 1);
	reject(&f, "a bool is 2", "bool of 2");
	array(head(&f, 0, 1), "k", GGUF_BOOL, 2);
	put(&f, "\1\xff", 2);
	reject(&f, "a bool is 255", "bool of 255 in an array");
	kv(head(&f, 0, 1), "k", 13, "", 1);
	reject(&f, "value type 13", "value type 13");
	kv(head(&f, 0, 1), "k", UINT32_MAX, "", 1);
	reject(&f, "value type 4294967295", "value type 2^32-1");
}

static void test_array_scars(void)
{
	static struct file f;
	static const uint64_t lens[] = {
		65, 1ull << 31, 1ull << 32, 1ull << 60, 1ull << 61, 1ull << 62, 1ull << 63,
		UINT64_MAX,
	};

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		for (uint32_t type = GGUF_U8; type <= GGUF_F64; type++) {
			if (type == GGUF_ARRAY)
				continue;
			array(head(&f, 0, 1), "k", type, lens[i]);
			zero(&f, 64);
			reject(&f, "array's length", "CVE-2024-21825: %llu elements of type %u",
			       (unsigned long long)lens[i], type);
		}
	array(head(&f, 0, 1), "k", GGUF_ARRAY, 1);
	zero(&f, 64);
	reject(&f, "arrays of arrays", "array of arrays");
	array(head(&f, 0, 1), "k", 77, 1);
	zero(&f, 64);
	reject(&f, "element type 77", "element type 77");
	array(head(&f, 0, 1), "k", GGUF_STRING, 3);
	str(&f, "abc");
	u64(&f, (1ull << 32) + 1);
	zero(&f, 64);
	reject(&f, "4294967297 bytes", "CVE-2025-49847: a token's length cut to 32 bits");
	/* what was not read yet must not be freed */
	array(head(&f, 0, 3), "k", GGUF_STRING, 2);
	str(&f, "a");
	str(&f, "b");
	array(&f, "l", GGUF_STRING, 2);
	u64(&f, UINT64_MAX);
	zero(&f, 64);
	reject(&f, "key 'l'", "CVE-2024-32878: failure in the middle of the keys");
}

struct dims {
	uint32_t n;
	uint64_t ne[6];
	uint32_t type;
	const char *words, *name;
};

static void test_dims(void)
{
	static struct file f;
	static const struct dims cases[] = {
		{ 0, { 0 }, T_F32, "0 dimensions", "no dimensions" },
		{ 5, { 1, 1, 1, 1, 1 }, T_F32, "5 dimensions", "CVE-2024-21802: 5 dimensions" },
		{ UINT32_MAX, { 1, 1 }, T_F32, "4294967295", "CVE-2024-21802: 2^32-1 dimensions" },
		{ 2, { 32, 0 }, T_F32, "dimension 1 is 0", "a dimension of 0" },
		{ 2, { 0, 32 }, T_F32, "dimension 0 is 0", "rows of 0" },
		{ 4, { 1ull << 62, 4, 0, 1 }, T_F32, "dimension 2", "0 does not hide an overflow" },
		{ 2, { 32, 1ull << 63 }, T_F32, "2^63", "a dimension of 2^63" },
		{ 2, { 1ull << 32, 1ull << 32 }, T_F32, "2^63", "CVE-2024-25664: 2^64 elements" },
		{ 4, { 65536, 65536, 65536, 65536 }, T_F32, "2^63", "CVE-2024-25665: 65536^4" },
		{ 1, { INT64_MAX }, T_F32, "2^64", "CVE-2026-33298: byte size wraps" },
		{ 2, { 1ull << 62, 1 }, T_F32, "2^64", "CVE-2024-25666: byte size wraps to 0" },
		{ 2, { 1ull << 61, 3 }, T_F32, "2^64", "CVE-2024-25667: rows times row wraps" },
		{ 1, { 33 }, T_Q8_0, "rows of 33", "half a block" },
		{ 1, { 32 }, T_Q4_K, "block of 256", "a row shorter than its block" },
		{ 1, { 1ull << 40 }, T_I8, "do not end", "CVE-2026-7482: longer than the file" },
		{ 1, { 32 }, 4, "type 4", "type 4, removed" },
		{ 1, { 32 }, 5, "type 5", "type 5, removed" },
		{ 1, { 32 }, 31, "type 31", "type 31, removed" },
		{ 1, { 32 }, 38, "type 38", "type 38, removed" },
		{ 1, { 32 }, 43, "type 43", "type 43, unknown" },
		{ 1, { 32 }, UINT32_MAX, "type 4294967295", "type 2^32-1" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct dims *d = &cases[i];

		str(head(&f, 1, 0), "w");
		u32(&f, d->n);
		put(&f, d->ne, 8 * (d->n < 6 ? d->n : 6));
		u32(&f, d->type);
		u64(&f, 0);
		data(&f, 128);
		reject(&f, d->words, "%s", d->name);
	}
}

/* Two tensors of which the second is where it should not be. */
static void place(const char *words, const char *name, uint64_t off_a, uint64_t off_b)
{
	static struct file f;

	tensor(head(&f, 2, 0), "a", 32, 1, T_I8, off_a);
	tensor(&f, "b", 32, 1, T_I8, off_b);
	data(&f, 96);
	reject(&f, words, "%s", name);
}

static void test_places(void)
{
	static struct file f;
	static const struct { uint32_t a; const char *words; } alignments[] = {
		{ 0, "0 is no power" }, { 1, "1 is no" }, { 3, "3 is no" }, { 24, "24 is no" },
		{ 0x80000000, "2147483648 is no" }, { 4096, "offset 32 is no multiple" },
	};

	place("no multiple of the alignment", "unaligned offset", 0, 33);
	place("do not end before", "CVE-2026-7482: behind the end", 0, 96);
	place("do not end before", "offset 2^63", 0, 1ull << 63);
	place("do not end before", "CVE-2024-25668: offset + data wraps", 0, UINT64_MAX - 31);
	/* the data starts at 128 */
	place("do not end before", "CVE-2024-25668: offset + data + size wraps to 0", 0,
	      UINT64_MAX - 128 - 31);
	place("before it", "the same bytes twice", 0, 0);
	place("'a' before it ends", "a gap", 0, 64);
	place("the metadata ends", "a gap before the first", 64, 32);
	/* 2^63 bytes each */
	tensor(head(&f, 2, 0), "a", 32, 1ull << 56, T_F32, 0);
	tensor(&f, "b", 32, 1ull << 56, T_F32, 1ull << 63);
	data(&f, 64);
	reject(&f, "do not end", "CVE-2025-53630, CVE-2026-27940: the sum of the sizes wraps to 0");
	for (size_t i = 0; i < sizeof(alignments) / sizeof(alignments[0]); i++) {
		kv(head(&f, 2, 1), "general.alignment", GGUF_U32, &alignments[i].a, 4);
		tensor(&f, "a", 32, 1, T_I8, 0);
		tensor(&f, "b", 32, 1, T_I8, 32);
		data(&f, 8192);
		reject(&f, alignments[i].words, "alignment %u", alignments[i].a);
	}
	kv(head(&f, 0, 1), "general.alignment", GGUF_I32, &(int32_t){ -32 }, 4);
	reject(&f, "is i32 and not u32", "alignment of another type");
}

static void test_names(void)
{
	static struct file f;
	char name[66];

	memset(name, 'n', 65);
	name[64] = name[65] = 0;
	tensor(head(&f, 1, 0), name, 32, 1, T_I8, 0);
	data(&f, 32);
	reject(&f, "name of 64 bytes", "a name of 64 bytes");
	tensor(head(&f, 1, 0), "", 32, 1, T_I8, 0);
	data(&f, 32);
	reject(&f, "name of 0 bytes", "no name");
	tensor(head(&f, 1, 0), "a\33]0;x", 32, 1, T_I8, 0);
	data(&f, 32);
	reject(&f, "'a?]0;x'", "a terminal escape in a name");
	u64(head(&f, 1, 0), 3);
	put(&f, "w\0x", 3);
	data(&f, 96);
	reject(&f, "control character", "NUL in a name");
	u64(head(&f, 1, 0), UINT64_MAX);
	data(&f, 96);
	reject(&f, "18446744073709551615 bytes", "CVE-2024-23496: a name of 2^64-1 bytes");
	tensor(head(&f, 2, 0), "w", 32, 1, T_I8, 0);
	tensor(&f, "w", 32, 1, T_I8, 32);
	data(&f, 64);
	reject(&f, "'w': is there twice", "duplicate name");
}

int main(void)
{
	test_header();
	test_keys();
	test_array_scars();
	test_dims();
	test_places();
	test_names();
	return done();
}

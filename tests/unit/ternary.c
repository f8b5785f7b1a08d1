// SPDX-License-Identifier: MIT
/*
 * Ternary matrices: a file of I2_S and the same weights as floats give the same bits; what only seems ternary stays
 * float; files that lie are refused with a line.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gguf/gguf.h>
#include <gguf/write.h>
#include <kernels/half.h>

#include "../tap.h"

#define I2_S	"tests/golden/data/small-bitnet-I2_S.gguf"
#define TQ	"tests/golden/data/small-bitnet-TQ.gguf"
enum { T_F32 = 0, T_F16 = 1, T_BF16 = 30, T_I2_S = 36 };

static struct zen5rt *rt;
static uint8_t *bytes;
static size_t n_bytes;

static void base(const char *path)
{
	FILE *f = fopen(path, "rb");

	free(bytes);
	bytes = calloc(1, 1 << 20);
	n_bytes = f ? fread(bytes, 1, 1 << 20, f) : 0;
	if (f)
		fclose(f);
}

static size_t put_float(uint8_t *p, uint32_t type, float v)
{
	const uint16_t h = type == T_F16 ? z5_to_f16(v) : z5_to_bf16(v);

	memcpy(p, type == T_F32 ? (const void *)&v : &h, type == T_F32 ? 4 : 2);
	return type == T_F32 ? 4 : 2;
}

/* Weight i of an I2_S tensor. */
static int weight(const uint8_t *p, size_t i)
{
	return (p[i / 128 * 32 + i % 32] >> (6 - 2 * (i % 128 / 32)) & 3) - 1;
}

/* The base becomes the same file with another type for I2_S. at: where the data of tensor `named` went. */
static void retype(uint32_t type, const char *named, uint8_t **at)
{
	uint8_t *from = bytes, *out;
	uint32_t types[64] = { 0 };
	struct zen5rt_error err;
	struct gguf_head h;
	struct gguf *g;

	if (gguf_open(I2_S, &g, &err) || gguf_n_tensors(g) > 64)
		abort();
	for (size_t i = 0; i < gguf_n_tensors(g); i++)
		types[i] = gguf_tensor(g, i)->type == T_I2_S ? type : gguf_tensor(g, i)->type;
	if (gguf_head_make(&h, g, NULL, 0, types, &err))
		abort();
	out = calloc(1, h.file_size);
	memcpy(out, h.p, h.n);
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor(g, i);
		const uint8_t *src = from + t->offset;
		uint8_t *dst = out + h.offset[i];
		const size_t n = t->ne[0] * t->ne[1];
		float size;

		if (named && !strcmp(t->name, named))
			*at = dst;
		if (types[i] == t->type) {
			memcpy(dst, src, t->size);
			continue;
		}
		memcpy(&size, src + n / 4, 4);
		for (size_t k = 0; k < n; k++)
			dst += put_float(dst, type, size * (float)weight(src, k));
	}
	bytes = out;
	n_bytes = h.file_size;
	free(from);
	gguf_head_free(&h);
	gguf_close(g);
}

static int load(struct zen5rt_model **m, const char *ternary, struct zen5rt_error *err)
{
	int fd = memfd_create("ternary", MFD_CLOEXEC), ret;
	struct zen5rt_model_params p;
	char path[64];

	if (fd < 0 || write(fd, bytes, n_bytes) != (ssize_t)n_bytes)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err->message[0] = 0;
	zen5rt_model_params_init(&p);
	p.ternary = ternary;
	ret = zen5rt_model_load_with(rt, path, &p, m, err);
	close(fd);
	return ret;
}

/* The type of attn_k after run(). */
static char other[16];

/* Logits after some tokens, and the type that attn_q has in memory; NULL if the file is refused. */
static float *run(const char *ternary, uint32_t *n_vocab, char type[16])
{
	static const int32_t tokens[] = { 3, 40, 99, 101, 7, 200, 45, 45, 12 };
	struct zen5rt_weight_info w;
	struct zen5rt_model_info info;
	struct zen5rt_session *s;
	struct zen5rt_error err;
	struct zen5rt_model *m;
	float *copy = NULL;

	if (load(&m, ternary, &err)) {
		diag("%s", err.message);
		return NULL;
	}
	zen5rt_model_info(m, &info);
	*n_vocab = info.n_vocab;
	for (unsigned int i = 0; !zen5rt_weight_info(m, i, &w); i++)
		if (!strcmp(w.role, "attn_q") || !strcmp(w.role, "attn_k"))
			snprintf(w.role[5] == 'q' ? type : other, 16, "%s", w.type);
	if (!zen5rt_session_new(m, NULL, &s, &err)) {
		/* a chunk, then a lone token */
		if (!zen5rt_eval(s, tokens, 8, &err) && !zen5rt_eval(s, tokens + 8, 1, &err)) {
			copy = malloc(info.n_vocab * sizeof(*copy));
			memcpy(copy, zen5rt_logits(s), info.n_vocab * sizeof(*copy));
		}
		zen5rt_session_free(s);
	}
	zen5rt_model_free(m);
	return copy;
}

static double distance(const float *a, const float *b, uint32_t n)
{
	double d = 0;

	for (uint32_t i = 0; i < n; i++)
		d = fmax(d, fabs((double)a[i] - b[i]));
	return a && b ? d : NAN;
}

static void test_floats(void)
{
	static const struct {
		uint32_t type;
		const char *name;
	} floats[] = { { T_F32, "F32" }, { T_F16, "F16" }, { T_BF16, "BF16" } };
	uint32_t n = 0, n2 = 0;
	char type[16] = "";
	float *want, *got, *off;

	base(I2_S);
	want = run(NULL, &n, type);
	ok(want && !strcmp(type, "I2_S"), "a file of I2_S");
	for (size_t i = 0; i < 3 && want; i++) {
		const char *name = floats[i].name;

		base(I2_S);
		retype(floats[i].type, NULL, NULL);
		got = run("auto", &n2, type);
		ok(got && n2 == n && !strcmp(type, "I2_S") && !memcmp(got, want, n * sizeof(*got)),
		   "the same weights in %s: the same logits to the bit", name);
		off = run("off", &n2, type);
		ok(off && !strcmp(type, name) && distance(off, want, n) > 0 && distance(off, want, n) < 0.5,
		   "and not so if they stay %s, by %.2g", name, off ? distance(off, want, n) : NAN);
		free(got);
		free(off);
	}
	free(want);
}

/* One weight, in a row that nobody looks at before all are packed, or in the first. */
static void test_seeming(void)
{
	static const float odd[] = { 0.5f, 1.5f, -2, 3e-39f, INFINITY, NAN };
	uint32_t n = 0;

	for (size_t i = 0; i < 2 * sizeof(odd) / sizeof(*odd); i++) {
		const float v = odd[i / 2];
		uint8_t *q = NULL;
		char type[16] = "";
		float *on, *off;

		base(I2_S);
		retype(T_F32, "blk.0.attn_q.weight", &q);
		put_float(q + (i % 2 ? 77 : 100 * 256 + 77) * 4, T_F32, v);
		on = run("on", &n, type);
		/* a denormal is 0 to every kernel */
		if (v < 1e-38f && v > 0)
			ok(on && !strcmp(type, "I2_S"), "a denormal among them is 0");
		else
			ok(on && !strcmp(type, "F32") && !strcmp(other, "I2_S"),
			   "one weight of %g in the %s row: its matrix stays float and no other", (double)v,
			   i % 2 ? "first" : "101st");
		off = run("off", &n, type);
		ok(isfinite(v) ? on && off && distance(on, off, n) > 0 && distance(on, off, n) < 0.5 :
		   on && off && isnan(on[0]) && isnan(off[0]), "and the logits are those of floats, nearly");
		free(on);
		free(off);
	}
	base(I2_S);
	retype(T_F32, "blk.0.attn_q.weight", &(uint8_t *){ NULL });
	ok(run("maybe", &n, (char[16]){ "" }) == NULL, "no such word for ternary");
}

/* ---- files that lie ---- */

/* What follows the length-prefixed name. */
static uint8_t *behind(const char *name)
{
	const uint64_t len = strlen(name);
	uint8_t with[128], *p;

	memcpy(with, &len, 8);
	memcpy(with + 8, name, len);
	p = memmem(bytes, n_bytes, with, len + 8);
	if (!p)
		abort();
	return p + len + 8;
}

static void refused(int want, const char *what)
{
	struct zen5rt_error err;
	struct zen5rt_model *m;
	int ret = load(&m, NULL, &err);

	if (!ok(ret == want && strstr(err.message, what) && !strchr(err.message, '\n'), "refused: %s", what))
		diag("%d: %s", ret, ret ? err.message : "loaded");
	if (!ret)
		zen5rt_model_free(m);
}

/* Data of a tensor of a file, which becomes the base. */
static uint8_t *data_of(const char *path, const char *name, const struct gguf_tensor **tensor)
{
	static struct gguf *g;
	struct zen5rt_error err;

	gguf_close(g);
	if (gguf_open(path, &g, &err))
		abort();
	*tensor = gguf_find_tensor(g, name);
	base(path);
	return bytes + (*tensor)->offset;
}

static void test_lies(void)
{
	static const float bad[] = { INFINITY, -INFINITY, NAN };
	const struct gguf_tensor *t;
	uint8_t *p;

	p = data_of(I2_S, "blk.0.ffn_up.weight", &t);
	p[t->size - 33] |= 3;
	refused(-EINVAL, "ffn_up.weight: weights that are neither -1, 0 nor 1");
	p = data_of(I2_S, "blk.0.ffn_up.weight", &t);
	p[0] |= 0xc0;
	refused(-EINVAL, "ffn_up.weight: weights that are neither -1, 0 nor 1");
	for (int i = 0; i < 3; i++) {
		p = data_of(I2_S, "blk.0.attn_k.weight", &t);
		memcpy(p + t->size - 32, &bad[i], 4);
		refused(-EINVAL, i < 2 ? "attn_k.weight: its scale is infinite" : "attn_k.weight: its scale is NaN");
	}
	/* the same bytes in rows of 128 */
	base(I2_S);
	p = behind("blk.0.attn_q.weight");
	memcpy(p + 4, (uint64_t[]){ 128, 512 }, 16);
	refused(-EINVAL, "attn_q.weight: rows of 128; of type I2_S only multiples of 256 can be run");
	base(I2_S);
	p = behind("blk.0.attn_q.weight");
	memcpy(p + 4, (uint64_t[]){ 64, 1024 }, 16);
	refused(-EINVAL, "rows of 64 are no multiple of I2_S's block of 128");
	base(I2_S);
	p = behind("blk.0.attn_q.weight");
	memcpy(p + 4, (uint64_t[]){ 1ull << 60, 4 }, 16);
	refused(-EINVAL, "attn_q.weight");
	base(I2_S);
	p = behind("blk.0.attn_q.weight");
	memcpy(p + 4, (uint64_t[]){ UINT64_MAX - 127, 1 }, 16);
	refused(-EINVAL, "attn_q.weight");
	base(I2_S);
	n_bytes -= 1;
	refused(-EINVAL, "do not end before the file does");
	/* a vector cannot be I2_S */
	base(I2_S);
	p = behind("blk.0.attn_sub_norm.weight");
	p[-1] ^= 1;
	refused(-EINVAL, "attn_sub_norm.weight is missing");
	base(TQ);
	p = behind("blk.0.attn_q.scale");
	p[-1] ^= 1;
	refused(-EINVAL, "is not part of architecture bitnet");
	base(TQ);
	memcpy(behind("blk.0.attn_q.scale") + 4, &(uint64_t){ 2 }, 8);
	refused(-EINVAL, "attn_q.scale");
	for (int i = 0; i < 3; i++) {
		p = data_of(TQ, "blk.0.ffn_down.scale", &t);
		memcpy(p, &bad[i], 4);
		refused(-EINVAL, i < 2 ? "ffn_down.scale: its scale is infinite" : "ffn_down.scale: its scale is NaN");
	}
}

int main(void)
{
	struct zen5rt_params p;
	struct zen5rt_error err;

	zen5rt_params_init(&p);
	p.n_threads = 2;
	p.pin = false;
	if (zen5rt_open(&p, &rt, &err)) {
		ok(false, "%s", err.message);
		return done();
	}
	test_floats();
	test_seeming();
	test_lies();
	zen5rt_close(rt);
	free(bytes);
	return done();
}

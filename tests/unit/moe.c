// SPDX-License-Identifier: MIT
/*
 * Mixtures of experts and latent attention out of files that lie: one number, name or weight of a good file is changed,
 * then it is refused with one line that names the thing, or it runs.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gguf/gguf.h>

#include "../tap.h"

#define V3	"tests/golden/data/small-deepseek2-v3.gguf"
#define LITE	"tests/golden/data/small-deepseek2-lite.gguf"
#define QWEN	"tests/golden/data/small-qwen2moe-F16.gguf"
#define MIXTRAL	"tests/golden/data/small-mixtral-F16.gguf"
#define GPTOSS	"tests/golden/data/small-gptoss-F16.gguf"
#define PARTS	"tests/golden/data/small-mixtral-Q8_0.gguf"

static struct zen5rt *rt;
static uint8_t bytes[1 << 20];
static size_t n_bytes;

static void base(const char *path)
{
	FILE *f = fopen(path, "rb");

	n_bytes = f ? fread(bytes, 1, sizeof(bytes), f) : 0;
	if (f)
		fclose(f);
}

/* What follows the length-prefixed name, NULL if there is none. */
static uint8_t *behind(const char *name)
{
	const uint64_t len = strlen(name);
	uint8_t with[128];
	uint8_t *p;

	memcpy(with, &len, 8);
	memcpy(with + 8, name, len);
	p = memmem(bytes, n_bytes, with, len + 8);
	return p ? p + len + 8 : NULL;
}

/* Value of a number's key: four bytes, whether integer or float. */
static bool set(const char *name, uint32_t v)
{
	uint8_t *p = behind(name);

	if (p)
		memcpy(p + 4, &v, 4);
	return p;
}

static uint32_t bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	return u;
}

/* Dimensions d and d + 1 of a tensor; the product has to stay as it is. */
static bool reshape(const char *name, int d, uint64_t n0, uint64_t n1)
{
	uint8_t *p = behind(name);

	if (p) {
		memcpy(p + 4 + 8 * d, &n0, 8);
		memcpy(p + 12 + 8 * d, &n1, 8);
	}
	return p;
}

/* Three dimensions become two and another type; the bytes have to stay as many. */
static bool flatten(const char *name, uint64_t n0, uint64_t n1, uint32_t type)
{
	uint8_t *p = behind(name);

	if (p && reshape(name, 0, n0, n1)) {
		memset(p + 20, 0, 8);
		p[20] = 1;
		memcpy(p + 28, &type, 4);
	}
	return p;
}

static bool rename_tensor(const char *name)
{
	uint8_t *p = behind(name);

	if (p)
		p[-1] ^= 1;
	return p;
}

static int load(struct zen5rt_model **m, struct zen5rt_error *err)
{
	int fd = memfd_create("moe", MFD_CLOEXEC), ret;
	char path[64];

	if (fd < 0 || write(fd, bytes, n_bytes) != (ssize_t)n_bytes)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err->message[0] = 0;
	ret = zen5rt_model_load(rt, path, m, err);
	close(fd);
	return ret;
}

/* Logits after some tokens, NULL if the file is refused. */
static float *run(uint32_t *n_vocab)
{
	static const int32_t tokens[] = { 3, 40, 99, 101, 7, 200, 45, 45, 12 };
	struct zen5rt_model_info info;
	struct zen5rt_session *s;
	struct zen5rt_error err;
	struct zen5rt_model *m;
	float *copy = NULL;

	if (load(&m, &err)) {
		diag("%s", err.message);
		return NULL;
	}
	zen5rt_model_info(m, &info);
	*n_vocab = info.n_vocab;
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

/* The file as it was changed is refused with a line that has `what` in it. */
static void refused(bool changed, const char *what)
{
	struct zen5rt_error err;
	struct zen5rt_model *m;
	int ret = changed ? load(&m, &err) : 0;

	if (!changed)
		ok(false, "refused: %s: nothing to change in the file", what);
	else if (!ok(ret == -EINVAL && strstr(err.message, what) && !strchr(err.message, '\n'), "refused: %s", what))
		diag("%d: %s", ret, ret ? err.message : "loaded");
	if (changed && !ret)
		zen5rt_model_free(m);
}

static const struct {
	const char *file, *key;
	uint32_t value;
	const char *what;
} numbers[] = {
	{ V3, "deepseek2.expert_count", 0, "tensor blk.1.ffn_gate.weight is missing" },
	{ V3, "deepseek2.expert_count", 7, "7 experts cannot form 4 groups" },
	{ V3, "deepseek2.expert_count", 12, "tensor blk.1.ffn_gate_inp.weight has shape" },
	{ V3, "deepseek2.expert_count", UINT32_MAX, "expert_count is 4294967295, expected at most 1024" },
	{ V3, "deepseek2.expert_used_count", 0, "expert_used_count is 0, expected 1 to 8" },
	{ V3, "deepseek2.expert_used_count", 9, "expert_used_count is 9, expected 1 to 8" },
	{ V3, "deepseek2.expert_used_count", UINT32_MAX, "expert_used_count is 4294967295" },
	{ V3, "deepseek2.expert_used_count", 5, "a token uses 5 experts, but the 2 groups that it may choose from have 4" },
	{ V3, "deepseek2.expert_group_count", 3, "8 experts cannot form 3 groups" },
	{ V3, "deepseek2.expert_group_count", 9, "expert_group_count is 9, expected 0 to 8" },
	{ V3, "deepseek2.expert_group_used_count", 5, "expert_group_used_count is 5, expected 0 to 4" },
	{ V3, "deepseek2.expert_feed_forward_length", 0, "expert_feed_forward_length is 0" },
	{ V3, "deepseek2.expert_feed_forward_length", 21, "tensor blk.1.ffn_gate_exps.weight has shape" },
	{ V3, "deepseek2.expert_feed_forward_length", UINT32_MAX, "expert_feed_forward_length is 4294967295" },
	{ V3, "deepseek2.expert_shared_count", 2, "tensor blk.1.ffn_gate_shexp.weight has shape" },
	{ V3, "deepseek2.expert_shared_count", 0, "tensor blk.1.ffn_gate_shexp.weight is not part of" },
	{ V3, "deepseek2.expert_shared_count", UINT32_MAX, "expert_shared_count is 4294967295" },
	{ V3, "deepseek2.expert_gating_func", 4, "expert_gating_func is 4" },
	{ V3, "deepseek2.leading_dense_block_count", 3, "leading_dense_block_count is 3, expected 0 to 2" },
	{ V3, "deepseek2.leading_dense_block_count", 2, "tensor blk.1.ffn_gate.weight is missing" },
	{ V3, "deepseek2.leading_dense_block_count", 0, "tensor blk.0.ffn_gate_inp.weight is missing" },
	{ V3, "deepseek2.attention.kv_lora_rank", 0, "kv_lora_rank is 0" },
	{ V3, "deepseek2.attention.kv_lora_rank", 24, "kv_lora_rank is 24, expected a multiple of 16" },
	{ V3, "deepseek2.attention.kv_lora_rank", 48, "tensor blk.0.attn_kv_a_mqa.weight has shape" },
	{ V3, "deepseek2.attention.kv_lora_rank", 1u << 31, "kv_lora_rank is 2147483648" },
	{ V3, "deepseek2.attention.q_lora_rank", 0, "tensor blk.0.attn_q.weight is missing" },
	{ V3, "deepseek2.attention.q_lora_rank", 25, "tensor blk.0.attn_q_a.weight has shape" },
	{ V3, "deepseek2.attention.q_lora_rank", 1u << 20, "q_lora_rank is 1048576" },
	{ V3, "deepseek2.attention.key_length_mla", 8, "keys of 8 with 8 turned dimensions leave none" },
	{ V3, "deepseek2.attention.key_length_mla", 23, "tensor blk.0.attn_q_b.weight has shape" },
	{ V3, "deepseek2.attention.value_length_mla", 0, "value_length_mla is 0" },
	{ V3, "deepseek2.attention.value_length_mla", 25, "tensor blk.0.attn_v_b.weight has shape" },
	{ LITE, "deepseek2.attention.value_length", 25, "tensor blk.0.attn_kv_b.weight has shape" },
	{ LITE, "deepseek2.attention.key_length", 8, "keys of 8 with 8 turned dimensions leave none" },
	{ QWEN, "qwen2moe.expert_count", 0, "qwen2moe.expert_count is missing or 0" },
	{ QWEN, "qwen2moe.expert_shared_feed_forward_length", 41, "tensor blk.0.ffn_gate_shexp.weight has shape" },
	{ MIXTRAL, "llama.expert_count", 0, "tensor blk.0.ffn_gate.weight is missing" },
	{ MIXTRAL, "llama.expert_count", 5, "tensor blk.0.ffn_gate_inp.weight has shape 32 x 4 x 1 x 1, expected 32 x 5" },
	{ GPTOSS, "gpt-oss.expert_count", 0, "gpt-oss.expert_count is missing or 0" },
	{ PARTS, "llama.expert_count", 3, "tensor blk.0.ffn_gate_inp.weight has shape" },
};

static void check_numbers(void)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		base(numbers[i].file);
		refused(set(numbers[i].key, numbers[i].value), numbers[i].what);
	}
	base(V3);
	refused(set("deepseek2.expert_weights_scale", bits(-1.0f)), "expert_weights_scale is -1");
	base(V3);
	refused(set("deepseek2.expert_weights_scale", bits(NAN)), "expert_weights_scale is");
}

static const struct {
	const char *file, *tensor;
} missing[] = {
	{ V3, "blk.1.ffn_gate_inp.weight" }, { V3, "blk.1.ffn_gate_exps.weight" }, { V3, "blk.1.ffn_up_exps.weight" },
	{ V3, "blk.1.ffn_down_exps.weight" }, { V3, "blk.1.ffn_gate_shexp.weight" }, { V3, "blk.1.ffn_up_shexp.weight" },
	{ V3, "blk.1.ffn_down_shexp.weight" }, { V3, "blk.0.attn_v_b.weight" }, { V3, "blk.0.attn_q_a_norm.weight" },
	{ V3, "blk.0.attn_kv_a_norm.weight" }, { LITE, "blk.1.attn_kv_b.weight" }, { LITE, "blk.1.attn_q.weight" },
	{ QWEN, "blk.0.ffn_gate_inp_shexp.weight" },
	{ GPTOSS, "blk.1.ffn_down_exps.bias" }, { GPTOSS, "blk.0.ffn_gate_inp.bias" }, { GPTOSS, "blk.1.attn_sinks.weight" },
	{ GPTOSS, "blk.0.post_attention_norm.weight" }, { PARTS, "blk.0.ffn_up.2.weight" },
};

static void check_tensors(void)
{
	for (size_t i = 0; i < sizeof(missing) / sizeof(*missing); i++) {
		char what[128];

		base(missing[i].file);
		snprintf(what, sizeof(what), "tensor %s is missing", missing[i].tensor);
		refused(rename_tensor(missing[i].tensor), what);
	}
	base(V3);
	refused(reshape("blk.1.ffn_down_exps.weight", 1, 8, 32), "tensor blk.1.ffn_down_exps.weight has shape");
	base(V3);
	refused(reshape("blk.1.ffn_up_exps.weight", 0, 20, 32), "tensor blk.1.ffn_up_exps.weight has shape");
	base(V3);
	refused(reshape("blk.1.attn_k_b.weight", 1, 2, 32), "tensor blk.1.attn_k_b.weight has shape");
	/* experts one below the other, of half as many columns that are twice as wide */
	base(MIXTRAL);
	refused(flatten("blk.0.ffn_down_exps.weight", 12, 32 * 4, 0), "tensor blk.0.ffn_down_exps.weight has shape");
	base(PARTS);
	refused(reshape("blk.0.ffn_down.3.weight", 0, 64, 32), "tensor blk.0.ffn_down.3.weight has shape 64 x 32");
}

/* Part [from, to) of a tensor's bytes in sixteenths becomes copies of four. */
static bool fill(const char *name, unsigned int from, unsigned int to, uint32_t v)
{
	int fd = memfd_create("moe", MFD_CLOEXEC);
	const struct gguf_tensor *t;
	struct zen5rt_error err;
	struct gguf *g;

	if (fd < 0 || write(fd, bytes, n_bytes) != (ssize_t)n_bytes || gguf_open_fd(fd, "moe", &g, &err))
		abort();
	close(fd);
	t = gguf_find_tensor(g, name);
	for (uint64_t i = t ? t->size * from / 16 : 0; t && i + 4 <= t->size * to / 16; i += 4)
		memcpy(bytes + t->offset + i, &v, 4);
	gguf_close(g);
	return t;
}

/* Whatever a router says, an expert is chosen that exists. */
static void check_routers(void)
{
	static const struct { const char *name; uint32_t v; } values[] = {
		{ "NaN", 0x7fc00000 }, { "-NaN", 0xffc00000 }, { "infinity", 0x7f800000 }, { "1e38", 0x7e967699 },
		{ "-1e38", 0xfe967699 }, { "0", 0 },
	};
	static const struct { const char *file, *tensor; } routers[] = {
		{ V3, "blk.1.ffn_gate_inp.weight" }, { V3, "blk.1.exp_probs_b.bias" },
		{ LITE, "blk.1.ffn_gate_inp.weight" }, { QWEN, "blk.0.ffn_gate_inp.weight" }, { QWEN, "blk.0.ffn_gate_inp_shexp.weight" },
		{ MIXTRAL, "blk.0.ffn_gate_inp.weight" }, { GPTOSS, "blk.1.ffn_gate_inp.weight" },
		{ GPTOSS, "blk.0.attn_sinks.weight" },
	};

	for (size_t r = 0; r < sizeof(routers) / sizeof(*routers); r++) {
		for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
			uint32_t n;
			float *y;

			base(routers[r].file);
			y = fill(routers[r].tensor, 0, 16, values[i].v) ? run(&n) : NULL;
			ok(y, "%s of %s: %s all over runs", routers[r].tensor, strrchr(routers[r].file, '/') + 1,
			   values[i].name);
			free(y);
		}
	}
}

/* Among equals the first are taken: of four experts that score the same, the last two are never read. */
static void check_ties(void)
{
	uint32_t n = 0, m = 0;
	float *a, *b;
	bool equal, finite = true;

	base(MIXTRAL);
	fill("blk.0.ffn_gate_inp.weight", 0, 16, 0);
	fill("blk.1.ffn_gate_inp.weight", 0, 16, 0);
	a = run(&n);
	fill("blk.0.ffn_down_exps.weight", 8, 16, 0x7e007e00);
	fill("blk.1.ffn_gate_exps.weight", 8, 16, 0x7e007e00);
	b = run(&m);
	equal = a && b && n == m && !memcmp(a, b, n * sizeof(*a));
	for (uint32_t i = 0; equal && i < n; i++)
		finite &= isfinite(a[i]);
	ok(equal && finite, "of equal experts the first two are taken, the NaNs of the others are not seen");
	free(b);
	base(MIXTRAL);
	fill("blk.0.ffn_gate_inp.weight", 0, 16, 0);
	fill("blk.0.ffn_down_exps.weight", 4, 8, 0x7e007e00);
	b = run(&m);
	ok(b && isnan(b[0]), "those of the second are");
	free(a);
	free(b);
	/* weights of gpt-oss come from the chosen alone; expert 0 scores NaN */
	base(GPTOSS);
	fill("blk.0.ffn_gate_inp.weight", 0, 4, 0x7fc00000);
	fill("blk.1.ffn_gate_inp.weight", 0, 4, 0x7fc00000);
	a = run(&n);
	finite = a;
	for (uint32_t i = 0; a && i < n; i++)
		finite &= isfinite(a[i]);
	ok(finite, "an expert whose score is NaN is not taken where others have numbers");
	free(a);
}

/* What a token streams: the experts that it uses. */
static void check_report(void)
{
	struct zen5rt_model_info info;
	struct zen5rt_weight_info w;
	struct zen5rt_error err;
	struct zen5rt_model *m;
	uint64_t experts = 0, embd = 0;
	unsigned int count = 0;

	base(MIXTRAL);
	if (!ok(!load(&m, &err), "mixtral loads"))
		return;
	for (unsigned int i = 0; !zen5rt_weight_info(m, i, &w); i++) {
		if (strstr(w.role, "_exps")) {
			experts += w.bytes;
			count += w.count;
		}
		if (!strcmp(w.role, "token_embd"))
			embd = w.bytes;
	}
	zen5rt_model_info(m, &info);
	ok(count == 3 * 4 * 2, "three matrices for each of four experts in each of two layers: %u", count);
	/* tied: the embedding is the output matrix, too */
	ok(embd && info.decode_bytes == info.weight_bytes - experts / 2, "a token streams half of the experts' bytes");
	zen5rt_model_free(m);
}

int main(void)
{
	struct zen5rt_params p;
	struct zen5rt_error err;

	zen5rt_params_init(&p);
	p.n_threads = 3;
	if (zen5rt_open(&p, &rt, &err)) {
		diag("%s", err.message);
		return 1;
	}
	check_numbers();
	check_tensors();
	check_routers();
	check_ties();
	check_report();
	zen5rt_close(rt);
	return done();
}

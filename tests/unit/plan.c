// SPDX-License-Identifier: MIT
/*
 * What zen5rt_model_plan() reads from the header is what loading then takes: for the models of the repository, and
 * for those beside it. Run from the top directory.
 */
#include <errno.h>
#include <glob.h>
#include <string.h>

#include <zen5rt.h>
#include "../tap.h"
#include "gguf_writer.h"

/* Sizes after loading against those before. */
static void check(struct zen5rt *rt, const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	struct zen5rt_error err = { "" };
	struct zen5rt_session_params sp;
	struct zen5rt_region_info kv = { .use = "" }, state = { 0 };
	struct zen5rt_session *s = NULL;
	struct zen5rt_model_info info;
	struct zen5rt_model_plan plan;
	struct zen5rt_model *model;

	if (!ok(!zen5rt_model_plan(path, 100, &plan, &err), "%s: planned %s", name, err.message))
		return;
	if (zen5rt_model_load(rt, path, &model, &err)) {
		/* Only what the plan did not look at may still stand in the way. */
		diag("%s: %s; plan says \"%s\"", name, err.message, plan.refused);
		ok(*plan.refused || strstr(err.message, "tokenizer") || strstr(err.message, "available"),
		   "%s: not to be run, and the plan knew", name);
		return;
	}
	zen5rt_model_info(model, &info);
	zen5rt_session_params_init(&sp);
	sp.n_ctx = 100;
	if (!zen5rt_session_new(model, &sp, &s, &err)) {
		zen5rt_session_region(s, 0, &kv);
		zen5rt_session_region(s, 2, &state);
	}
	if (!strcmp(kv.use, "state")) {
		state = kv;
		kv.asked = 0;
	}
	if (!ok(plan.weight_bytes == info.weight_bytes && plan.file_bytes == info.file_bytes && !*plan.refused &&
			!plan.n_unsupported && plan.n_parts == 1 && plan.n_ctx_train == info.n_ctx_train &&
			!strcmp(plan.arch, info.arch),
		"%s: %llu bytes of weights", name, (unsigned long long)info.weight_bytes))
		diag("planned %llu, %s", (unsigned long long)plan.weight_bytes, plan.refused);
	ok(plan.n_ctx == 100 && plan.kv_bytes == kv.asked && plan.state_bytes == state.asked &&
	   plan.kv_bytes + plan.state_bytes && !info.state_bytes == !state.asked,
	   "%s: %llu bytes of KV cache, %llu of state", name, (unsigned long long)kv.asked,
	   (unsigned long long)state.asked);
	zen5rt_session_free(s);
	zen5rt_model_free(model);
}

static void check_all(struct zen5rt *rt, const char *pattern, bool demanded)
{
	glob_t g = { 0 };

	if (!glob(pattern, 0, NULL, &g))
		for (size_t i = 0; i < g.gl_pathc; i++)
			check(rt, g.gl_pathv[i]);
	else if (demanded)
		ok(false, "no %s", pattern);
	else
		skip("no %s", pattern);
	globfree(&g);
}

/* Tensors of a type without kernels are a line in the plan, and count as they lie in the file. */
static void test_unsupported(void)
{
	char path[] = "/tmp/zen5-plan-XXXXXX";
	struct zen5rt_error err = { "" };
	struct zen5rt_model_plan plan;
	int fd = mkstemp(path);
	struct file f;

	head(&f, 3, 1);
	key(&f, "general.architecture", GGUF_STRING);
	str(&f, "lla\033ma");
	tensor(&f, "a", 40, 1, T_I8, 0);	/* 40 bytes, padded to 64 */
	tensor(&f, "b", 20, 2, T_I8, 64);	/* 40 bytes, padded to 64 */
	tensor(&f, "c", 32, 17, T_Q8_0, 128);	/* two groups of 16 x 32 bytes and 16 scales in a line */
	data(&f, 128 + 17 * 34);
	if (fd < 0 || write(fd, f.p, f.n) != (ssize_t)f.n) {
		skip("no file in /tmp");
		return;
	}
	close(fd);
	ok(!zen5rt_model_plan(path, 0, &plan, &err), "a file with types that have no kernels: %s", err.message);
	ok(plan.n_unsupported == 2 && !strcmp(plan.unsupported, "I8") && plan.n_tensors == 3 && plan.n_parts == 1,
	   "two of three tensors are of %s", plan.unsupported);
	ok(plan.weight_bytes == 80 + 2 * (16 * 32 + 64), "their bytes as in the file, the others repacked (%llu)",
	   (unsigned long long)plan.weight_bytes);
	ok(!strcmp(plan.arch, "lla?ma") && strstr(plan.refused, "architecture") && !plan.kv_bytes,
	   "an unknown architecture: %s", plan.refused);
	unlink(path);
}

int main(void)
{
	struct zen5rt_model_plan plan;
	struct zen5rt_error err = { "" };
	struct zen5rt *rt;

	if (!ok(!zen5rt_open(NULL, &rt, &err), "open %s", err.message))
		return done();
	check_all(rt, "tests/models/*.gguf", true);
	check_all(rt, "tests/golden/data/*.gguf", true);
	check_all(rt, "../shared/models/models/*.gguf", false);
	zen5rt_close(rt);
	test_unsupported();

	ok(zen5rt_model_plan("tests/no-such-file", 0, &plan, &err) == -ENOENT && strstr(err.message, "no-such-file"),
	   "no file: %s", err.message);
	ok(zen5rt_model_plan("tests/tap.h", 0, &plan, &err) == -EINVAL, "no GGUF: %s", err.message);
	ok(zen5rt_model_plan("tests/models/zen5-tiny.gguf", (1u << 30) + 1, &plan, &err) == -EINVAL,
	   "a context beyond bounds: %s", err.message);
	return done();
}

// SPDX-License-Identifier: MIT
/* CPU identification: recorded leaves, this machine, and recordings that are none. Run from the top directory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kernels/kernels.h>
#include <topo/cpu.h>
#include "../tap.h"

static char root[] = "/tmp/zen5-cpu-XXXXXX";

static void run(const char *what, const char *name)
{
	char command[128];

	snprintf(command, sizeof(command), "%s %s %s", what, name, root);
	if (system(command))
		diag("%s failed", command);
}

static bool identify(const char *name, struct zen5rt_cpu_info *info, struct z5_cpuid *src)
{
	struct zen5rt_error err = { "" };

	run("rm -rf", "");
	run("tests/topo/unfold", name);
	if (z5_cpuid_open(root, src, &err)) {
		diag("%s", err.message);
		return false;
	}
	z5_cpu_identify(src, info);
	return true;
}

static void test_recorded(void)
{
	static const struct {
		const char *name, *brand, *core;
		uint32_t family, model;
		bool zen5;
		uint32_t bits;
		const char *level;
		unsigned int n_umc;
		bool hypervisor, pages_1g;
	} want[] = {
		{ "ryzen-9950x", "AMD Ryzen 9 9950X 16-Core Processor", "Zen 5", 0x1a, 0x44, true, 512, "avx512vnni", 2,
		  false, true },
		{ "ryzen-9950x3d", "AMD Ryzen 9 9950X3D 16-Core Processor", "Zen 5", 0x1a, 0x44, true, 512, "avx512vnni",
		  2, false, true },
		{ "ryzen-hx370", "AMD Ryzen AI 9 HX 370 w/ Radeon 890M", "Zen 5", 0x1a, 0x24, true, 256, "avx512vnni", 4,
		  false, true },
		{ "epyc-9655-nps4", "AMD EPYC 9655 96-Core Processor", "Zen 5", 0x1a, 0x02, true, 512, "avx512vnni", 12,
		  false, true },
		{ "ryzen-7900x", "AMD Ryzen 9 7900X 12-Core Processor", "Zen 4", 0x19, 0x61, false, 256, "avx512vnni", 2,
		  false, true },
		{ "intel-11900k", "11th Gen Intel(R) Core(TM) i9-11900K @ 3.50GHz", "", 6, 0xa7, false, 0, "avx512vnni", 0,
		  false, true },
		{ "zen6", "AMD Zen 6", "Zen 6", 0x1a, 0x50, false, 512, "avx512vnni", 2, false, true },
		{ "vm-no-l3", "AMD EPYC Processor", "", 0x17, 1, false, 0, "avx2", 0, true, false },
	};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct zen5rt_cpu_info c = { .vendor = "" };
		struct z5_cpuid src = { 0 };

		if (!ok(identify(want[i].name, &c, &src), "%s: read", want[i].name))
			continue;
		if (!ok(!strcmp(c.brand, want[i].brand) && !strcmp(c.core, want[i].core) &&
				c.family == want[i].family && c.model == want[i].model && c.zen5 == want[i].zen5 &&
				c.data_path_bits == want[i].bits,
			"%s: is %s", want[i].name, want[i].brand))
			diag("\"%s\" %s %x %x %d %u", c.brand, c.core, c.family, c.model, c.zen5, c.data_path_bits);
		if (!ok(!strcmp(c.level, want[i].level) && z5_cpu_n_umc(&src) == want[i].n_umc &&
				c.hypervisor == want[i].hypervisor && c.pages_1g == want[i].pages_1g,
			"%s: %s, %u memory controllers", want[i].name, want[i].level, want[i].n_umc))
			diag("%s (%s) %u %d %d", c.level, c.missing, z5_cpu_n_umc(&src), c.hypervisor, c.pages_1g);
		ok(!*c.missing == !strcmp(c.level, "avx512vnni"), "%s: something is missing below the top only",
		   want[i].name);
		z5_cpuid_close(&src);
	}
}

/* A CPU of the recorded ones with one leaf changed. */
static struct zen5rt_cpu_info changed(const char *name, uint32_t leaf, uint32_t sub, const struct z5_leaf *l)
{
	struct zen5rt_cpu_info c = { .vendor = "" };
	struct z5_cpuid src = { 0 };

	if (!identify(name, &c, &src))
		return c;
	for (size_t i = 0; i < src.n; i++)
		if (src.leaves[i].leaf == leaf && src.leaves[i].sub == sub)
			src.leaves[i] = (struct z5_leaf){ leaf, sub, l->a, l->b, l->c, l->d };
	z5_cpu_identify(&src, &c);
	z5_cpuid_close(&src);
	return c;
}

static void test_models(void)
{
	struct zen5rt_cpu_info c = { .vendor = "" };
	struct z5_cpuid src = { 0 };
	unsigned int bad5 = 0, bad6 = 0;

	if (!identify("ryzen-9950x", &c, &src))
		return;
	/* Every model of the family, against the ranges as Linux writes them. */
	for (uint32_t m = 0; m < 256; m++) {
		bool zen5 = m <= 0x2f || (m >= 0x40 && m <= 0x4f) || (m >= 0x60 && m <= 0x7f);
		bool zen6 = (m >= 0x50 && m <= 0x5f) || (m >= 0x80 && m <= 0xaf) || (m >= 0xc0 && m <= 0xef);

		for (size_t i = 0; i < src.n; i++)
			if (src.leaves[i].leaf == 1)
				src.leaves[i].a = 0x00b00f00 | (m & 0xf) << 4 | (m >> 4) << 16;
		z5_cpu_identify(&src, &c);
		bad5 += c.zen5 != zen5 || c.family != 0x1a || c.model != m || zen5 != !strcmp(c.core, "Zen 5");
		bad6 += zen6 != !strcmp(c.core, "Zen 6") || (!zen5 && !zen6 && *c.core);
	}
	ok(!bad5 && !bad6, "family 1Ah: every model is what Linux says (%u, %u)", bad5, bad6);
	z5_cpuid_close(&src);

	c = changed("ryzen-9950x", 0, 0,
		    &(struct z5_leaf){ .a = 16, .b = 0x756e6547, .c = 0x6c65746e, .d = 0x49656e69 });
	ok(!c.zen5 && !*c.core && !strcmp(c.vendor, "GenuineIntel"), "family 1Ah of another vendor is no Zen 5");
}

static void test_levels(void)
{
	/* Leaf 7 of a 9950X without avx512vl; without avx2. */
	struct zen5rt_cpu_info c = changed("ryzen-9950x", 7, 0, &(struct z5_leaf){ .a = 1, .b = 0x71bf97ab,
							    .c = 0x19405fce, .d = 0x10000110 });
	struct z5_cpuid src = { 0 };

	ok(!strcmp(c.level, "avx2") && !strcmp(c.missing, "avx512vl"), "without avx512vl: avx2 (%s, %s)", c.level,
	   c.missing);
	c = changed("ryzen-9950x", 7, 0,
		    &(struct z5_leaf){ .a = 1, .b = 0xf1bf978b, .c = 0x19405fce, .d = 0x10000110 });
	ok(!strcmp(c.level, "scalar") && !strcmp(c.missing, "avx2"), "without avx2: scalar (%s, %s)", c.level,
	   c.missing);

	if (identify("ryzen-9950x", &c, &src)) {
		src.xcr0 = 7;
		z5_cpu_identify(&src, &c);
		ok(!strcmp(c.level, "avx2") && !strcmp(c.missing, "os-avx512"),
		   "a system without the registers of AVX-512");
		src.xcr0 = 3;
		z5_cpu_identify(&src, &c);
		ok(!strcmp(c.level, "scalar") && !strcmp(c.missing, "os-avx"), "a system without those of AVX");
		src.have_xcr0 = false;
		z5_cpu_identify(&src, &c);
		ok(!strcmp(c.level, "avx512vnni"), "a recording without XCR0: what the CPU can save");
	}
	z5_cpuid_close(&src);
}

static void test_here(void)
{
	struct zen5rt_cpu_info c;
	char flags[8192] = "";
	FILE *f = fopen("/proc/cpuinfo", "re");
	unsigned int family = 0, model = 0;

	zen5rt_cpu_info(&c);
	ok(!strcmp(c.level, z5_level_names[z5_level_best()]), "this CPU: %s, as the kernels find", c.level);
	while (f && fgets(flags, sizeof(flags), f)) {
		if (sscanf(flags, "cpu family : %u", &family) == 1 || sscanf(flags, "model : %u", &model) == 1)
			continue;
		if (!strncmp(flags, "flags", 5))
			break;
	}
	if (f)
		fclose(f);
	if (!strncmp(flags, "flags", 5))
		ok(c.family == family && c.model == model && c.pages_1g == !!strstr(flags, " pdpe1gb") &&
			   c.hypervisor == !!strstr(flags, " hypervisor"),
		   "this CPU: family %u, model %u and flags as in /proc/cpuinfo", c.family, c.model);
	else
		skip("no /proc/cpuinfo");
}

/* What text gives as a recording. */
static int opened(const char *text, struct zen5rt_error *err)
{
	struct z5_cpuid src = { 0 };
	char path[64];
	FILE *f;
	int ret;

	mkdir(root, 0755);
	snprintf(path, sizeof(path), "%s/cpuid.txt", root);
	f = fopen(path, "we");
	if (!f)
		return 1;
	fputs(text, f);
	fclose(f);
	err->message[0] = '\0';
	ret = z5_cpuid_open(root, &src, err);
	if (!ret) {
		struct zen5rt_cpu_info c;

		z5_cpu_identify(&src, &c);
	}
	z5_cpuid_close(&src);
	return ret;
}

static void test_bad(void)
{
	const char *line = "   0x00000000 0x00: eax=0x00000010 ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65\n";
	struct zen5rt_error err = { "" };
	struct z5_cpuid src;
	size_t len = strlen(line), n = 0;
	char *many = malloc(5000 * len + 1), part[256];

	run("rm -rf", "");
	ok(z5_cpuid_open(root, &src, &err) == -ENOENT && strstr(err.message, "cpuid.txt"), "no directory: %s",
	   err.message);
	ok(opened("", &err) == -EINVAL && strstr(err.message, "leaf 0"), "an empty one: %s", err.message);
	ok(opened("CPU 0:\n  garbage 0x 0x: eax=\n\xff\xfe\x01\n", &err) == -EINVAL, "garbage");
	ok(!opened(line, &err), "one leaf is enough");
	for (n = 1; n < len - 1; n++) {
		snprintf(part, sizeof(part), "%.*s", (int)n, line);
		/* A last number that was cut is a number still. */
		if (opened(part, &err) != -EINVAL && n < len - 8)
			break;
	}
	ok(n == len - 1, "cut anywhere");
	for (n = 0; many && n < 5000; n++)
		memcpy(many + n * len, line, len + 1);
	ok(many && opened(many, &err) == -EINVAL && strstr(err.message, "4096"), "too many leaves: %s", err.message);
	free(many);
}

int main(void)
{
	if (!mkdtemp(root)) {
		skip("no directory in /tmp");
		return done();
	}
	test_recorded();
	test_models();
	test_levels();
	test_here();
	test_bad();
	run("rm -rf", "");
	return done();
}

// SPDX-License-Identifier: MIT
#include <topo/cpu.h>

#include <stdio.h>
#include <string.h>

#include <kernels/kernels.h>

/* ---- names ---- */

struct cpu_range {
	unsigned int family, first, last;
	bool zen5;
	const char *core, *product;
};

/*
 * The core by Linux's ranges; the product, within them, by the models that were sold so far (libcpuid, LLVM's
 * Host.cpp). 30h-3Fh are in no range of Linux.
 */
static const struct cpu_range cpu_ranges[] = {
	{ 0x1a, 0x00, 0x07, true, "Zen 5", "Turin" },
	{ 0x1a, 0x08, 0x0f, true, "Zen 5", "Shimada Peak" },
	{ 0x1a, 0x10, 0x1f, true, "Zen 5", "Turin Dense" },
	{ 0x1a, 0x20, 0x2f, true, "Zen 5", "Strix Point" },
	{ 0x1a, 0x40, 0x4f, true, "Zen 5", "Granite Ridge or Fire Range" },
	{ 0x1a, 0x60, 0x6f, true, "Zen 5", "Krackan Point" },
	{ 0x1a, 0x70, 0x7f, true, "Zen 5", "Strix Halo" },
	{ 0x1a, 0x50, 0x5f, false, "Zen 6", "" },
	{ 0x1a, 0x80, 0xaf, false, "Zen 6", "" },
	{ 0x1a, 0xc0, 0xef, false, "Zen 6", "" },
	{ 0x19, 0x00, 0x0f, false, "Zen 3", "" },
	{ 0x19, 0x10, 0x1f, false, "Zen 4", "" },
	{ 0x19, 0x20, 0x5f, false, "Zen 3", "" },
	{ 0x19, 0x60, 0xaf, false, "Zen 4", "" },
};

static void cpu_name(struct zen5rt_cpu_info *info)
{
	info->core = info->product = "";
	if (strcmp(info->vendor, "AuthenticAMD"))
		return;
	for (size_t i = 0; i < sizeof(cpu_ranges) / sizeof(cpu_ranges[0]); i++) {
		const struct cpu_range *r = &cpu_ranges[i];

		if (info->family != r->family || info->model < r->first || info->model > r->last)
			continue;
		info->core = r->core;
		info->product = r->product;
		info->zen5 = r->zen5;
	}
}

/* Appends the bytes of n registers; what is no printable ASCII ends the text, as NUL does. */
static void cpu_text(char *dst, size_t size, const uint32_t *reg, size_t n)
{
	size_t len = strlen(dst);

	for (size_t i = 0; i < 4 * n && len + 1 < size; i++) {
		char c = (char)(reg[i / 4] >> (i % 4 * 8) & 0xff);

		if (c < 0x20 || c > 0x7e)
			break;
		dst[len++] = c;
	}
	dst[len] = '\0';
}

static void cpu_brand(const struct z5_cpuid *src, char *brand, size_t size)
{
	char *from = brand, *end;

	for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; leaf++) {
		struct z5_leaf l;

		if (!z5_cpuid_get(src, leaf, 0, &l))
			break;
		cpu_text(brand, size, (const uint32_t[]){ l.a, l.b, l.c, l.d }, 4);
	}
	/* Padded with blanks: in front by Intel, at the end by AMD. */
	while (*from == ' ')
		from++;
	memmove(brand, from, strlen(from) + 1);
	for (end = brand + strlen(brand); end > brand && end[-1] == ' '; end--)
		;
	*end = '\0';
}

/* ---- features ---- */

enum reg { REG_B, REG_C };

struct cpu_feature {
	const char *name;
	unsigned int level;		/* the first level that needs it */
	uint32_t leaf;
	enum reg reg;
	unsigned int bit;
};

/* The same set as z5_level_best() asks for, which a test compares on the machine that it runs on. */
static const struct cpu_feature cpu_features[] = {
	{ "avx2", 1, 7, REG_B, 5 },
	{ "fma", 1, 1, REG_C, 12 },
	{ "f16c", 1, 1, REG_C, 29 },
	{ "avx512f", 2, 7, REG_B, 16 },
	{ "avx512bw", 2, 7, REG_B, 30 },
	{ "avx512dq", 2, 7, REG_B, 17 },
	{ "avx512vl", 2, 7, REG_B, 31 },
	{ "avx512vnni", 2, 7, REG_C, 11 },
};

/* Bits of XCR0 without which a level faults: SSE and AVX; then the masks and both halves of AVX-512. */
static const uint64_t cpu_xcr0[Z5_N_LEVELS] = { 0, 0x6, 0xe6 };

static void cpu_missing(struct zen5rt_cpu_info *info, const char *name)
{
	size_t len = strlen(info->missing);

	snprintf(info->missing + len, sizeof(info->missing) - len, "%s%s", len ? " " : "", name);
}

static bool cpu_has(const struct z5_cpuid *src, const struct cpu_feature *f)
{
	struct z5_leaf l;

	z5_cpuid_get(src, f->leaf, 0, &l);
	return (f->reg == REG_B ? l.b : l.c) >> f->bit & 1;
}

static void cpu_level(const struct z5_cpuid *src, struct zen5rt_cpu_info *info)
{
	uint64_t xcr0 = z5_cpuid_xcr0(src);
	unsigned int level;

	for (level = 1; level < Z5_N_LEVELS; level++) {
		for (size_t i = 0; i < sizeof(cpu_features) / sizeof(cpu_features[0]); i++)
			if (cpu_features[i].level == level && !cpu_has(src, &cpu_features[i]))
				cpu_missing(info, cpu_features[i].name);
		/* Where the instructions are missing their registers are no news. */
		if (!*info->missing && (xcr0 & cpu_xcr0[level]) != cpu_xcr0[level])
			cpu_missing(info, level == 1 ? "os-avx" : "os-avx512");
		if (*info->missing)
			break;
	}
	info->level = z5_level_names[level - 1];
}

void z5_cpu_identify(const struct z5_cpuid *src, struct zen5rt_cpu_info *info)
{
	struct z5_leaf l;

	memset(info, 0, sizeof(*info));
	z5_cpuid_get(src, 0, 0, &l);
	cpu_text(info->vendor, sizeof(info->vendor), (const uint32_t[]){ l.b, l.d, l.c }, 3);
	cpu_brand(src, info->brand, sizeof(info->brand));

	z5_cpuid_get(src, 1, 0, &l);
	info->family = l.a >> 8 & 0xf;
	info->model = l.a >> 4 & 0xf;
	info->stepping = l.a & 0xf;
	if (info->family == 6 || info->family == 0xf)
		info->model |= l.a >> 12 & 0xf0;
	if (info->family == 0xf)
		info->family += l.a >> 20 & 0xff;
	cpu_name(info);
	info->hypervisor = l.c >> 31;
	if (info->hypervisor && z5_cpuid_get(src, 0x40000000, 0, &l))
		cpu_text(info->hypervisor_vendor, sizeof(info->hypervisor_vendor),
			 (const uint32_t[]){ l.b, l.c, l.d }, 3);

	/* AMD only; Intel has no such leaf. Bits: 0 FP128, 2 FP256, 3 FP512. */
	if (z5_cpuid_get(src, 0x8000001a, 0, &l))
		info->data_path_bits = l.a & 8 ? 512 : l.a & 4 ? 256 : l.a & 1 ? 128 : 0;
	z5_cpuid_get(src, 0x80000001, 0, &l);
	info->pages_1g = l.d >> 26 & 1;
	cpu_level(src, info);
}

unsigned int z5_cpu_n_umc(const struct z5_cpuid *src)
{
	struct z5_leaf l;

	z5_cpuid_get(src, 0x80000022, 0, &l);
	/* EAX bit 0: PerfMonV2, without which ECX says nothing. */
	return l.a & 1 ? (unsigned int)__builtin_popcount(l.c) : 0;
}

unsigned int z5_cpu_l3_monitoring(const struct z5_cpuid *src)
{
	struct z5_leaf l;

	z5_cpuid_get(src, 0xf, 0, &l);
	if (!(l.d & 2))
		return 0;
	z5_cpuid_get(src, 0xf, 1, &l);
	return l.d & (Z5_CQM_OCCUPANCY | Z5_CQM_TOTAL | Z5_CQM_LOCAL);
}

void zen5rt_cpu_info(struct zen5rt_cpu_info *info)
{
	const struct z5_cpuid here = { 0 };

	z5_cpu_identify(&here, info);
}

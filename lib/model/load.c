// SPDX-License-Identifier: MIT
/*
 * From a GGUF file to packed weights in a region: bind every tensor that the architecture asks for (bind.c), then one
 * allocation, then all threads read and pack pieces of about 1 MiB straight into place. Or attach to weights that
 * another process has left in memory.
 */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kernels/scalar.h>

#include <vocab/utf8.h>

#include "error.h"
#include "fpenv.h"
#include "loader.h"
#include "resident.h"

/* A piece of an item: groups [g0, g1). */
struct unit {
	unsigned int item;
	size_t g0, g1;
};

/* A tensor that nothing asked for means a model that would be computed wrongly. */
static int loader_unused(struct z5_loader *ld)
{
	for (size_t i = 0; i < gguf_n_tensors(ld->g); i++)
		if (!ld->used[i])
			return z5_fail(ld->err, -EINVAL, "%s: tensor %s is not part of architecture %s",
				       gguf_path(ld->g), gguf_tensor(ld->g, i)->name, ld->m->arch->name);
	return 0;
}

/* ---- reading and packing ---- */

#define UNIT_BYTES (1u << 20)
/* Units that are asked for before they are read. */
#define UNITS_AHEAD 32

struct load_job {
	const struct z5_loader *ld;
	const struct unit *units;
	size_t n_units, staging_bytes;
	uint8_t *staging;			/* staging_bytes for each thread */
	uint64_t total;
	_Atomic size_t next;
	_Atomic uint64_t done;
	_Atomic int failed;			/* the first failure's errno */
	unsigned int first;			/* ... and its thread */
	struct zen5rt_error *errors;		/* one a thread */
};

/* Of a row in the file. */
static size_t item_row_bytes(const struct item *it)
{
	return (it->turned ? it->rows : it->k) / it->ops->block * it->ops->bytes;
}

static size_t item_file_rows(const struct item *it)
{
	return it->turned ? it->k : it->rows;
}

static size_t item_groups(const struct item *it)
{
	return it->vector ? 1 : (it->rows + Z5_GROUP - 1) / Z5_GROUP;
}

static void vector_floats(float *dst, const uint8_t *src, const struct z5_type_ops *ops, size_t n)
{
	enum z5_type type = z5_type_of(ops);

	if (type == Z5_F32) {
		memcpy(dst, src, n * sizeof(float));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		uint16_t h;

		memcpy(&h, src + 2 * i, 2);
		dst[i] = type == Z5_F16 ? z5_f16(h) : z5_bf16(h);
	}
}

/*
 * A matrix that lies in the file with rows and columns exchanged, as a whole: first to the file's order of rows, then
 * packed. Quantized blocks run along what becomes columns, so those weights become floats: that loses nothing, where
 * quantizing them a second time would.
 */
struct turn {
	size_t group, row, turned, end;	/* offsets behind the rows of the file */
};

static struct turn turn_layout(const struct item *it)
{
	struct turn t;

	t.group = Z5_ALIGN64(item_row_bytes(it) * it->k);
	t.row = t.group + it->ops->group_bytes(it->rows);
	t.turned = t.row + Z5_ALIGN64(it->rows * sizeof(float));
	t.end = t.turned + Z5_ALIGN64(it->rows * it->k * it->to->bytes);
	return t;
}

static void turn(const struct item *it, uint8_t *dst, uint8_t *buf)
{
	const struct turn at = turn_layout(it);
	const size_t size = it->to->bytes, row = item_row_bytes(it);

	for (size_t c = 0; c < it->k; c++) {
		const uint8_t *src = buf + c * row;

		if (it->to != it->ops) {
			size_t left = it->k - c;

			if (c % Z5_GROUP == 0)
				it->ops->pack(buf + at.group, src, left < Z5_GROUP ? left : Z5_GROUP, it->rows);
			it->ops->unpack_row((float *)(buf + at.row), buf + at.group, c % Z5_GROUP, it->rows);
			src = buf + at.row;
		}
		for (size_t r = 0; r < it->rows; r++)
			memcpy(buf + at.turned + (r * it->k + c) * size, src + r * size, size);
	}
	for (size_t g = 0; g < item_groups(it); g++) {
		size_t left = it->rows - g * Z5_GROUP;

		it->to->pack(dst + g * it->to->group_bytes(it->k), buf + at.turned + g * Z5_GROUP * it->k * size,
			     left < Z5_GROUP ? left : Z5_GROUP, it->k);
	}
}

/* Rows of the file that a unit reads. */
static void unit_rows(const struct item *it, const struct unit *u, size_t *r0, size_t *r1)
{
	*r0 = u->g0 * Z5_GROUP;
	*r1 = u->g1 * Z5_GROUP;
	*r1 = *r1 < it->rows ? *r1 : it->rows;
	if (it->turned)
		*r1 = it->k;
}

/* Has the disk fetch unit i: one that waits for each unit in turn is used half the time. */
static void load_ahead(const struct load_job *j, size_t i)
{
	const struct item *it;
	size_t row, r0, r1;

	if (i >= j->n_units)
		return;
	it = &j->ld->items[j->units[i].item];
	row = item_row_bytes(it);
	unit_rows(it, &j->units[i], &r0, &r1);
	gguf_will_need(j->ld->g, it->t, (it->row0 + r0) * row, (r1 - r0) * row);
}

static int load_scale(const struct load_job *j, const struct item *it, float *scale, struct zen5rt_error *err)
{
	if (it->size)
		*scale = it->size;
	return isfinite(*scale) ? 0 : z5_fail(err, -EINVAL, "%s: tensor %s: its scale is %s", gguf_path(j->ld->g),
					      it->t->name, isnan(*scale) ? "NaN" : "infinite");
}

/* n weights become, or are, rows of I2_S; -EILSEQ: what seemed ternary is not. */
static int load_ternary(const struct load_job *j, const struct item *it, uint8_t *buf, size_t n,
			struct zen5rt_error *err)
{
	if (it->ops == it->to)
		return z5_ternary_whole(buf, n / 4) ? 0 :
			z5_fail(err, -EINVAL, "%s: tensor %s: weights that are neither -1, 0 nor 1", gguf_path(j->ld->g),
				it->t->name);
	return z5_ternary_pack(buf, n, it->ops, it->size) ? 0 :
		z5_fail(err, -EILSEQ, "%s: tensor %s: some rows are ternary, others are not", gguf_path(j->ld->g),
			it->t->name);
}

static int load_unit(struct load_job *j, const struct unit *u, uint8_t *buf, struct zen5rt_error *err)
{
	const struct item *it = &j->ld->items[u->item];
	uint8_t *dst = (uint8_t *)j->ld->m->region.addr + it->off;
	size_t row = item_row_bytes(it), r0, r1;
	int ret;

	unit_rows(it, u, &r0, &r1);
	ret = gguf_pread(j->ld->g, it->t, buf, (it->row0 + r0) * row, (r1 - r0) * row, err);
	if (ret)
		return ret;
	atomic_fetch_add_explicit(&j->done, (r1 - r0) * row, memory_order_relaxed);
	if (it->vector) {
		vector_floats((float *)dst, buf, it->ops, it->k);
		return it->scale ? load_scale(j, it, (float *)dst, err) : 0;
	}
	if (it->turned) {
		turn(it, dst, buf);
		return 0;
	}
	if (it->to == &z5_types[Z5_I2_S]) {
		ret = load_ternary(j, it, buf, (r1 - r0) * it->k, err);
		if (ret)
			return ret;
		row = it->k / it->to->block * it->to->bytes;
	}
	for (size_t g = u->g0; g < u->g1; g++, buf += Z5_GROUP * row) {
		size_t left = it->rows - g * Z5_GROUP;

		it->to->pack(dst + g * it->to->group_bytes(it->k), buf,
			     left < Z5_GROUP ? left : Z5_GROUP, it->k);
	}
	return 0;
}

static int load_progress(const struct load_job *j, uint64_t done, struct zen5rt_error *err)
{
	int ret = z5_progress(j->ld->m->rt, ZEN5RT_STAGE_LOAD, done, j->total);

	return ret ? z5_fail(err, ret, "%s: loading was cancelled", gguf_path(j->ld->g)) : 0;
}

static void load_run(const struct z5_thread *t, void *arg)
{
	struct load_job *j = arg;

	for (size_t i = 0; t->i == 0 && i < UNITS_AHEAD; i++)
		load_ahead(j, i);
	while (!atomic_load_explicit(&j->failed, memory_order_relaxed)) {
		size_t i = atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed);
		int ret;

		if (i >= j->n_units)
			break;
		load_ahead(j, i + UNITS_AHEAD);
		ret = load_unit(j, &j->units[i], j->staging + t->i * j->staging_bytes, &j->errors[t->i]);
		if (!ret && t->i == 0)
			ret = load_progress(j, atomic_load(&j->done), &j->errors[0]);
		if (ret) {
			int none = 0;

			/* the first failure is the one that is told */
			if (atomic_compare_exchange_strong(&j->failed, &none, ret))
				j->first = t->i;
		}
	}
}

/* Cuts items into units of about UNIT_BYTES of the file. */
static int load_units(struct load_job *j, struct unit **units, struct zen5rt_error *err)
{
	const struct z5_loader *ld = j->ld;
	size_t n = 0;

	for (int pass = 0; pass < 2; pass++) {
		n = 0;
		for (unsigned int i = 0; i < ld->n_items; i++) {
			const struct item *it = &ld->items[i];
			size_t group = item_row_bytes(it) * (it->vector ? 1 : Z5_GROUP);
			size_t step = group < UNIT_BYTES ? UNIT_BYTES / group : 1;
			size_t groups = item_groups(it), bytes = step * group;

			if (it->turned) {
				step = groups;
				bytes = turn_layout(it).end;
			}
			if (bytes > j->staging_bytes)
				j->staging_bytes = Z5_ALIGN64(bytes);
			for (size_t g = 0; g < groups; g += step, n++)
				if (pass)
					(*units)[n] = (struct unit){ i, g, g + step < groups ?
									   g + step : groups };
			j->total += pass ? item_row_bytes(it) * item_file_rows(it) : 0;
		}
		/* A model has tensors: binding has seen to that. */
		Z5_KNOWN(n > 0);
		if (!pass) {
			*units = calloc(n, sizeof(**units));
			if (!*units)
				return z5_fail(err, -ENOMEM, "out of memory");
		}
	}
	j->n_units = n;
	return 0;
}

/* Reads and packs all items into the region. */
static int load_fill(struct z5_loader *ld)
{
	struct zen5rt_model *m = ld->m;
	unsigned int n_threads = z5_pool_n(m->rt->pool);
	struct load_job j = { .ld = ld };
	struct unit *units = NULL;
	int ret;

	ret = load_units(&j, &units, ld->err);
	if (ret)
		return ret;
	j.units = units;
	j.staging = aligned_alloc(64, j.staging_bytes * n_threads);
	j.errors = calloc(n_threads, sizeof(*j.errors));
	if (!j.staging || !j.errors) {
		ret = z5_fail(ld->err, -ENOMEM, "%s: no memory for %zu KiB of read buffers (limits: ulimit -v)",
			      gguf_path(ld->g), j.staging_bytes * n_threads >> 10);
		goto out;
	}
	ret = z5_enter(m->rt, ld->err);
	if (ret)
		goto out;
	/* the workers may leave thread 0 nothing to report: the beginning and the end are always told */
	ret = load_progress(&j, 0, &j.errors[0]);
	if (!ret) {
		z5_pool_run(m->rt->pool, load_run, &j);
		ret = atomic_load(&j.failed);
	}
	if (!ret)
		ret = load_progress(&j, j.total, &j.errors[0]);
	z5_leave(m->rt);
	if (ret && ld->err)
		*ld->err = j.errors[j.first];
out:
	free(j.errors);
	free(j.staging);
	free(units);
	return ret;
}

/* A sum over where each tensor lies and in what form: equal sums, the same use of the same bytes. */
static uint64_t load_layout(const struct z5_loader *ld)
{
	uint64_t sum = 0xcbf29ce484222325;

	for (unsigned int i = 0; i < ld->n_items; i++) {
		const struct item *it = &ld->items[i];
		/* a vector becomes floats, its `to` is not set */
		const uint64_t v[] = {
			it->off, it->rows, it->k, it->row0, z5_type_of(it->ops), it->vector ? 0 : z5_type_of(it->to),
			it->vector, it->turned, it->t->part, it->t->offset, it->scale, z5_f32_bits(it->size),
		};

		for (size_t k = 0; k < sizeof(v) / sizeof(*v); k++) {
			sum = (sum ^ v[k]) * 0x100000001b3;
			sum ^= sum >> 32;
		}
	}
	return sum;
}

/*
 * The weights of another process, or new ones for others to find. Whatever is in the way costs nothing but that: the
 * reason is told, and weights are loaded for this process alone.
 */
static int load_resident(struct z5_loader *ld)
{
	struct zen5rt_model *m = ld->m;
	struct z5_resident want;
	char why[sizeof(m->not_resident)] = "";
	int ret;

	ret = z5_model_resident(&want, ld->g, ld->path, ld->resident, m->arch->name, load_layout(ld), ld->size,
				ld->err);
	if (ret)
		goto out;
	ret = z5_resident_attach(&m->region, "weights", ld->size, &want, why, sizeof(why));
	if (!ret) {
		m->attached = true;
		goto named;
	}
	if (ret > 0)
		ret = z5_resident_alloc(&m->region, "weights", ld->size, why, sizeof(why));
	if (ret)
		ret = z5_region_alloc(&m->region, "weights", ld->size, ld->pages, ld->err);
	if (!ret)
		ret = load_fill(ld);
	if (ret || *why)
		goto out;
	if (z5_model_unchanged(&want, ld->g))
		ret = z5_resident_publish(&m->region, &want, why, sizeof(why));
	else
		snprintf(why, sizeof(why), "the file was changed while it was read");
	if (ret > 0)
		m->attached = true;
	ret = 0;
named:
	if (!*why)
		snprintf(m->resident, sizeof(m->resident), "%s", want.name);
out:
	snprintf(m->not_resident, sizeof(m->not_resident), "%s", why);
	z5_model_resident_free(&want);
	return ret;
}

static int load_weights(struct z5_loader *ld)
{
	struct zen5rt_model *m = ld->m;
	int ret;

	if (ld->resident) {
		ret = load_resident(ld);
	} else {
		ret = z5_region_alloc(&m->region, "weights", ld->size, ld->pages, ld->err);
		if (!ret)
			ret = load_fill(ld);
	}
	for (unsigned int i = 0; !ret && i < ld->n_items; i++)
		if (ld->items[i].dest)
			*ld->items[i].dest = (uint8_t *)m->region.addr + ld->items[i].off;
	return ret;
}

/* ---- the model as a whole ---- */

static const struct z5_arch *const families[] = { z5_llama_archs, z5_mamba_archs, z5_rwkv_archs };

static const struct z5_arch *find_arch(struct gguf_str s)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		for (const struct z5_arch *a = families[i]; a->name; a++)
			if (strlen(a->name) == s.len && !memcmp(a->name, s.p, s.len))
				return a;
	return NULL;
}

static int load_arch(struct zen5rt_model *m, const struct gguf *g, struct zen5rt_error *err)
{
	struct gguf_str s;
	int ret = gguf_get_str(g, "general.architecture", &s, err);

	if (ret < 0)
		return ret;
	if (!ret)
		return z5_fail(err, -EINVAL, "%s: general.architecture is missing", gguf_path(g));
	m->arch = find_arch(s);
	if (m->arch)
		return 0;
	return z5_fail(err, -EINVAL, "%s: architecture \"%.*s\" is not one that this version can run; Documentation/models.rst has the list",
		       gguf_path(g), (int)(s.len < 48 ? s.len : 48), s.p);
}

#define NAME_BYTES 255

static int load_name(struct zen5rt_model *m, const struct gguf *g, struct zen5rt_error *err)
{
	struct gguf_str s = { "", 0 };

	/* a name of a wrong type is no reason to refuse a model */
	gguf_get_str(g, "general.name", &s, NULL);
	m->name = calloc(1, NAME_BYTES + 1);
	if (!m->name)
		return z5_fail(err, -ENOMEM, "out of memory");
	/* it goes to terminals and into JSON: whole characters of UTF-8, and none that controls */
	for (size_t i = 0, o = 0, n; i < s.len; i += n) {
		uint32_t cp;

		n = utf8_next(s.p + i, s.len - i, &cp);
		if (o + n > NAME_BYTES)
			break;
		if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp >= UTF8_STRAY) {
			m->name[o++] = '?';
		} else {
			memcpy(m->name + o, s.p + i, n);
			o += n;
		}
	}
	return 0;
}

/* What one token streams: every matrix but the embedding, of which it takes a row, and the experts not chosen. */
static uint64_t load_decode_bytes(const struct zen5rt_model *m)
{
	uint64_t bytes = m->region.asked;

	for (unsigned int i = 0; i < m->n_kinds; i++)
		bytes -= m->kinds[i].bytes / m->kinds[i].of * (m->kinds[i].of - m->kinds[i].used);
	if (m->output.data != m->embd.data)
		bytes -= m->kinds[m->embd.kind].bytes;
	return bytes;
}

/* Where in the cache and in the state each layer is. */
static void load_places(struct zen5rt_model *m)
{
	uint32_t cached = 0, kept = 0;

	for (uint32_t i = 0; i < m->h.n_layer; i++) {
		m->layers[i].cached = cached;
		m->layers[i].kept = kept;
		cached += (m->h.does[i] & Z5_ATTENDS) != 0;
		kept += (m->h.does[i] & Z5_RECURS) != 0;
	}
}

/* Everything that the header can say: the model's numbers, and where each tensor will lie. */
static int load_bind(struct zen5rt_model *m, struct z5_loader *ld)
{
	int ret;

	if ((ret = load_arch(m, ld->g, ld->err)) ||
	    (ret = z5_hparams_read(ld->g, m->arch, &m->h, ld->err)) ||
	    (ret = z5_hparams_mla(ld->g, m->arch, &m->h, ld->err)) ||
	    (ret = z5_hparams_moe(ld->g, m->arch, &m->h, ld->err)) ||
	    (ret = load_name(m, ld->g, ld->err)) ||
	    (ret = z5_vocab_read(ld->g, &m->vocab, ld->err)))
		return ret;
	m->h.n_vocab = zen5rt_vocab_size(m->vocab);
	m->layers = calloc(m->h.n_layer, sizeof(*m->layers));
	ld->used = calloc(gguf_n_tensors(ld->g) + 1, sizeof(*ld->used));
	if (!m->layers || !ld->used)
		return z5_fail(ld->err, -ENOMEM, "out of memory");
	load_places(m);
	ret = m->arch->bind(m, ld);
	return ret ? ret : loader_unused(ld);
}

int z5_model_measure(struct gguf *g, struct z5_hparams *h, size_t *weight_bytes, struct zen5rt_error *err)
{
	struct zen5rt_model *m = calloc(1, sizeof(*m));
	struct z5_loader ld = { .m = m, .g = g, .err = err };
	int ret;

	if (!m)
		return z5_fail(err, -ENOMEM, "out of memory");
	ret = load_bind(m, &ld);
	*h = m->h;
	*weight_bytes = ld.size;
	free(ld.items);
	free(ld.used);
	zen5rt_model_free(m);
	return ret;
}

static int load_model(struct zen5rt_model *m, struct z5_loader *ld)
{
	int ret;

	if ((ret = load_bind(m, ld)) ||
	    (ret = load_weights(ld)))
		return ret;
	if (!m->output.ops)
		m->output = m->embd;
	m->file_bytes = gguf_file_size(ld->g);
	m->decode_bytes = load_decode_bytes(m);
	return 0;
}

/* Into ld->m; nothing stays of a failure. */
static int load_new(struct zen5rt *rt, struct z5_loader *ld)
{
	int ret;

	ld->m = calloc(1, sizeof(*ld->m));
	if (!ld->m)
		return z5_fail(ld->err, -ENOMEM, "out of memory");
	ld->m->rt = rt;
	ret = load_model(ld->m, ld);
	free(ld->items);
	free(ld->used);
	ld->items = NULL;
	ld->used = NULL;
	ld->n_items = ld->cap_items = 0;
	ld->size = 0;
	if (ret)
		zen5rt_model_free(ld->m);
	return ret;
}

void zen5rt_model_params_init(struct zen5rt_model_params *params)
{
	memset(params, 0, sizeof(*params));
	params->size = sizeof(*params);
}

int zen5rt_model_load(struct zen5rt *rt, const char *path, struct zen5rt_model **out,
		      struct zen5rt_error *err)
{
	return zen5rt_model_load_with(rt, path, NULL, out, err);
}

int zen5rt_model_load_with(struct zen5rt *rt, const char *path, const struct zen5rt_model_params *params,
			   struct zen5rt_model **out, struct zen5rt_error *err)
{
	static const char *const ternary[] = { "auto", "on", "off" };
	struct z5_loader ld = { .err = err, .path = path };
	struct zen5rt_model_params p;
	struct zen5rt_model *m;
	double start = z5_now();
	unsigned int fp;
	int ret;

	zen5rt_model_params_init(&p);
	if (params) {
		if (params->size < sizeof(size_t) || params->size > sizeof(p))
			return z5_fail(err, -EINVAL, "zen5rt_model_params: size %zu is not of this version",
				       params->size);
		memcpy(&p, params, params->size);
	}
	if (p.resident && *p.resident && !z5_resident_name_ok(p.resident))
		return z5_fail(err, -EINVAL, "\"%.80s\" is no name for a region: " Z5_RESIDENT_NAMES, p.resident);
	ld.resident = p.resident;
	if (p.pages && !z5_page_by_name(p.pages, &ld.pages))
		return z5_fail(err, -EINVAL, "pages \"%.16s\": 1g, 2m or 4k", p.pages);
	while (p.ternary && strcmp(p.ternary, ternary[ld.ternary]))
		if (++ld.ternary == sizeof(ternary) / sizeof(*ternary))
			return z5_fail(err, -EINVAL, "ternary \"%.16s\": auto, on or off", p.ternary);
	fp = z5_fp_enter();
	ret = gguf_open_model(path, &ld.g, err);
	if (!ret)
		ret = load_new(rt, &ld);
	/* seldom, so that few rows do for the others: each matrix by itself, whichever row tells */
	if (ret == -EILSEQ) {
		ld.every_row = true;
		ret = load_new(rt, &ld);
	}
	z5_fp_leave(fp);
	gguf_close(ld.g);
	if (ret)
		return ret;
	m = ld.m;
	m->load_s = z5_now() - start;
	if (*m->not_resident)
		z5_log(rt, ZEN5RT_LOG_WARNING, "the weights do not stay in memory: %s", m->not_resident);
	z5_govern_loaded(&rt->govern, path);
	z5_log(rt, ZEN5RT_LOG_INFO, "weights: %zu bytes in %s%s%s", m->region.asked,
	       m->region.backend->name, *m->region.why ? ", because " : "", m->region.why);
	*out = m;
	return 0;
}

void zen5rt_model_free(struct zen5rt_model *m)
{
	if (!m)
		return;
	z5_region_free(&m->region);
	zen5rt_vocab_free(m->vocab);
	free(m->layers);
	free(m->kinds);
	free(m->name);
	free(m);
}

/* ---- reports ---- */

static uint64_t load_state_bytes(const struct zen5rt_model *m)
{
	struct z5_state s;
	size_t bytes;

	return z5_keeps_state(&m->h) && !z5_state_shape(&s, m->h.keeps, m->h.n_kept, &bytes, NULL) ? s.bytes : 0;
}

void zen5rt_model_info(const struct zen5rt_model *m, struct zen5rt_model_info *info)
{
	*info = (struct zen5rt_model_info){
		.arch = m->arch->name, .name = m->name, .n_ctx_train = m->h.n_ctx,
		.n_vocab = m->h.n_vocab, .n_embd = m->h.n_embd, .n_layer = m->h.n_layer,
		.n_head = m->h.n_head, .n_head_kv = m->h.n_head_kv, .n_ff = m->h.n_ff,
		.n_params = m->n_params, .file_bytes = m->file_bytes,
		.weight_bytes = m->region.asked, .decode_bytes = m->decode_bytes, .load_s = m->load_s,
		.resident = m->resident, .attached = m->attached, .not_resident = m->not_resident,
		.state_bytes = load_state_bytes(m),
	};
}

int zen5rt_weight_info(const struct zen5rt_model *m, unsigned int i, struct zen5rt_weight_info *info)
{
	const struct z5_kind *k;

	if (i >= m->n_kinds)
		return -EINVAL;
	k = &m->kinds[i];
	*info = (struct zen5rt_weight_info){
		.type = k->ops->name, .role = k->role,
		.kernel = m->rt->k.matmul_level[z5_type_of(k->ops)],
		.rows = k->rows, .cols = k->k, .count = k->count, .bytes = k->bytes,
		.calls = k->calls, .columns = k->columns,
	};
	return 0;
}

int zen5rt_model_region(const struct zen5rt_model *m, unsigned int i, struct zen5rt_region_info *info)
{
	if (i > 0)
		return -EINVAL;
	z5_region_info(&m->region, info);
	return 0;
}

int zen5rt_model_read_bandwidth(struct zen5rt_model *m, double *bytes_per_s, struct zen5rt_error *err)
{
	if (m->region.asked < 4096)
		return z5_fail(err, -EINVAL, "weights of %zu bytes: too few to measure with", m->region.asked);
	return z5_read_bandwidth_of(m->rt, m->region.addr, m->region.asked, bytes_per_s, err);
}

const struct zen5rt_vocab *zen5rt_model_vocab(const struct zen5rt_model *m)
{
	return m->vocab;
}

// SPDX-License-Identifier: MIT
/*
 * Quantizing a file: which type each tensor gets (plan.c), then two passes over all tensors in chunks of rows that
 * the threads take in turn. The first writes the new data; the second opens the new file as any reader would and
 * compares it with the input. A chunk's bytes and sums depend on nothing but the chunk.
 */
#include <errno.h>
#include <kernels/kernels.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "gguf/write.h"
#include "imatrix.h"
#include "plan.h"
#include "quant.h"
#include "runtime.h"
#include "tmpfile.h"

/* Values a chunk, about; of a tensor that is copied, bytes. */
#define CHUNK		(1u << 18)
/* Widest row that is quantized: no model comes near, and every thread holds 16 of them. */
#define MAX_COLUMNS	(1u << 20)

/* What a chunk leaves for the tensor's report. */
struct sums {
	double error, value, weighted_error, weighted_value, max;
};

struct item {
	const struct gguf_tensor *t, *copy;	/* in the input, in the new file */
	const struct z5_type_ops *from, *to;	/* NULL: copied */
	z5_quant_row_fn quant;
	const float *importance;		/* of the first of `experts` matrices, or NULL */
	uint64_t experts, matrix_rows;
	uint64_t rows, row_from, row_to;	/* number; bytes of one */
	float scale;				/* of all weights of the input: that of I2_S, or 1 */
	uint64_t per_chunk;			/* rows, or bytes of a copied tensor */
	uint64_t first, n;			/* chunks */
};

struct job {
	struct zen5rt *rt;
	const struct zen5rt_quantize_params *p;
	struct gguf *in, *check;
	struct z5_imatrix *im;
	struct z5_plan plan;
	struct gguf_head head;
	struct z5_tmpfile file;
	struct item *item;
	size_t n;
	uint64_t n_chunks, total;		/* bytes of all tensors in the input */
	struct sums *sums;			/* one a chunk */

	int (*chunk)(struct job *job, const struct item *it, uint64_t c, uint8_t *buf);
	enum zen5rt_stage stage;
	size_t buf_bytes, x_bytes, raw_bytes;	/* of a thread; of its parts */
	uint8_t *buf;
	_Atomic uint64_t next, done;
	_Atomic bool stop;
	pthread_mutex_t lock;			/* of ret and err */
	int ret;
	struct zen5rt_error *err;
};

/* A thread's memory: floats of the input, floats read back, raw rows, a group of packed rows. */
struct buffers {
	float *x, *y;
	uint8_t *raw, *group;
};

static struct buffers buffers_of(const struct job *job, uint8_t *buf)
{
	struct buffers b = { .x = (float *)buf, .y = (float *)(buf + job->x_bytes), .raw = buf + 2 * job->x_bytes };

	b.group = b.raw + job->raw_bytes;
	return b;
}

/* ---- one chunk ---- */

static void to_floats(const struct z5_type_ops *type, const uint8_t *raw, uint64_t rows, size_t k, uint8_t *group,
		      float *x)
{
	uint64_t row = k / type->block * type->bytes;

	for (uint64_t r = 0; r < rows; r += Z5_GROUP) {
		unsigned int n = rows - r < Z5_GROUP ? (unsigned int)(rows - r) : Z5_GROUP;

		type->pack(group, raw + r * row, n, k);
		for (unsigned int i = 0; i < n; i++)
			type->unpack_row(x + (r + i) * k, group, i, k);
	}
}

/* Rows of chunk c as floats in b.x; refuses what no type holds. */
static int load_rows(struct job *job, const struct item *it, uint64_t first, uint64_t rows, struct buffers b,
		     struct zen5rt_error *err)
{
	size_t k = it->t->ne[0];
	int ret = gguf_pread(job->in, it->t, b.raw, first * it->row_from, rows * it->row_from, err);

	if (ret)
		return ret;
	to_floats(it->from, b.raw, rows, k, b.group, b.x);
	for (size_t i = 0; i < rows * k && it->from == &z5_types[Z5_I2_S]; i++) {
		if (b.x[i] > 1)
			return z5_fail(err, -EINVAL, "%s: tensor '%s': weights that are neither -1, 0 nor 1",
				       gguf_path(job->in), it->t->name);
		b.x[i] *= it->scale;
	}
	for (size_t i = 0; i < rows * k; i++)
		if (!isfinite(b.x[i]))
			return z5_fail(err, -EINVAL,
				       "%s: tensor '%s': row %llu, column %zu is %s: such a model is damaged",
				       gguf_path(job->in), it->t->name, (unsigned long long)(first + i / k), i % k,
				       isnan(b.x[i]) ? "NaN" : "infinite");
	return 0;
}

static const float *importance(const struct item *it, uint64_t row)
{
	if (!it->importance)
		return NULL;
	return it->importance + row / it->matrix_rows % it->experts * it->t->ne[0];
}

static uint64_t chunk_rows(const struct item *it, uint64_t c, uint64_t *first)
{
	*first = (c - it->first) * it->per_chunk;
	return it->rows - *first < it->per_chunk ? it->rows - *first : it->per_chunk;
}

static uint64_t chunk_bytes(const struct item *it, uint64_t c, uint64_t *first)
{
	*first = (c - it->first) * it->per_chunk;
	return it->t->size - *first < it->per_chunk ? it->t->size - *first : it->per_chunk;
}

static int write_chunk(struct job *job, const struct item *it, uint64_t c, uint8_t *buf)
{
	uint64_t first, n, at = job->head.offset[it - job->item];
	struct buffers b = buffers_of(job, buf);
	struct zen5rt_error err;
	int ret;

	if (!it->to) {
		n = chunk_bytes(it, c, &first);
		ret = gguf_pread(job->in, it->t, b.raw, first, n, &err);
		if (!ret)
			ret = z5_tmpfile_write(&job->file, b.raw, n, at + first, &err);
	} else {
		n = chunk_rows(it, c, &first);
		ret = load_rows(job, it, first, n, b, &err);
		for (uint64_t r = 0; r < n && !ret; r++)
			it->quant(b.raw + r * it->row_to, b.x + r * it->t->ne[0], importance(it, first + r),
				  it->t->ne[0]);
		if (!ret)
			ret = z5_tmpfile_write(&job->file, b.raw, n * it->row_to, at + first * it->row_to, &err);
	}
	if (ret) {
		pthread_mutex_lock(&job->lock);
		if (!job->ret) {
			job->ret = ret;
			if (job->err)
				*job->err = err;
		}
		pthread_mutex_unlock(&job->lock);
	}
	return ret;
}

static void compare(struct sums *s, const float *x, const float *y, const float *w, size_t k)
{
	for (size_t i = 0; i < k; i++) {
		double e = (double)x[i] - y[i], v = x[i], wi = w ? w[i] : 1;

		s->error += e * e;
		s->value += v * v;
		s->weighted_error += wi * e * e;
		s->weighted_value += wi * v * v;
		e = fabs(e);
		s->max = e > s->max ? e : s->max;
	}
}

static int differs(const struct job *job, const struct item *it, struct zen5rt_error *err)
{
	return z5_fail(err, -EIO, "%s: tensor '%s': what was read back is not what was written", job->file.path,
		       it->t->name);
}

static int check_copy(struct job *job, const struct item *it, uint64_t c, struct buffers b, struct zen5rt_error *err)
{
	uint64_t first, n = chunk_bytes(it, c, &first);
	uint8_t *other = (uint8_t *)b.x;
	int ret = gguf_pread(job->in, it->t, b.raw, first, n, err);

	if (!ret)
		ret = gguf_pread(job->check, it->copy, other, first, n, err);
	if (!ret && memcmp(b.raw, other, n))
		ret = differs(job, it, err);
	/* norms and biases: a model with a NaN there is as broken as with one among its weights */
	for (uint64_t i = 0; it->t->type == GGML_F32 && i < n / sizeof(float) && !ret; i++) {
		float v;

		memcpy(&v, b.raw + i * sizeof(v), sizeof(v));
		if (!isfinite(v))
			ret = z5_fail(err, -EINVAL, "%s: tensor '%s': value %llu is %s: such a model is damaged",
				      gguf_path(job->in), it->t->name, (unsigned long long)(first / sizeof(v) + i),
				      isnan(v) ? "NaN" : "infinite");
	}
	return ret;
}

static int check_rows(struct job *job, const struct item *it, uint64_t c, struct buffers b, struct zen5rt_error *err)
{
	struct sums *s = &job->sums[c];
	size_t k = it->t->ne[0];
	uint64_t first, n = chunk_rows(it, c, &first);
	int ret = load_rows(job, it, first, n, b, err);

	if (!ret)
		ret = gguf_pread(job->check, it->copy, b.raw, first * it->row_to, n * it->row_to, err);
	if (ret)
		return ret;
	to_floats(it->to, b.raw, n, k, b.group, b.y);
	for (uint64_t r = 0; r < n; r++)
		compare(s, b.x + r * k, b.y + r * k, importance(it, first + r), k);
	/* a NaN or an infinity that was read back is in the sum */
	if (!isfinite(s->error))
		return z5_fail(err, -EINVAL,
			       "%s: tensor '%s': rows %llu to %llu have values too large for %s; take BF16",
			       gguf_path(job->in), it->t->name, (unsigned long long)first,
			       (unsigned long long)(first + n - 1), it->to->name);
	return 0;
}

static int check_chunk(struct job *job, const struct item *it, uint64_t c, uint8_t *buf)
{
	struct buffers b = buffers_of(job, buf);
	struct zen5rt_error err;
	int ret = it->to ? check_rows(job, it, c, b, &err) : check_copy(job, it, c, b, &err);

	if (ret) {
		pthread_mutex_lock(&job->lock);
		if (!job->ret) {
			job->ret = ret;
			if (job->err)
				*job->err = err;
		}
		pthread_mutex_unlock(&job->lock);
	}
	return ret;
}

/* ---- a pass ---- */

static const struct item *item_of(const struct job *job, uint64_t c)
{
	size_t lo = 0, hi = job->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (job->item[mid].first <= c)
			lo = mid;
		else
			hi = mid;
	}
	return &job->item[lo];
}

static void work(const struct z5_thread *t, void *arg)
{
	struct job *job = arg;
	uint8_t *buf = job->buf + t->i * job->buf_bytes;

	while (!atomic_load(&job->stop)) {
		uint64_t c = atomic_fetch_add(&job->next, 1);
		const struct item *it;

		if (c >= job->n_chunks)
			break;
		it = item_of(job, c);
		if (job->chunk(job, it, c, buf)) {
			atomic_store(&job->stop, true);
			break;
		}
		atomic_fetch_add(&job->done, it->per_chunk * (it->to ? it->row_from : 1));
		if (t->i == 0) {
			uint64_t done = atomic_load(&job->done);

			if (z5_progress(job->rt, job->stage, done < job->total ? done : job->total, job->total)) {
				pthread_mutex_lock(&job->lock);
				if (!job->ret)
					job->ret = z5_fail(job->err, -ECANCELED, "%s: cancelled", job->file.path);
				pthread_mutex_unlock(&job->lock);
				atomic_store(&job->stop, true);
			}
		}
	}
}

static int pass(struct job *job, enum zen5rt_stage stage,
		int (*chunk)(struct job *job, const struct item *it, uint64_t c, uint8_t *buf))
{
	job->chunk = chunk;
	job->stage = stage;
	atomic_store(&job->next, 0);
	atomic_store(&job->done, 0);
	z5_pool_run(job->rt->pool, work, job);
	return job->ret;
}

/* ---- before and after ---- */

static int find_importance(struct job *job, struct item *it)
{
	const struct gguf_tensor *t = it->t;
	size_t n;
	const float *w = z5_imatrix_find(job->im, t->name, &n);

	if (!w)
		return 0;
	if (n != t->ne[0] * t->ne[2] * t->ne[3] && n != t->ne[0])
		return z5_fail(job->err, -EINVAL,
			       "%s: %s has %zu values where the tensor has %llu columns: is it of another model?",
			       job->p->imatrix, t->name, n, (unsigned long long)t->ne[0]);
	it->importance = w;
	it->experts = n / t->ne[0];
	it->matrix_rows = t->ne[1];
	return 0;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

/* The scale of I2_S stands behind all rows. */
static int find_scale(struct job *job, struct item *it, uint64_t rows_bytes)
{
	int ret = gguf_pread(job->in, it->t, &it->scale, rows_bytes, sizeof(it->scale), job->err);

	if (ret || isfinite(it->scale))
		return ret;
	return z5_fail(job->err, -EINVAL, "%s: tensor '%s': its scale is %s", gguf_path(job->in), it->t->name,
		       isnan(it->scale) ? "NaN" : "infinite");
}

static int prepare_item(struct job *job, size_t i)
{
	const struct gguf_tensor *t = gguf_tensor(job->in, i);
	const uint32_t tail = gguf_type_info(t->type)->tail;
	struct item *it = &job->item[i];
	uint32_t type = job->plan.t[i].type;
	int ret = 0;

	it->t = t;
	if (type == t->type) {
		it->per_chunk = CHUNK * sizeof(float);
		it->n = divide_up(t->size, it->per_chunk);
	} else {
		if (t->ne[0] > MAX_COLUMNS)
			return z5_fail(job->err, -EINVAL,
				       "%s: tensor '%s': rows of %llu values; at most %u are quantized",
				       gguf_path(job->in), t->name, (unsigned long long)t->ne[0], MAX_COLUMNS);
		it->from = z5_type_by_ggml(t->type);
		it->to = z5_type_by_ggml(type);
		it->quant = z5_quant_type(type)->row;
		it->row_from = t->ne[0] / it->from->block * it->from->bytes;
		it->row_to = t->ne[0] / it->to->block * it->to->bytes;
		it->rows = (t->size - tail) / it->row_from;
		it->scale = 1;
		it->per_chunk = t->ne[0] < CHUNK ? CHUNK / t->ne[0] : 1;
		it->n = divide_up(it->rows, it->per_chunk);
		if (tail)
			ret = find_scale(job, it, t->size - tail);
		if (!ret && job->im)
			ret = find_importance(job, it);
	}
	it->first = job->n_chunks;
	job->n_chunks += it->n;
	job->total += t->size;
	return ret;
}

static void larger(size_t *a, size_t b)
{
	if (*a < b)
		*a = b;
}

/* The buffers are as large as the widest rows need. */
static int prepare_buffers(struct job *job)
{
	size_t group = 0;

	job->x_bytes = job->raw_bytes = CHUNK * sizeof(float);
	for (size_t i = 0; i < job->n; i++) {
		const struct item *it = &job->item[i];
		size_t k = it->t->ne[0];

		if (!it->to)
			continue;
		larger(&job->x_bytes, it->per_chunk * k * sizeof(float));
		larger(&job->raw_bytes, it->per_chunk * it->row_from);
		larger(&job->raw_bytes, it->per_chunk * it->row_to);
		larger(&group, it->from->group_bytes(k));
		larger(&group, it->to->group_bytes(k));
	}
	job->x_bytes = Z5_ALIGN64(job->x_bytes);
	job->raw_bytes = Z5_ALIGN64(job->raw_bytes);
	job->buf_bytes = 2 * job->x_bytes + job->raw_bytes + Z5_ALIGN64(group);
	job->buf = aligned_alloc(64, z5_pool_n(job->rt->pool) * job->buf_bytes);
	job->sums = calloc(job->n_chunks + 1, sizeof(*job->sums));
	if (!job->buf || !job->sums)
		return z5_fail(job->err, -ENOMEM, "out of memory for the buffers of %u threads",
			       z5_pool_n(job->rt->pool));
	return 0;
}

static int prepare_head(struct job *job)
{
	uint32_t *types = calloc(job->n + 1, sizeof(*types)), entries = job->im ? (uint32_t)z5_imatrix_n(job->im) : 0;
	const char *slash = job->im ? strrchr(job->p->imatrix, '/') : NULL;
	struct gguf_set set[5] = {
		{ "general.quantization_version", NULL, 2 },
		{ "general.file_type", NULL, job->plan.file_type },
		/* without its directory, which would make the bytes differ from machine to machine */
		{ "quantize.imatrix.file", slash ? slash + 1 : job->im ? job->p->imatrix : "", 0 },
		{ "quantize.imatrix.entries_count", NULL, entries },
	};
	size_t n_set = job->im ? 4 : 2;
	int ret;

	if (!types)
		return z5_fail(job->err, -ENOMEM, "out of memory");
	/* what came in parts leaves as one file */
	if (gguf_kind(job->in, "split.count") >= 0)
		set[n_set++] = (struct gguf_set){ "split.count", NULL, 0 };
	for (size_t i = 0; i < job->n; i++)
		types[i] = job->plan.t[i].type;
	ret = gguf_head_make(&job->head, job->in, set, n_set, types, job->err);
	free(types);
	return ret;
}

/* Same file under another name included, and every part of a model in several. */
static int check_names(const struct job *job, const char *out)
{
	struct stat a, b;

	if (!out)
		return 0;
	if (!stat(out, &b) && gguf_is_file(job->in, &b))
		return z5_fail(job->err, -EINVAL, "%s: is the input itself: name another file for the result", out);
	if (job->p->imatrix && !stat(job->p->imatrix, &a) && !stat(out, &b) && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino)
		return z5_fail(job->err, -EINVAL, "%s: is the importance matrix: name another file for the result",
			       out);
	return 0;
}

static int open_input(struct job *job, const char *in)
{
	int ret = gguf_open_model(in, &job->in, job->err);

	if (ret)
		return ret;
	job->n = gguf_n_tensors(job->in);
	if (!job->n)
		return z5_fail(job->err, -EINVAL, "%s: has no tensors to quantize", gguf_path(job->in));
	return 0;
}

static int prepare(struct job *job)
{
	int ret;

	if (job->p->imatrix) {
		ret = z5_imatrix_load(job->p->imatrix, &job->im, job->err);
		if (ret)
			return ret;
	}
	ret = z5_plan_make(&job->plan, job->in, job->p, job->im, job->err);
	if (ret)
		return ret;
	job->item = calloc(job->n, sizeof(*job->item));
	if (!job->item)
		return z5_fail(job->err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < job->n && !ret; i++)
		ret = prepare_item(job, i);
	if (!ret && job->im) {
		size_t used = 0;

		for (size_t i = 0; i < job->n; i++)
			used += job->item[i].importance != NULL;
		if (!used)
			ret = z5_fail(job->err, -EINVAL,
				      "%s: names no tensor that is quantized: is it of another model?",
				      job->p->imatrix);
	}
	return ret ? ret : prepare_head(job);
}

/* Opens what was written as a reader would, and takes nothing of it for granted. */
static int reopen(struct job *job)
{
	int ret = gguf_open_fd(job->file.fd, job->file.path, &job->check, job->err);

	if (ret)
		return ret;
	for (size_t i = 0; i < job->n; i++) {
		struct item *it = &job->item[i];

		it->copy = gguf_find_tensor(job->check, it->t->name);
		if (!it->copy || it->copy->type != job->plan.t[i].type || it->copy->size != job->head.size[i] ||
		    memcmp(it->copy->ne, it->t->ne, sizeof(it->t->ne)))
			return differs(job, it, job->err);
	}
	return 0;
}

static int report(struct job *job, size_t i)
{
	const struct item *it = &job->item[i];
	struct zen5rt_quantize_tensor t = {
		.name = it->t->name, .from = gguf_type_info(it->t->type)->name,
		.to = gguf_type_info(job->plan.t[i].type)->name, .bytes_from = it->t->size,
		.bytes_to = job->head.size[i], .narrow = job->plan.t[i].narrow, .weighted = it->importance != NULL,
	};
	struct sums s = { 0 };
	double n = 1;

	memcpy(t.ne, it->t->ne, sizeof(t.ne));
	for (uint64_t c = it->first; c < it->first + it->n && job->sums; c++) {
		const struct sums *p = &job->sums[c];

		s.error += p->error;
		s.value += p->value;
		s.weighted_error += p->weighted_error;
		s.weighted_value += p->weighted_value;
		s.max = p->max > s.max ? p->max : s.max;
	}
	for (int d = 0; d < 4; d++)
		n *= (double)it->t->ne[d];
	t.rmse = sqrt(s.error / n);
	t.rms = sqrt(s.value / n);
	t.max_error = s.max;
	if (it->to) {
		double limit = z5_quant_type(it->to->ggml)->tolerance;

		if (sqrt(s.weighted_error) > limit * sqrt(s.weighted_value))
			return z5_fail(job->err, -EINVAL, "%s: tensor '%s': as %s it differs from the input by %.2g of its size; %.2g is the most that this type can explain",
				       gguf_path(job->in), t.name, t.to,
				       sqrt(s.weighted_error / s.weighted_value), limit);
	}
	if (job->p->tensor && job->p->tensor(job->p->user, &t))
		return z5_fail(job->err, -ECANCELED, "cancelled");
	return 0;
}

static int write_file(struct job *job, const char *out)
{
	int ret = prepare_buffers(job);

	if (ret)
		return ret;
	ret = z5_tmpfile_open(&job->file, out, job->head.file_size, job->p->force, job->err);
	if (ret)
		return ret;
	/* so that the padding between tensors is zeros whatever the file system does */
	if (ftruncate(job->file.fd, (off_t)job->head.file_size))
		return z5_fail(job->err, -errno, "%s: %s", out, strerror(errno));
	ret = z5_tmpfile_write(&job->file, job->head.p, job->head.n, 0, job->err);
	if (!ret)
		ret = pass(job, ZEN5RT_STAGE_QUANTIZE, write_chunk);
	if (!ret)
		ret = reopen(job);
	if (!ret)
		ret = pass(job, ZEN5RT_STAGE_CHECK, check_chunk);
	return ret;
}

static void fill_info(const struct job *job, struct zen5rt_quantize_info *info)
{
	*info = (struct zen5rt_quantize_info){
		.type = job->plan.name, .bytes_from = gguf_file_size(job->in), .bytes_to = job->head.file_size,
		.n_tensors = job->n,
	};
	for (size_t i = 0; i < job->n; i++) {
		const uint64_t *ne = job->item[i].t->ne;

		info->n_params += ne[0] * ne[1] * ne[2] * ne[3];
		info->n_narrow += job->plan.t[i].narrow;
	}
}

static int run(struct job *job, const char *in, const char *out)
{
	int ret = open_input(job, in);

	if (!ret && !job->p->dry_run)
		ret = check_names(job, out);
	if (!ret)
		ret = prepare(job);
	if (!ret && !job->p->dry_run)
		ret = write_file(job, out);
	for (size_t i = 0; i < job->n && !ret; i++)
		ret = report(job, i);
	if (!ret && !job->p->dry_run)
		ret = z5_tmpfile_commit(&job->file, job->err);
	return ret;
}

void zen5rt_quantize_params_init(struct zen5rt_quantize_params *params)
{
	memset(params, 0, sizeof(*params));
	params->size = sizeof(*params);
}

const char *zen5rt_quantize_type(unsigned int i)
{
	return z5_mix_name(i);
}

int zen5rt_quantize(struct zen5rt *rt, const char *in, const char *out, const struct zen5rt_quantize_params *params,
		    struct zen5rt_quantize_info *info, struct zen5rt_error *err)
{
	struct zen5rt_quantize_params p;
	struct job job = { .rt = rt, .p = &p, .file.fd = -1, .err = err };
	int ret;

	zen5rt_quantize_params_init(&p);
	if (!params || params->size < sizeof(size_t) || params->size > sizeof(p))
		return z5_fail(err, -EINVAL, "zen5rt_quantize_params: not of this version");
	memcpy(&p, params, params->size);
	if (!out && !p.dry_run)
		return z5_fail(err, -EINVAL, "no file named for the result");
	ret = z5_enter(rt, err);
	if (ret)
		return ret;
	pthread_mutex_init(&job.lock, NULL);
	ret = run(&job, in, out);
	if (!ret && info)
		fill_info(&job, info);
	z5_tmpfile_abort(&job.file);
	gguf_close(job.check);
	gguf_close(job.in);
	z5_plan_free(&job.plan);
	z5_imatrix_free(job.im);
	gguf_head_free(&job.head);
	free(job.item);
	free(job.buf);
	free(job.sums);
	pthread_mutex_destroy(&job.lock);
	z5_leave(rt);
	return ret;
}

// SPDX-License-Identifier: MIT
/*
 * A session in a file: a prompt is evaluated once and taken up again by any later process with the same model. What is
 * saved is what a session would have to compute: keys and values of the positions that are filled, the state, and the
 * last logits; and the tokens, so that it is known what has been evaluated. Sizes come from the model and are only
 * compared with the file's.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "session.h"
#include "tmpfile.h"

/* Goes up with the layout of keys, values and states, and with this file's. */
#define VERSION		2
#define NO_KV		UINT32_MAX

static const char magic[8] = "zen5sess";

struct header {
	char magic[8];
	uint32_t version, kv_type;	/* NO_KV: only a state */
	uint32_t pos, n_vocab, logits, zero;	/* logits: whether they are there */
	uint64_t model;			/* see fingerprint() */
	uint64_t bytes, sum;		/* of what follows */
};

/* ---- what follows the header, piece by piece ---- */

struct pieces;
typedef int (*piece_fn)(struct pieces *p, void *data, size_t n);

struct pieces {
	struct zen5rt_session *s;
	int32_t *tokens;		/* as many as positions */
	uint32_t pos;
	bool logits;
	piece_fn each;
	const struct z5_tmpfile *out;	/* that each() writes to, or the descriptor that it reads */
	int fd;
	const char *path;
	uint64_t off, sum;
	struct zen5rt_error *err;
};

/* Bytes of pos positions, which come in groups of 16. */
static size_t grouped(uint32_t pos, size_t group)
{
	return ((size_t)pos + 15) / 16 * group;
}

static int all_pieces(struct pieces *p)
{
	const struct z5_hparams *h = &p->s->m->h;
	const struct z5_kv *kv = &p->s->kv;
	int ret = p->each(p, p->tokens, p->pos * sizeof(*p->tokens));

	if (!ret && p->logits)
		ret = p->each(p, p->s->logits, h->n_vocab * sizeof(float));
	if (!ret && z5_keeps_state(h))
		ret = p->each(p, p->s->state.region.addr, p->s->state.bytes);
	for (uint32_t i = 0; i < h->n_cached && !ret; i++) {
		for (uint32_t j = 0; j < h->n_head_kv && !ret; j++) {
			ret = p->each(p, z5_kv_k(kv, i, j), grouped(p->pos, z5_kv_k_group(kv->type, kv->hd_k)));
			if (!ret)
				ret = p->each(p, z5_kv_v(kv, i, j),
					      grouped(p->pos, z5_kv_v_group(kv->type, kv->hd_v)));
		}
	}
	return ret;
}

static int count(struct pieces *p, void *data, size_t n)
{
	(void)data;
	p->off += n;
	return 0;
}

/* Pieces are whole words. */
static void add_sum(struct pieces *p, const void *data, size_t n)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < n; i += 4) {
		uint32_t w;

		memcpy(&w, b + i, 4);
		p->sum = (p->sum ^ w) * 0x100000001b3;
		p->sum ^= p->sum >> 29;
	}
}

static int write_piece(struct pieces *p, void *data, size_t n)
{
	int ret = z5_tmpfile_write(p->out, data, n, p->off, p->err);

	add_sum(p, data, n);
	p->off += n;
	return ret;
}

static int read_all(int fd, const char *path, void *data, size_t n, uint64_t off, struct zen5rt_error *err)
{
	uint8_t *b = data;

	while (n) {
		ssize_t r = pread(fd, b, n, (off_t)off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return z5_fail(err, -errno, "%s: %s", path, strerror(errno));
		if (!r)
			return z5_fail(err, -EINVAL, "%s: ends too early", path);
		b += r;
		off += (uint64_t)r;
		n -= (size_t)r;
	}
	return 0;
}

static int read_piece(struct pieces *p, void *data, size_t n)
{
	int ret = read_all(p->fd, p->path, data, n, p->off, p->err);

	if (!ret)
		add_sum(p, data, n);
	p->off += n;
	return ret;
}

/* ---- whose it is ---- */

#define LINE	((size_t)64)
#define LINES	((size_t)1 << 18)

/*
 * Of the model's numbers and of lines of its weights as they lie in memory: all of 16 MiB, so many of larger ones in
 * equal steps. Models that are tuned from one another have many matrices in common, and may differ in a number alone.
 */
static uint64_t fingerprint(const struct zen5rt_model *m)
{
	const uint8_t *w = m->region.addr;
	const size_t lines = m->region.asked / LINE;
	struct pieces p = { .sum = m->h.sum ^ m->region.asked };

	for (size_t i = 0; i < lines; i += lines / LINES + 1)
		add_sum(&p, w + i * LINE, LINE);
	return p.sum;
}

static struct header header_of(const struct zen5rt_session *s)
{
	struct header h = {
		.version = VERSION, .kv_type = z5_keeps_kv(&s->m->h) ? s->kv.type : NO_KV, .pos = s->pos,
		.n_vocab = s->m->h.n_vocab, .logits = s->have_logits && s->logits_pos == s->pos,
		.model = fingerprint(s->m),
	};

	memcpy(h.magic, magic, sizeof(h.magic));
	return h;
}

int zen5rt_session_save(const struct zen5rt_session *session, const char *path, const int32_t *tokens,
			struct zen5rt_error *err)
{
	/* pieces are the same for reading and writing; these are not written to */
	struct zen5rt_session *s = (struct zen5rt_session *)(uintptr_t)session;
	struct header h = header_of(session);
	struct pieces p = {
		.s = s, .tokens = (int32_t *)(uintptr_t)tokens, .pos = s->pos, .logits = h.logits, .each = count,
		.err = err,
	};
	struct z5_tmpfile out;
	int ret;

	if (!s->pos)
		return z5_fail(err, -EINVAL, "%s: the session is empty, there is nothing to save", path);
	all_pieces(&p);
	h.bytes = p.off;
	ret = z5_tmpfile_open(&out, path, sizeof(h) + h.bytes, true, err);
	if (ret)
		return ret;
	p.out = &out;
	p.each = write_piece;
	p.off = sizeof(h);
	ret = all_pieces(&p);
	h.sum = p.sum;
	if (!ret)
		ret = z5_tmpfile_write(&out, &h, sizeof(h), 0, err);
	if (!ret)
		return z5_tmpfile_commit(&out, err);
	z5_tmpfile_abort(&out);
	return ret;
}

/* ---- back ---- */

static int check_header(const struct zen5rt_session *s, const struct header *h, uint64_t size, const char *path,
			struct zen5rt_error *err)
{
	const struct header want = header_of(s);
	struct pieces p = { .pos = h->pos, .logits = h->logits, .each = count };

	if (memcmp(h->magic, magic, sizeof(h->magic)))
		return z5_fail(err, -EINVAL, "%s: is no saved session", path);
	if (h->version != VERSION)
		return z5_fail(err, -EINVAL, "%s: is a saved session of version %u, this is %d", path, h->version, VERSION);
	if (h->model != want.model || h->n_vocab != want.n_vocab)
		return z5_fail(err, -EINVAL, "%s: is a session of another model", path);
	if (h->kv_type != want.kv_type)
		return z5_fail(err, -EINVAL, "%s: has another type of KV cache (%s)", path,
			       h->kv_type < Z5_N_KV_TYPES ? z5_kv_type_name(h->kv_type) : "none");
	if (h->pos > s->n_ctx)
		return z5_fail(err, -ENOSPC, "%s: has %u positions, the context %u", path, h->pos, s->n_ctx);
	p.s = (struct zen5rt_session *)(uintptr_t)s;
	all_pieces(&p);
	if (!h->pos || h->logits > 1 || h->zero || h->bytes != p.off || size != sizeof(*h) + p.off)
		return z5_fail(err, -EINVAL, "%s: is no whole saved session", path);
	return 0;
}

/* What the file has goes to where the session has it: half of another sequence, should reading fail. */
static int restore(struct pieces *p, const struct header *h)
{
	struct zen5rt_session *s = p->s;
	int ret = all_pieces(p);

	if (!ret && p->sum != h->sum)
		ret = z5_fail(p->err, -EINVAL, "%s: is damaged: its sum is not that of its contents", p->path);
	for (uint32_t i = 0; i < h->pos && !ret; i++)
		if (p->tokens[i] < 0 || (uint32_t)p->tokens[i] >= h->n_vocab)
			ret = z5_fail(p->err, -EINVAL, "%s: token %d is outside the vocabulary of %u", p->path,
				      p->tokens[i], h->n_vocab);
	if (z5_keeps_state(&s->m->h))
		z5_state_forget(&s->state);
	s->pos = ret ? 0 : h->pos;
	s->was_long = !ret;
	s->have_logits = !ret && h->logits;
	s->logits_pos = s->pos;
	if (ret && z5_keeps_state(&s->m->h))
		z5_state_rewind(&s->state, 0);
	return ret;
}

int zen5rt_session_restore(struct zen5rt_session *s, const char *path, int32_t *tokens, struct zen5rt_error *err)
{
	struct pieces p = { .s = s, .tokens = tokens, .each = read_piece, .path = path, .off = sizeof(struct header) };
	struct header h;
	struct stat st;
	int ret;

	p.err = err;
	p.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (p.fd < 0)
		return z5_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (fstat(p.fd, &st) || !S_ISREG(st.st_mode))
		ret = z5_fail(err, -EINVAL, "%s: is no ordinary file", path);
	else if ((uint64_t)st.st_size < sizeof(h))
		ret = z5_fail(err, -EINVAL, "%s: is no saved session", path);
	else
		ret = read_all(p.fd, path, &h, sizeof(h), 0, err);
	if (!ret)
		ret = check_header(s, &h, (uint64_t)st.st_size, path, err);
	if (!ret) {
		p.pos = h.pos;
		p.logits = h.logits;
		ret = restore(&p, &h);
	}
	close(p.fd);
	return ret;
}

/* ---- from one session to another ---- */

int zen5rt_session_copy(struct zen5rt_session *to, const struct zen5rt_session *from, struct zen5rt_error *err)
{
	const struct z5_kv *a = &from->kv, *b = &to->kv;
	const struct z5_hparams *h = &from->m->h;

	if (to->m != from->m)
		return z5_fail(err, -EINVAL, "sessions of different models");
	if (to == from)
		return 0;
	if (z5_keeps_kv(h) && a->type != b->type)
		return z5_fail(err, -EINVAL, "a KV cache of %s cannot be copied to one of %s", z5_kv_type_name(a->type),
			       z5_kv_type_name(b->type));
	if (from->pos > to->n_ctx)
		return z5_fail(err, -ENOSPC, "%u positions do not fit into a context of %u", from->pos, to->n_ctx);
	if (z5_keeps_state(h)) {
		memcpy(to->state.region.addr, from->state.region.addr, from->state.bytes);
		z5_state_forget(&to->state);
	}
	for (uint32_t i = 0; i < h->n_cached; i++) {
		for (uint32_t j = 0; j < h->n_head_kv; j++) {
			memcpy(z5_kv_k(b, i, j), z5_kv_k(a, i, j), grouped(from->pos, z5_kv_k_group(a->type, a->hd_k)));
			memcpy(z5_kv_v(b, i, j), z5_kv_v(a, i, j), grouped(from->pos, z5_kv_v_group(a->type, a->hd_v)));
		}
	}
	to->pos = from->pos;
	to->was_long = true;
	to->have_logits = from->have_logits;
	to->logits_pos = from->logits_pos;
	if (from->have_logits)
		memcpy(to->logits, from->logits, h->n_vocab * sizeof(float));
	return 0;
}

// SPDX-License-Identifier: MIT
#include <mem/resident.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mem/backend.h>
#include <mem/label.h>

/* What the kernel shows for owners that this user namespace has no number for. */
#define OVERFLOW_UID	65534

bool z5_resident_name_ok(const char *text)
{
	return z5_dev_name_ok(text);
}

/*
 * Contents are only as good as their owner: whoever may open the device can make a region of any name. A seal means
 * that not even he can change them any more.
 */
static int resident_trust(const struct z5m_info *info, const char *name, char *why, size_t why_len)
{
	if (info->uid != 0 && (info->uid != geteuid() || info->uid == OVERFLOW_UID)) {
		snprintf(why, why_len, "region %s belongs to user %u: only your own and root's are used", name, info->uid);
		return -EPERM;
	}
	if (!(info->flags & Z5M_REGION_SEALED)) {
		snprintf(why, why_len, "region %s is not sealed: no model is in it, or not yet", name);
		return -EBUSY;
	}
	return 0;
}

/* 0: the label promises what is wanted. 1: something else. */
static int resident_compare(int fd, const struct z5m_info *info, size_t asked, const struct z5_resident *want,
			    char *why, size_t why_len)
{
	struct z5_label *l = malloc(sizeof(*l));
	const char *wrong = "out of memory";
	int ret = l ? z5_label_read(fd, info, l, &wrong) : -ENOMEM;

	if (ret == -ENOENT || ret == -EINVAL) {
		snprintf(why, why_len, "region %s holds no weights of this version: %s", want->name, wrong);
		ret = 1;
	} else if (ret) {
		snprintf(why, why_len, "the label of region %s: %s", want->name, wrong);
	} else if (l->payload != asked || l->key_len != want->key_len || memcmp(l->key, want->key, want->key_len)) {
		snprintf(why, why_len, "region %s holds another model, or another state of this one: choose another name, or zen5-mem destroy %s",
			 want->name, want->name);
		ret = 1;
	}
	free(l);
	return ret;
}

/* Takes the name from a region that is in the way. 1: it is free, and why says nothing any more. */
static int resident_replace(int dev, const struct z5m_info *info, const struct z5_resident *want, char *why)
{
	struct z5m_destroy d = { .flags = 0 };
	int ret;

	if (!want->replace || info->uid != geteuid())
		return -ESTALE;
	memcpy(d.name, want->name, sizeof(d.name));
	ret = z5_dev_ioctl(dev, Z5M_IOC_DESTROY, &d);
	if (ret < 0 && ret != -ENOENT)
		return -ESTALE;
	*why = '\0';
	return 1;
}

static int resident_open(int dev, struct z5_region *r, const struct z5_resident *want, char *why, size_t why_len)
{
	struct z5m_open o = { .flags = 0 };
	struct z5m_info info = { 0 };
	int fd, ret;

	memcpy(o.name, want->name, sizeof(o.name));
	fd = z5_dev_ioctl(dev, Z5M_IOC_OPEN, &o);
	if (fd == -ENOENT)
		return 1;
	ret = fd < 0 ? fd : z5_dev_ioctl(fd, Z5M_IOC_INFO, &info);
	if (ret < 0)
		snprintf(why, why_len, "region %s: %s", want->name, strerror(-ret));
	else
		ret = resident_trust(&info, want->name, why, why_len);
	if (!ret)
		ret = resident_compare(fd, &info, r->asked, want, why, why_len);
	if (!ret)
		ret = z5_dev_map(r, fd, false, why, why_len);
	else if (ret > 0)
		ret = resident_replace(dev, &info, want, why);
	if (fd >= 0)
		close(fd);
	return ret;
}

int z5_resident_attach(struct z5_region *r, const char *use, size_t asked, const struct z5_resident *want, char *why,
		       size_t why_len)
{
	struct z5m_version v;
	int dev, ret;

	memset(r, 0, sizeof(*r));
	r->use = use;
	r->asked = asked;
	dev = z5_dev_open(&v, why, why_len);
	if (dev < 0)
		return dev;
	ret = resident_open(dev, r, want, why, why_len);
	close(dev);
	if (!ret)
		r->backend = z5_device_backend();
	else
		memset(r, 0, sizeof(*r));
	return ret;
}

int z5_resident_alloc(struct z5_region *r, const char *use, size_t asked, char *why, size_t why_len)
{
	int fd;

	memset(r, 0, sizeof(*r));
	r->use = use;
	r->asked = asked;
	/* Small pages, too: who wants to find the weights again wants that more than large pages. */
	fd = z5_dev_create(r, Z5_LABEL_BYTES, true, why, why_len);
	if (fd < 0) {
		memset(r, 0, sizeof(*r));
		return fd;
	}
	r->backend = z5_device_backend();
	r->open = true;
	r->fd = fd;
	return 0;
}

/* Gives the sealed region its name, or finds another process's under it; as z5_resident_publish(). */
static int resident_name(struct z5_region *r, const struct z5_resident *want, char *why, size_t why_len)
{
	struct z5m_name n = { .flags = 0 };
	struct z5_region other;
	int ret;

	memcpy(n.name, want->name, sizeof(n.name));
	/* Between "taken" and "free" others come and go: a few tries, then without. */
	for (int i = 0; i < 4; i++) {
		ret = z5_dev_ioctl(r->fd, Z5M_IOC_NAME, &n);
		if (ret != -EEXIST) {
			if (ret < 0)
				snprintf(why, why_len, "the name %s is refused: %s", want->name, strerror(-ret));
			return ret;
		}
		ret = z5_resident_attach(&other, r->use, r->asked, want, why, why_len);
		if (!ret) {
			z5_region_free(r);
			*r = other;
			return 1;
		}
		if (ret < 0)
			return ret;
	}
	snprintf(why, why_len, "the name %s is taken again and again", want->name);
	return -EBUSY;
}

int z5_resident_publish(struct z5_region *r, const struct z5_resident *want, char *why, size_t why_len)
{
	struct z5m_seal seal = { .flags = 0 };
	struct z5_region readable = *r;
	struct z5_label *label;
	int ret;

	if (!r->open || r->size < Z5_LABEL_BYTES || r->asked > r->size - Z5_LABEL_BYTES) {
		snprintf(why, why_len, "the region is not one that can stay");
		return -EINVAL;
	}
	label = (struct z5_label *)((char *)r->addr + r->size - Z5_LABEL_BYTES);
	ret = z5_label_write(label, r->size, r->asked, want->key, want->key_len, want->kind, want->path);
	if (ret)
		snprintf(why, why_len, "the model is in too many parts");
	/* The new mapping first: without it the old one is still there. */
	if (!ret)
		ret = z5_dev_map(&readable, r->fd, false, why, why_len);
	if (!ret) {
		munmap(r->addr, r->size);
		r->addr = readable.addr;
		ret = z5_dev_ioctl(r->fd, Z5M_IOC_SEAL, &seal);
		if (ret < 0)
			snprintf(why, why_len, "the region cannot be sealed: %s", strerror(-ret));
	}
	if (ret >= 0)
		ret = resident_name(r, want, why, why_len);
	if (r->open)
		close(r->fd);
	r->open = false;
	return ret;
}

// SPDX-License-Identifier: MIT
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mem/label.h>

#include "common.h"
#include "mem.h"

/* A region and what could be learnt of it. */
struct seen {
	struct z5m_info info;
	int fd;				/* -1: it has no name to be opened by */
	struct z5_label *label;		/* NULL: none */
};

struct seen_list {
	struct seen *region;
	size_t n;
	dev_t dev;			/* of all regions, 0: not known */
	struct mem_users users;
};

static const char *bytes(char buf[32], uint64_t n)
{
	return human_bytes(buf, 32, (double)n);
}

/* ---- reading ---- */

/* Whatever is in a label was written by somebody; it goes to a terminal. */
static void printable(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
			*p = '?';
}

static struct z5_label *read_label(int fd, const struct z5m_info *info)
{
	struct z5_label *l;
	const char *why;

	if (fd < 0)
		return NULL;
	l = malloc(sizeof(*l));
	if (!l)
		die("out of memory");
	if (z5_label_read(fd, info, l, &why)) {
		free(l);
		return NULL;
	}
	printable(l->kind);
	printable(l->path);
	return l;
}

static void read_regions(int dev, struct seen_list *list)
{
	struct mem_regions all;
	int ret = mem_regions_read(&all, dev);

	if (ret < 0)
		die("the list of regions: %s", strerror(-ret));
	*list = (struct seen_list){ .n = all.n, .region = calloc(all.n + 1, sizeof(*list->region)) };
	if (!list->region)
		die("out of memory");
	for (size_t i = 0; i < all.n; i++) {
		struct seen *s = &list->region[i];

		s->info = all.info[i];
		s->fd = mem_region_look(dev, &s->info);
		s->label = read_label(s->fd, &s->info);
	}
	list->dev = mem_regions_dev(&all, dev);
	/* Our own descriptors are no news. */
	if (list->dev)
		mem_users_read(&list->users, list->dev);
	mem_regions_free(&all);
}

static void free_regions(struct seen_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->region[i].fd >= 0)
			close(list->region[i].fd);
		free(list->region[i].label);
	}
	free(list->region);
	mem_users_free(&list->users);
}

/* The slots of a region, for the caller to free; *n of them. */
static struct z5m_slot *read_slots(int fd, const struct z5m_info *info, uint32_t *n)
{
	uint64_t total = (info->size >> Z5M_SLOT_SHIFT) + 1;
	struct z5m_slot *slot;

	*n = 0;
	if (fd < 0 || total > 1u << 20)
		return NULL;
	slot = calloc(total, sizeof(*slot));
	if (!slot)
		die("out of memory");
	while (*n < total) {
		struct z5m_slots s = { .first = *n, .count = (uint32_t)total - *n, .slots = (uintptr_t)(slot + *n) };

		if (z5_dev_ioctl(fd, Z5M_IOC_SLOTS, &s) < 0 || !s.count || s.count > total - *n)
			break;
		*n += s.count;
	}
	return slot;
}

/* ---- text ---- */

static const char *owner(char buf[40], uint32_t uid)
{
	const struct passwd *p = getpwuid(uid);

	if (p)
		snprintf(buf, 40, "%.39s", p->pw_name);
	else
		snprintf(buf, 40, "user %u", uid);
	return buf;
}

static const char *order_text(uint32_t order)
{
	return order == Z5M_ORDER_1G ? "1 GiB" : order == Z5M_ORDER_2M ? "2 MiB" : "4 KiB";
}

/* "0", "0,1", "?" */
static const char *nodes_text(char buf[64], int fd, const struct z5m_info *info)
{
	uint32_t n;
	struct z5m_slot *s = read_slots(fd, info, &n);
	size_t at = 0;

	snprintf(buf, 64, "?");
	for (uint32_t i = 0; i < n && at < 50; i++) {
		bool seen = false;

		for (uint32_t k = 0; k < i && !seen; k++)
			seen = s[k].node == s[i].node;
		if (seen)
			continue;
		if (s[i].node < 0)
			at += (size_t)snprintf(buf + at, 64 - at, "%smixed", at ? "," : "");
		else
			at += (size_t)snprintf(buf + at, 64 - at, "%s%d", at ? "," : "", s[i].node);
	}
	free(s);
	return buf;
}

static void text_region(const struct seen *s, const struct seen_list *list)
{
	char size[32], pages[64], nodes[64], uid[40], name[Z5M_NAME_LEN + 1];
	const struct z5m_info *i = &s->info;

	z5_dev_pages(i, pages, sizeof(pages));
	snprintf(name, sizeof(name), "%.63s", *i->name ? i->name : "(no name)");
	printf("%-4llu %-32s %10s  %s, node %s, %s, of %s, open %u, mapped %u\n", (unsigned long long)i->id, name,
	       bytes(size, i->size), pages, nodes_text(nodes, s->fd, i),
	       i->flags & Z5M_REGION_SEALED ? "sealed" : "not sealed", owner(uid, i->uid), i->n_files, i->n_maps);
	if (s->label)
		printf("       holds %s of %s model %s\n", bytes(size, s->label->payload), s->label->kind, s->label->path);
	for (size_t k = 0; k < list->users.n; k++) {
		const struct mem_user *u = &list->users.user[k];

		if (u->id == i->id && u->pid != getpid())
			printf("       used by %s, process %d (%s)\n", u->command, (int)u->pid,
			       u->open && u->mapped ? "open and mapped" : u->open ? "open" : "mapped");
	}
}

static void text_node(const struct z5m_node *n)
{
	char used[32];

	printf("node %-3u %s in regions; reserve of 1 GiB pages: %u free, %u used; perhaps %u more could be had",
	       n->node, bytes(used, n->used_bytes), n->reserve, n->reserve_used, n->possible);
	if (n->possible_movable)
		printf(" and %u in ZONE_MOVABLE", n->possible_movable);
	putchar('\n');
}

static void text_slots(int fd, const struct z5m_info *info)
{
	uint32_t n, j;
	struct z5m_slot *s = read_slots(fd, info, &n);

	for (uint32_t i = 0; i < n; i = j) {
		for (j = i + 1; j < n && s[j].order == s[i].order && s[j].node == s[i].node &&
		     s[j].flags == s[i].flags && s[j].n_pages == s[i].n_pages; j++)
			;
		if (j > i + 1)
			printf("  slots %u-%u: each %u x %s", i, j - 1, s[i].n_pages, order_text(s[i].order));
		else
			printf("  slot %u: %u x %s", i, s[i].n_pages, order_text(s[i].order));
		if (s[i].node < 0)
			printf(", of several nodes");
		else
			printf(", node %d", s[i].node);
		puts(s[i].flags & Z5M_SLOT_RESERVE ? ", from the reserve" : "");
	}
	free(s);
}

static double age(const struct z5m_info *info)
{
	struct timespec t;
	double s;

	clock_gettime(CLOCK_BOOTTIME, &t);
	s = (double)t.tv_sec + ((double)t.tv_nsec - (double)info->created_ns) * 1e-9;
	return s < 0 ? 0 : s;
}

static const char *place_text(char buf[48], const struct z5m_info *i)
{
	if (i->place == Z5M_PLACE_ANY)
		snprintf(buf, 48, "any node");
	else
		snprintf(buf, 48, "%s %u", i->place == Z5M_PLACE_CCD ? "L3 domain" : "node", i->place_id);
	return buf;
}

void mem_print_region(int fd, const struct z5m_info *i)
{
	struct z5_label *label = read_label(fd, i);
	char size[32], pages[64], uid[40], place[48], off[32];

	z5_dev_pages(i, pages, sizeof(pages));
	printf("%.63s: region %llu, %s: %s\n", *i->name ? i->name : "(no name)", (unsigned long long)i->id,
	       bytes(size, i->size), pages);
	printf("  asked for pages of %s, %s", order_text(i->page_order), place_text(place, i));
	if (i->bytes_off_node)
		printf(" (%s are elsewhere)", bytes(off, i->bytes_off_node));
	printf("\n  %s, of %s, %.0f s old, open %u, mapped %u, writable %u\n",
	       i->flags & Z5M_REGION_SEALED ? "sealed" : "not sealed", owner(uid, i->uid), age(i), i->n_files, i->n_maps,
	       i->n_writable);
	if (label)
		printf("  holds %s of %s model %s\n", bytes(size, label->payload), label->kind, label->path);
	text_slots(fd, i);
	free(label);
}

/* ---- JSON ---- */

/* Paths are bytes, JSON is text. */
static json_t *json_text(const char *text)
{
	json_t *s = json_string(text);
	char *ascii;

	if (s)
		return s;
	ascii = strdup(text);
	if (!ascii)
		die("out of memory");
	for (char *p = ascii; *p; p++)
		*p = *p & 0x80 ? '?' : *p;
	s = json_string(ascii);
	free(ascii);
	return s;
}

static json_t *json_slots(int fd, const struct z5m_info *info)
{
	json_t *a = json_array();
	uint32_t n;
	struct z5m_slot *s = read_slots(fd, info, &n);

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(a, json_pack("{s:I, s:i, s:o, s:b}", "page", (json_int_t)4096 << (s[i].order & 31),
				      "pages", (int)s[i].n_pages, "node",
				      s[i].node < 0 ? json_null() : json_integer(s[i].node), "reserve",
				      !!(s[i].flags & Z5M_SLOT_RESERVE)));
	free(s);
	return a;
}

json_t *mem_json_region(int fd, const struct z5m_info *i)
{
	static const char *const places[] = { "any", "ccd", "node" };
	struct z5_label *label = read_label(fd, i);
	json_t *o = json_object();

	json_object_set_new(o, "id", json_integer((json_int_t)i->id));
	json_object_set_new(o, "name", *i->name ? json_text(i->name) : json_null());
	json_object_set_new(o, "size", json_integer((json_int_t)i->size));
	json_object_set_new(o, "bytes_1g", json_integer((json_int_t)i->bytes_1g));
	json_object_set_new(o, "bytes_2m", json_integer((json_int_t)i->bytes_2m));
	json_object_set_new(o, "bytes_4k", json_integer((json_int_t)i->bytes_4k));
	json_object_set_new(o, "bytes_off_node", json_integer((json_int_t)i->bytes_off_node));
	json_object_set_new(o, "asked_page", json_integer((json_int_t)4096 << (i->page_order & 31)));
	json_object_set_new(o, "place", json_string(i->place < 3 ? places[i->place] : "unknown"));
	json_object_set_new(o, "place_id", i->place == Z5M_PLACE_ANY ? json_null() : json_integer(i->place_id));
	json_object_set_new(o, "sealed", json_boolean(i->flags & Z5M_REGION_SEALED));
	json_object_set_new(o, "uid", json_integer(i->uid));
	json_object_set_new(o, "open", json_integer(i->n_files));
	json_object_set_new(o, "mapped", json_integer(i->n_maps));
	json_object_set_new(o, "writable", json_integer(i->n_writable));
	json_object_set_new(o, "age_s", json_real(age(i)));
	json_object_set_new(o, "slots", json_slots(fd, i));
	json_object_set_new(o, "holds", label ? json_pack("{s:o, s:o, s:I}", "architecture", json_text(label->kind), "path",
			    json_text(label->path), "bytes", (json_int_t)label->payload) : json_null());
	free(label);
	return o;
}

static json_t *json_users(const struct seen *s, const struct seen_list *list)
{
	json_t *a = json_array();

	for (size_t k = 0; k < list->users.n; k++) {
		const struct mem_user *u = &list->users.user[k];

		if (u->id == s->info.id && u->pid != getpid())
			json_array_append_new(a, json_pack("{s:i, s:s, s:b, s:b}", "pid", (int)u->pid, "command",
					      u->command, "open", u->open, "mapped", u->mapped));
	}
	return a;
}

static json_t *json_node(const struct z5m_node *n)
{
	return json_pack("{s:i, s:I, s:i, s:i, s:i, s:i}", "node", (int)n->node, "used_bytes", (json_int_t)n->used_bytes,
			 "reserve", (int)n->reserve, "reserve_used", (int)n->reserve_used, "possible", (int)n->possible,
			 "possible_movable", (int)n->possible_movable);
}

/* ---- the verbs ---- */

int mem_list(const struct mem_options *o)
{
	json_t *all = json_object(), *regions = json_array(), *nodes = json_array();
	struct seen_list list;
	struct z5m_version v;
	char used[32], max[32];
	int dev = mem_device(&v);

	read_regions(dev, &list);
	for (size_t i = 0; i < list.n; i++) {
		const struct seen *s = &list.region[i];

		if (o->json) {
			json_t *r = mem_json_region(s->fd, &s->info);

			json_object_set_new(r, "users", json_users(s, &list));
			json_array_append_new(regions, r);
		} else {
			text_region(s, &list);
		}
	}
	if (!o->json && !list.n)
		puts("no regions");
	if (!o->json && list.dev && !list.users.all && geteuid())
		puts("       (of other users' processes only root sees what they have open)");
	for (uint32_t n = 0; n < v.n_nodes; n++) {
		struct z5m_node node = { .node = n, .flags = Z5M_NODE_SCAN };

		if (z5_dev_ioctl(dev, Z5M_IOC_NODE, &node) < 0)
			continue;
		if (o->json)
			json_array_append_new(nodes, json_node(&node));
		else
			text_node(&node);
	}
	json_object_set_new(all, "regions", regions);
	json_object_set_new(all, "nodes", nodes);
	json_object_set_new(all, "used_bytes", json_integer((json_int_t)v.used_bytes));
	json_object_set_new(all, "max_bytes", json_integer(v.max_bytes < INT64_MAX ? (json_int_t)v.max_bytes : INT64_MAX));
	json_object_set_new(all, "all_users", json_boolean(!list.dev || list.users.all));
	if (o->json) {
		mem_dump(all);
	} else {
		printf("module   %s of at most %s in use\n", bytes(used, v.used_bytes), bytes(max, v.max_bytes));
		json_decref(all);
	}
	free_regions(&list);
	close(dev);
	return 0;
}

int mem_info(const struct mem_options *o)
{
	json_t *all = json_array();
	int dev = mem_device(NULL);

	for (unsigned int i = 0; i < o->n_args; i++) {
		int fd = mem_open(dev, o->args[i]);
		struct z5m_info info = { 0 };
		int ret = z5_dev_ioctl(fd, Z5M_IOC_INFO, &info);

		if (ret < 0)
			die("%s: %s", o->args[i], strerror(-ret));
		/* the descriptor of this look is no news */
		info.n_files -= info.n_files > 0;
		if (o->json)
			json_array_append_new(all, mem_json_region(fd, &info));
		else
			mem_print_region(fd, &info);
		close(fd);
	}
	if (o->json)
		mem_dump(all);
	else
		json_decref(all);
	close(dev);
	return 0;
}

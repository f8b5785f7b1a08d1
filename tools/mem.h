/* SPDX-License-Identifier: MIT */
/*
 * The parts of zen5-mem: texts of what there is (mem_list.c), changes (mem_change.c); and what zen5-top needs, too:
 * regions (mem_regions.c) and who has them (mem_users.c).
 */
#ifndef TOOLS_MEM_H
#define TOOLS_MEM_H

#include <jansson.h>
#include <mem/device.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mem_options {
	const char *verb;
	int (*run)(const struct mem_options *o);	/* the verb's */
	const char **args;		/* what follows the verb */
	unsigned int n_args;
	bool json, strict, other_nodes, movable, seal;
	int ccd, node;			/* -1: not given */
	unsigned int order;		/* Z5M_ORDER_* */
	bool has_order;
	double timeout;			/* seconds, < 0: none */
	const char *from;		/* file to fill a region with */
};

/* ---- verbs: each returns the exit status; what cannot be dies with a line ---- */

int mem_list(const struct mem_options *o);
int mem_info(const struct mem_options *o);
int mem_create(const struct mem_options *o);
int mem_destroy(const struct mem_options *o);
int mem_reserve(const struct mem_options *o);
int mem_wait(const struct mem_options *o);

/* ---- what they share ---- */

/* The device; dies where there is none. v may be NULL. */
int mem_device(struct z5m_version *v);

/* Opens a region by name to look at it; dies if there is none. */
int mem_open(int dev, const char *name);

/* Dies (64) unless text may be a name. */
void mem_check_name(const char *text);

/* A region as text or JSON, with its slots one by one if asked for. fd -1: it cannot be opened. */
void mem_print_region(int fd, const struct z5m_info *info);
json_t *mem_json_region(int fd, const struct z5m_info *info);

/* Prints a JSON value, and drops it. */
void mem_dump(json_t *value);

/* ---- regions: mem_regions.c ---- */

struct mem_regions {
	struct z5m_info *info;		/* by id */
	size_t n;
};

/* All regions of the device. 0, or a negative errno and nothing to free. Dies without memory. */
int mem_regions_read(struct mem_regions *r, int dev);
void mem_regions_free(struct mem_regions *r);

/* A descriptor for a look at a region; -1 if it has no name, or another one has it by now. */
int mem_region_look(int dev, const struct z5m_info *info);

/* All regions are files of one device: its number; 0 if it cannot be known, as where there are none. */
dev_t mem_regions_dev(const struct mem_regions *r, int dev);

/* ---- processes that have a region open or mapped: mem_users.c ---- */

struct mem_user {
	pid_t pid;
	char command[32];		/* printable */
	uint64_t id;			/* of the region */
	bool open, mapped;
};

struct mem_users {
	struct mem_user *user;
	size_t n;
	bool all;			/* no process was out of sight */
};

/* Of all regions, which are the files of device st_dev. Dies without memory. */
void mem_users_read(struct mem_users *u, dev_t dev);
void mem_users_free(struct mem_users *u);

/* The name of a process, printable, "" if it has ended. */
void mem_command(pid_t pid, char command[32]);

#endif

// SPDX-License-Identifier: MIT
/* Who has regions: the descriptors and mappings of all processes, as far as /proc shows them to the caller. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common.h"
#include "mem.h"

void mem_command(pid_t pid, char command[32])
{
	char path[64];
	FILE *f;

	*command = '\0';
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (f && fgets(command, 32, f))
		command[strcspn(command, "\n")] = '\0';
	if (f)
		fclose(f);
	for (char *c = command; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
}

/* The entry of this process and region, made if there is none yet. */
static struct mem_user *users_entry(struct mem_users *u, size_t first, pid_t pid, uint64_t id)
{
	struct mem_user *p;

	for (size_t i = first; i < u->n; i++)
		if (u->user[i].id == id)
			return &u->user[i];
	p = realloc(u->user, (u->n + 1) * sizeof(*p));
	if (!p)
		die("out of memory");
	u->user = p;
	p = &u->user[u->n++];
	*p = (struct mem_user){ .pid = pid, .id = id };
	mem_command(pid, p->command);
	return p;
}

static void users_open(struct mem_users *u, size_t first, pid_t pid, dev_t dev)
{
	char path[300];
	struct dirent *e;
	struct stat st;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	/* A process that has ended meanwhile has nothing. */
	if (!d && errno == EACCES)
		u->all = false;
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%.255s", (int)pid, e->d_name);
		if (isdigit((unsigned char)*e->d_name) && !stat(path, &st) && st.st_dev == dev)
			users_entry(u, first, pid, st.st_ino)->open = true;
	}
	if (d)
		closedir(d);
}

static void users_mapped(struct mem_users *u, size_t first, pid_t pid, dev_t dev)
{
	unsigned int major, minor;
	char path[64], line[4352];
	uint64_t ino;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	if (!f && errno == EACCES)
		u->all = false;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %x:%x %" SCNu64, &major, &minor, &ino) == 3 && ino &&
		    makedev(major, minor) == dev)
			users_entry(u, first, pid, ino)->mapped = true;
	if (f)
		fclose(f);
}

void mem_users_read(struct mem_users *u, dev_t dev)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	*u = (struct mem_users){ .all = d != NULL };
	while (d && (e = readdir(d))) {
		size_t first = u->n;
		pid_t pid;

		if (!isdigit((unsigned char)*e->d_name))
			continue;
		pid = (pid_t)strtol(e->d_name, NULL, 10);
		users_open(u, first, pid, dev);
		users_mapped(u, first, pid, dev);
	}
	if (d)
		closedir(d);
}

void mem_users_free(struct mem_users *u)
{
	free(u->user);
}

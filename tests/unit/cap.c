// SPDX-License-Identifier: MIT
/*
 * Capping others, on a directory that looks like resctrl: groups made there get the files that the
 * kernel would give them. The real thing needs an AMD machine with MBA.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sched/cap.h>

#include "../tap.h"

static char dir[64], root[128], record[128];
static bool fail_schemata;

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		ok(false, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* The kernel's files hold what was written last; ours what was written over the old text. */
static bool has(const char *name, const char *want)
{
	char path[PATH_MAX], text[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return !want;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (!want || n < 0)
		return false;
	text[n] = '\0';
	return !strncmp(text, want, strlen(want));
}

static int group_mkdir(const char *path, mode_t mode)
{
	char file[PATH_MAX];

	if (mkdir(path, mode))
		return -1;
	snprintf(file, sizeof(file), "%s/schemata", path);
	if (!fail_schemata)
		put(file, "    MB:0=  16;1=  16\n");
	snprintf(file, sizeof(file), "%s/tasks", path);
	put(file, "");
	return 0;
}

static int group_rmdir(const char *path)
{
	char file[PATH_MAX];

	snprintf(file, sizeof(file), "%s/schemata", path);
	unlink(file);
	snprintf(file, sizeof(file), "%s/tasks", path);
	unlink(file);
	return rmdir(path);
}

static const struct z5_cap_ops ops = { group_mkdir, group_rmdir };

static void schemata(const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/schemata", root);
	unlink(path);
	put(path, text);
}

static unsigned int groups(void)
{
	char cmd[256];
	FILE *p;
	int n = -1;

	snprintf(cmd, sizeof(cmd), "ls -d %s/zen5rt.* 2>/dev/null | wc -l", root);
	p = popen(cmd, "r");
	if (!p || fscanf(p, "%d", &n) != 1)
		n = -1;
	if (p)
		pclose(p);
	return (unsigned int)n;
}

static int refused(double bytes_s, const char *what)
{
	struct zen5rt_error err = { "" };
	struct z5_cap *c = NULL;
	int ret = z5_cap_open(root, record, &ops, bytes_s, &c, &err);

	if (!ret)
		z5_cap_close(c);
	ok(ret < 0 && strstr(err.message, "cap-others"), "%s: %s", what, err.message);
	return ret;
}

int main(void)
{
	static const char was[] = "    L3:0=ffff;1=ffff\n    MB:0=2048;1=2048\n";
	struct zen5rt_error err = { "" };
	struct z5_cap *c = NULL, *second = NULL;
	char name[64], cmd[128];
	int status, ret;
	pid_t pid;

	snprintf(dir, sizeof(dir), "/tmp/z5cap-XXXXXX");
	if (!ok(mkdtemp(dir) != NULL, "a directory"))
		return done();
	snprintf(root, sizeof(root), "%s/resctrl", dir);
	snprintf(record, sizeof(record), "%s/record", dir);

	ok(refused(10e9, "no resctrl") == -ENOTSUP, "is -ENOTSUP");
	mkdir(root, 0755);
	schemata("L3:0=ffff\n");
	ok(refused(10e9, "no MBA") == -ENOTSUP, "is -ENOTSUP");
	schemata("MB:0=100;1=100\n");
	ok(refused(10e9, "shares") == -ENOTSUP, "are -ENOTSUP");
	schemata("MB:0=;1=2048\n");
	ok(refused(10e9, "a damaged line") == -ENOTSUP, "is -ENOTSUP");
	schemata(was);
	ok(refused(1e6, "too little") == -ERANGE && refused(1e12, "more than there is") == -ERANGE, "are -ERANGE");
	ok(groups() == 0 && has("schemata", was), "nothing was changed by any of these");

	ret = z5_cap_open(root, record, &ops, 10e9, &c, &err);
	ok(!ret && has("schemata", "MB:0=40;1=40\n"), "10 GB/s for others: 5 a domain, in eighths: %s", err.message);
	snprintf(name, sizeof(name), "zen5rt.%d/schemata", (int)getpid());
	ok(has(name, "MB:0=2048;1=2048\n"), "we keep what all had");
	snprintf(name, sizeof(name), "zen5rt.%d/tasks", (int)getpid());
	snprintf(cmd, sizeof(cmd), "%d\n", (int)getpid());
	ok(has(name, cmd), "and are in the group");
	ok(z5_cap_open(root, record, &ops, 10e9, &second, &err) == -EBUSY, "a second one is refused: %s", err.message);
	ok(!z5_cap_recover(root, record, &ops, &err) && has("schemata", "MB:0=40;1=40\n"), "and a start meanwhile leaves it alone");
	z5_cap_close(c);
	ok(has("schemata", "MB:0=2048;1=2048\n") && groups() == 0, "given back at the end");

	schemata(was);
	pid = fork();
	if (!pid) {
		if (z5_cap_open(root, record, &ops, 8e9, &c, NULL))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status) && has("schemata", "MB:0=32;1=32\n") && groups() == 1, "kill -9 leaves it");
	ok(z5_cap_recover(root, record, &ops, &err) == 1 && has("schemata", "MB:0=2048;1=2048\n") && groups() == 0,
	   "the next start gives it back");
	ok(z5_cap_recover(root, record, &ops, &err) == 0, "once");

	schemata(was);
	fail_schemata = true;
	refused(10e9, "a group that cannot be set");
	ok(has("schemata", "MB:0=2048;1=2048\n") && groups() == 0, "is undone at once");
	fail_schemata = false;

	put(record, "../../etc\nMB:0=1\n");
	ok(z5_cap_recover(root, record, &ops, &err) == -EINVAL, "a damaged record is not followed: %s", err.message);
	unlink(record);
	ok(!symlink("/tmp/z5cap-nowhere", record) && refused(10e9, "a link for a record") < 0 && access("/tmp/z5cap-nowhere", F_OK),
	   "is not followed");
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	ok(!system(cmd), "cleaned up");
	return done();
}

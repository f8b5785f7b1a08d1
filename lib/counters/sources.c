// SPDX-License-Identifier: MIT
#include <counters/sources.h>

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <topo/cgroup.h>
#include <topo/cpu.h>

static void sources_pmus(const char *sysroot, struct z5_sources *s)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d;

	if (snprintf(path, sizeof(path), "%s/sys/bus/event_source/devices", sysroot) >= (int)sizeof(path))
		return;
	d = opendir(path);
	while (d && (e = readdir(d))) {
		s->l3 |= !strcmp(e->d_name, "amd_l3");
		s->df |= !strcmp(e->d_name, "amd_df");
		s->n_umc += !strncmp(e->d_name, "amd_umc_", 8);
	}
	if (d)
		closedir(d);
}

static void sources_kernel(const char *sysroot, struct z5_sources *s)
{
	unsigned int major, minor;
	char text[128];

	z5_read_text(sysroot, "/proc/sys/kernel/osrelease", text, sizeof(text));
	if (sscanf(text, "%3u.%3u", &major, &minor) == 2) {
		s->kernel_major = major;
		s->kernel_minor = minor;
	}
	s->paranoid = 2;
	if (z5_read_text(sysroot, "/proc/sys/kernel/perf_event_paranoid", text, sizeof(text)) > 0 &&
	    sscanf(text, "%3d", &s->paranoid) != 1)
		s->paranoid = 2;
}

static void sources_resctrl(const char *sysroot, struct z5_sources *s)
{
	char text[4096], path[PATH_MAX];

	z5_read_text(sysroot, "/proc/filesystems", text, sizeof(text));
	s->resctrl = strstr(text, "\tresctrl");
	s->resctrl_mounted = snprintf(path, sizeof(path), "%s/sys/fs/resctrl/info", sysroot) <
			     (int)sizeof(path) && !access(path, F_OK);
	s->resctrl |= s->resctrl_mounted;
	z5_read_text(sysroot, "/sys/fs/resctrl/info/L3_MON/mon_features", text, sizeof(text));
	s->l3_monitoring = (strstr(text, "llc_occupancy") ? Z5_CQM_OCCUPANCY : 0) |
			   (strstr(text, "mbm_total_bytes") ? Z5_CQM_TOTAL : 0) |
			   (strstr(text, "mbm_local_bytes") ? Z5_CQM_LOCAL : 0);
}

void z5_sources_read(const char *sysroot, struct z5_sources *s)
{
	memset(s, 0, sizeof(*s));
	sources_pmus(sysroot, s);
	sources_kernel(sysroot, s);
	sources_resctrl(sysroot, s);
}

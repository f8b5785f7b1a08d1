// SPDX-License-Identifier: MIT
#include <mem/region.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <error.h>
#include <mem/backend.h>
#include <mem/pages.h>
#include <topo/cgroup.h>

const struct z5_mem_backend z5_mem_backends[] = {
	/*
	 * Not for a first choice of 2 MiB: the module's pages are pinned and count against limits from the beginning,
	 * which weights are worth and a cache that may never be filled is not.
	 */
	{ "zen5mem", Z5_PAGE_1G, true, z5_device_alloc, z5_device_free },
	{ "hugetlb-1g", Z5_PAGE_1G, true, z5_hugetlb_1g_alloc, z5_hugetlb_free },
	{ "hugetlb-2m", Z5_PAGE_2M, true, z5_hugetlb_2m_alloc, z5_hugetlb_free },
	{ "thp", Z5_PAGE_2M, false, z5_thp_alloc, z5_mem_unmap },
	{ "plain", Z5_PAGE_4K, false, z5_plain_alloc, z5_mem_unmap },
	{ 0 },
};

const struct z5_mem_backend *z5_device_backend(void)
{
	return z5_mem_backends;
}

bool z5_page_by_name(const char *name, enum z5_page *page)
{
	static const char *const names[] = { [Z5_PAGE_1G] = "1g", [Z5_PAGE_2M] = "2m", [Z5_PAGE_4K] = "4k" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strcmp(name, names[i])) {
			*page = (enum z5_page)i;
			return true;
		}
	}
	return false;
}

uint64_t z5_mem_available(void)
{
	uint64_t machine = z5_meminfo("", "MemAvailable:"), group = z5_cgroup_mem_available("");

	return machine < group ? machine : group;
}

/* "name: why" at the end of what is there, as far as there is room. */
static void region_note(struct z5_region *r, const char *name, const char *why)
{
	size_t len = strlen(r->why);

	snprintf(r->why + len, sizeof(r->why) - len, "%s%s: %s", len ? "; " : "", name, why);
}

int z5_region_alloc(struct z5_region *r, const char *use, size_t asked, enum z5_page first,
		    struct zen5rt_error *err)
{
	const struct z5_mem_backend *b;
	uint64_t available = 0;
	char why[256];
	int ret = -EINVAL;

	memset(r, 0, sizeof(*r));
	r->use = use;
	r->asked = asked;
	if (!asked)
		return z5_fail(err, -EINVAL, "%s: no bytes asked for", use);

	for (b = z5_mem_backends; b->name; b++) {
		if (b->page < first)
			continue;
		if (!b->pooled) {
			available = z5_mem_available();
			if (available < asked)
				break;
		}
		ret = b->alloc(r, why, sizeof(why));
		if (!ret) {
			r->backend = b;
			return 0;
		}
		region_note(r, b->name, why);
	}

	/* Nothing more to try, or nothing worth trying: the next one would only be killed later. */
	if (b->name)
		ret = z5_fail(err, -ENOMEM,
			      "%s: needs %s, %s available (free memory and the limits of the "
			      "cgroup)%s%s",
			      use, z5_size_text(asked).s, z5_size_text(available).s,
			      *r->why ? "; " : "", r->why);
	else
		ret = z5_fail(err, ret == -EOVERFLOW ? ret : -ENOMEM, "%s: needs %s: %s", use,
			      z5_size_text(asked).s, r->why);
	memset(r, 0, sizeof(*r));
	return ret;
}

void z5_region_free(struct z5_region *r)
{
	if (r->backend)
		r->backend->free(r);
	memset(r, 0, sizeof(*r));
}

uint64_t z5_region_page_bytes(const struct z5_region *r)
{
	/* Only transparent ones come or stay away; the others are what was mapped. */
	if (r->backend && !r->backend->pooled && r->page > Z5_4K)
		return z5_mem_anon_huge(r->addr, r->size);
	return r->size;
}

void z5_region_info(const struct z5_region *r, struct zen5rt_region_info *info)
{
	*info = (struct zen5rt_region_info){
		.use = r->use ? r->use : "",
		.backend = r->backend ? r->backend->name : "",
		.asked = r->asked,
		.size = r->size,
		.page = r->page,
		.page_bytes = z5_region_page_bytes(r),
		.why = r->why,
		.pages = r->pages,
	};
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * zen5mem: resident memory of 1 GiB pages near a chosen L3 domain. include/uapi/linux/zen5mem.h
 * is the manual.
 */
#include <linux/module.h>
#include <linux/utsname.h>

#include "compat.h"
#include "zen5mem.h"

static bool z5m_allow_untested;
module_param_named(allow_untested, z5m_allow_untested, bool, 0444);
MODULE_PARM_DESC(allow_untested, "load on a kernel that the module was not tested on (default N)");

static int __init z5m_init(void)
{
	int ret;

	/*
	 * How pages may be mapped changes between kernels, and what is wrong corrupts memory
	 * without a word.
	 */
	if (!z5m_kernel_tested() && !z5m_allow_untested) {
		pr_err("not tested on kernel %s: load with allow_untested=1 if you can risk this machine's memory\n",
		       utsname()->release);
		return -EOPNOTSUPP;
	}
	ret = z5m_domains_init();
	if (ret)
		return ret;
	ret = z5m_reserve_init();
	if (ret)
		goto err_domains;
	ret = z5m_sysfs_init();
	if (ret)
		goto err_reserve;
	z5m_debugfs_init();
	ret = z5m_counters_init();
	if (ret)
		goto err_debugfs;
	ret = z5m_netlink_init();
	if (ret)
		goto err_counters;
	ret = z5m_dev_init();
	if (ret)
		goto err_netlink;
	return 0;

err_netlink:
	z5m_netlink_exit();
err_counters:
	z5m_counters_exit();
err_debugfs:
	z5m_debugfs_exit();
	z5m_sysfs_exit();
err_reserve:
	z5m_reserve_exit();
err_domains:
	z5m_domains_exit();
	return ret;
}

/* There is no region left: each holds the module. */
static void __exit z5m_exit(void)
{
	z5m_dev_exit();
	z5m_netlink_exit();
	z5m_counters_exit();
	z5m_debugfs_exit();
	z5m_sysfs_exit();
	z5m_reserve_exit();
	z5m_domains_exit();
}

module_init(z5m_init);
module_exit(z5m_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Resident memory of 1 GiB pages near a chosen L3 domain");
MODULE_VERSION("0.1.0");

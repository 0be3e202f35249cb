// SPDX-License-Identifier: GPL-2.0
/*
 * A module to probe, trace and debug: each write of a number to /proc/mymodule calls myfunction() with it, and
 * each read shows the sum so far.
 *
 *	echo 7 >/proc/mymodule; cat /proc/mymodule
 */
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/uaccess.h>

static long sum;

/* What probes go on. noinline: a function that the compiler has merged into its caller cannot be probed. */
static noinline long myfunction(long number)
{
	sum += number;
	return sum;
}

static ssize_t mymodule_write(struct file *file, const char __user *text, size_t count, loff_t *offset)
{
	long number;
	int error = kstrtol_from_user(text, count, 0, &number);

	if (error)
		return error;
	myfunction(number);
	return count;
}

static ssize_t mymodule_read(struct file *file, char __user *text, size_t count, loff_t *offset)
{
	char line[24];

	return simple_read_from_buffer(text, count, offset, line, scnprintf(line, sizeof(line), "%ld\n", sum));
}

static const struct proc_ops mymodule_ops = {
	.proc_read = mymodule_read,
	.proc_write = mymodule_write,
};

static int __init mymodule_init(void)
{
	return proc_create("mymodule", 0600, NULL, &mymodule_ops) ? 0 : -ENOMEM;
}

static void __exit mymodule_exit(void)
{
	remove_proc_entry("mymodule", NULL);
}

module_init(mymodule_init);
module_exit(mymodule_exit);
MODULE_DESCRIPTION("Something to probe");
MODULE_LICENSE("GPL");

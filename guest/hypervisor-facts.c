// SPDX-License-Identifier: Apache-2.0
/*
 * Says in a guest by what it can tell that it is one: all that the kernel and systemd look at, each as they see it.
 *
 *	hypervisor-facts
 *
 * prints one NAME=VALUE a line, and "none" where there is nothing:
 *
 *	signature       twelve bytes of CPUID leaf 0x40000000, by which a hypervisor gives its name
 *	hypervisorFlag  bit 31 of ECX of CPUID leaf 1, true or false: without it, Linux does not ask for a signature
 *	kernelDetects   what the kernel's log has behind "Hypervisor detected:"; "unknown" once the log has lost its start
 *	detectVirt      what systemd-detect-virt says of a virtual machine
 *	dmiVendor       who made this machine, and what it is, as the firmware says: sys_vendor and product_name of DMI;
 *	dmiProduct      a kernel without CONFIG_DMI_ID has neither
 *	clocksource     what the kernel reads the time from: kvm-clock is one that a hypervisor gives
 */
#include <cpuid.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>

#define SIGNATURE_LEAF 0x40000000
#define HYPERVISOR_BIT (1u << 31)

/* What klogctl calls SYSLOG_ACTION_READ_ALL and SYSLOG_ACTION_SIZE_BUFFER. */
#define READ_ALL 3
#define SIZE_BUFFER 10

static void die(const char *what, const char *todo)
{
	fprintf(stderr, "hypervisor-facts: %s: %s\n  what to do: %s\n", what, strerror(errno), todo);
	exit(1);
}

/* What is no text is no name: a processor without that leaf answers with what it has of another one. */
static void print_signature(void)
{
	unsigned int eax, registers[3];
	char text[sizeof(registers) + 1] = "";
	size_t length, i;

	__cpuid(SIGNATURE_LEAF, eax, registers[0], registers[1], registers[2]);
	memcpy(text, registers, sizeof(registers));
	length = strlen(text);
	for (i = 0; i < length; i++)
		if (text[i] < ' ' || text[i] > '~')
			length = 0;
	printf("signature=%s\n", length == 0 ? "none" : text);
}

static void print_flag(void)
{
	unsigned int eax, ebx, ecx, edx;

	__cpuid(1, eax, ebx, ecx, edx);
	printf("hypervisorFlag=%s\n", ecx & HYPERVISOR_BIT ? "true" : "false");
}

/* The first line of a stream that can be none. */
static void print_line(const char *name, FILE *stream)
{
	char line[256] = "";

	if (stream == NULL || fgets(line, sizeof(line), stream) == NULL)
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	printf("%s=%s\n", name, line[0] == '\0' ? "none" : line);
}

static void print_file(const char *name, const char *path)
{
	FILE *file = fopen(path, "r");

	print_line(name, file);
	if (file != NULL)
		fclose(file);
}

static void print_detect_virt(void)
{
	FILE *said = popen("systemd-detect-virt --vm", "r");
	int status;

	if (said == NULL)
		die("systemd-detect-virt cannot be run", "see that the guest has memory to spare");
	print_line("detectVirt", said);
	/* It fails where it finds none, too; only a shell that does not find it ends with this. */
	status = pclose(said);
	if (status == 127 << 8)
		exit(1);
}

/* A log that is full has lost what it began with. */
static void print_kernel(void)
{
	static const char found[] = "Hypervisor detected: ";
	int size = klogctl(SIZE_BUFFER, NULL, 0), length;
	char *log, *at;

	if (size < 0 || (log = malloc(size + 1)) == NULL)
		die("the kernel's log cannot be read", "run it as root");
	length = klogctl(READ_ALL, log, size);
	if (length < 0)
		die("the kernel's log cannot be read", "run it as root");
	log[length] = '\0';
	at = strstr(log, found);
	if (at != NULL) {
		at += sizeof(found) - 1;
		printf("kernelDetects=%.*s\n", (int)strcspn(at, "\n"), at);
	} else {
		printf("kernelDetects=%s\n", strstr(log, "Linux version ") == NULL ? "unknown" : "none");
	}
	free(log);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc != 1) {
		fprintf(stderr, "usage: hypervisor-facts\n");
		return 2;
	}
	print_signature();
	print_flag();
	print_kernel();
	/* What it runs prints to the same place. */
	fflush(stdout);
	print_detect_virt();
	print_file("dmiVendor", "/sys/class/dmi/id/sys_vendor");
	print_file("dmiProduct", "/sys/class/dmi/id/product_name");
	print_file("clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource");
	return 0;
}
